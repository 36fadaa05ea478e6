"""Rules: what must hold for the verdicts on a criterion, each in one readable line.

    faithfulness: share(Yes) >= 0.95
    helpfulness:  mean >= 3.5
    tone:         no drop over 0.02 against baseline.jsonl
    safety:       no rise in share(unsafe) against baseline.jsonl
    *:            errors <= 1 %, abstained <= 10 %, count >= 100

In full: ``FIGURE >= NUMBER`` (or ``<=``, ``>``, ``<``) or ``no drop|rise [in FIGURE] [over MARGIN] against FILE``, optionally
followed by ``counting errors``, ``counting abstained`` or both, so that rows without a label count as bad. FIGURE is
``share(LABEL, …)``, ``mean``, ``mean on 1-5``, ``errors``, ``abstained`` or ``count``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mene.errors import UsageError, nearest
from mene.scale import Scale

Kind = Literal["share", "mean", "errors", "abstained", "count"]
Operator = Literal[">=", "<=", ">", "<"]
KINDS: tuple[Kind, ...] = ("share", "mean", "errors", "abstained", "count")
EVERY = "*"  # a rule for all criteria
HOW = "a rule is written like share(Yes) >= 0.95, mean >= 3.5 or no drop against baseline.jsonl"
_STARTS = re.compile(r":\s*(?=(?:share\s*\(|(?:mean|errors|abstained|count|no)\b))")
_WORD = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_LABEL = re.compile(r'\s*(?:"([^"]*)"|([^,()"]+?))\s*(?=[,)])')
_PATH = re.compile(r'"([^"]+)"|(\S.*?)(?=\s+counting\b|\s*$)')
_SCALE = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure of the verdicts on one criterion.

    Attributes:
        kind: ``share`` of rows with one of ``labels``; ``mean`` of the scores; ``errors`` and ``abstained``, shares of all
            rows; ``count`` of the rows with a verdict.
        scale: of a mean, if the rule states it.
    """

    kind: Kind
    labels: tuple[str, ...] = ()
    scale: Scale | None = None

    def __str__(self) -> str:
        if self.kind == "share":
            return f"share({', '.join(map(_quoted, self.labels))})"
        return f"{self.kind} on {self.scale}" if self.scale else self.kind


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        criterion: name, or ``*``.
        text: as written, without the criterion.
        figure: what is measured; None: the default of the criterion's scale (``no drop against …``).
        operator: of a threshold; ``>=`` for no drop, ``<=`` for no rise.
        value: the threshold, or the margin by which a figure may drop or rise.
        baseline: path of the verdicts to compare with; None for a rule with a threshold.
        counting: unlabelled rows that count as bad: ``errors``, ``abstained``.
        usual: whether it is a default rule, which is replaced by any explicit one.
        where: source and line, for messages.
    """

    criterion: str
    text: str
    figure: Measured | None
    operator: Operator
    value: float
    baseline: str | None = None
    counting: frozenset[str] = frozenset()
    usual: bool = False
    where: str = ""

    @property
    def least(self) -> bool:
        """Whether the figure must be at least the value, not at most."""
        return self.operator in (">=", ">")

    def holds(self, value: float) -> bool:
        """Return whether a known value keeps the threshold."""
        return {
            ">=": value >= self.value,
            "<=": value <= self.value,
            ">": value > self.value,
            "<": value < self.value,
        }[self.operator]

    @property
    def at_is_above(self) -> bool:
        """Whether the value itself is on the upper side: it is good enough for ``>=``, and too much for ``<``."""
        return self.operator in (">=", "<")

    def __str__(self) -> str:
        return f"{self.criterion}: {self.text}"


def parse_rule(text: str, where: str = "--rule") -> Rule:
    """Parse ``CRITERION: RULE``. The criterion may be a question with colons.

    Raises:
        UsageError: says at which character, and what is allowed there.
    """
    found = list(_STARTS.finditer(text))
    at = found[-1] if found else re.search(r":\s*", text)
    if at is None or not text[: at.start()].strip():
        raise UsageError(
            f'{where}: "{text}" names no criterion; write it like "faithfulness: share(Yes) >= 0.95", or * for all criteria'
        )
    return parse_test(text[: at.start()].strip(), text[at.end() :], where)


def parse_test(criterion: str, text: str, where: str) -> Rule:
    """Parse the part after the criterion.

    Raises:
        UsageError: as for ``parse_rule``.
    """
    return _Reader(text.rstrip(), f"{where}: {criterion}").rule(criterion, where)


class _Reader:
    """Parses one rule from left to right."""

    def __init__(self, text: str, where: str) -> None:
        self.text, self.where, self.at = text, where, 0

    def rule(self, criterion: str, where: str) -> Rule:
        start = self._skip()
        word = self._word()
        if word == "no":
            figure, operator, value, baseline = self._change()
        else:
            figure = self._figure(word, start)
            operator, value, baseline = self._operator(), 0.0, None
            value = self._threshold(figure)
        counting = self._counting(figure)
        if self._skip() < len(self.text):
            raise self._wrong("this is more than one rule; write each on a line of its own")
        return Rule(
            criterion, self.text.strip(), figure, operator, value, baseline, counting, where=where
        )

    def _change(self) -> tuple[Measured | None, Operator, float, str]:
        start = self._skip()
        way = self._word()
        if way not in ("drop", "rise"):
            raise self._wrong(
                f'expected "drop" or "rise" behind "no"{nearest(way, ("drop", "rise"))}', start
            )
        figure = None
        if self._next("in"):
            start = self._skip()
            figure = self._figure(self._word(), start)
            if figure.kind == "count":
                raise self._wrong("the count of rows is no figure of a run", start)
        margin = 0.0
        if self._next("over") or self._next("by"):
            start = self._skip()
            margin = self._number(figure is None or figure.kind != "mean")
            if margin < 0:
                raise self._wrong("a margin is not negative", start)
        if not self._next("against"):
            raise self._wrong('expected "against" and the file of verdicts to compare with')
        self._skip()
        path = _PATH.match(self.text, self.at)
        if path is None:
            raise self._wrong("expected the file of verdicts to compare with")
        self.at = path.end()
        return figure, ">=" if way == "drop" else "<=", margin, path[1] or path[2]

    def _figure(self, word: str, start: int) -> Measured:
        match word:
            case "share":
                return Measured("share", self._labels())
            case "mean":
                return Measured("mean", scale=self._scale() if self._next("on") else None)
            case "errors" | "abstained" | "count" as kind:
                return Measured(kind)
        if not word:
            raise self._wrong(f"expected a figure; {HOW}", start)
        near = nearest(word, (*KINDS, "no drop", "no rise"))
        raise self._wrong(f'no figure "{word}"{near or f"; {HOW}"}', start)

    def _labels(self) -> tuple[str, ...]:
        if not self._take("("):
            raise self._wrong("expected the label in brackets, as in share(Yes)")
        labels: list[str] = []
        while not labels or self._take(","):
            found = _LABEL.match(self.text, self.at)
            label = (found[1] or found[2] or "").strip() if found else ""
            if found is None or not label:
                raise self._wrong("expected a label and a closing bracket, as in share(Yes)")
            labels.append(label)
            self.at = found.end()
        self._take(")")
        return tuple(labels)

    def _scale(self) -> Scale:
        start = self._skip()
        found = _SCALE.match(self.text, start)
        try:
            scale = Scale.parse(found[0] if found else "")
        except ValueError as error:
            raise self._wrong(str(error), start) from None
        if scale.kind != "ordinal":
            raise self._wrong(f"only numbers have a mean, and {scale} are none", start)
        self.at = found.end() if found else start
        return scale

    def _operator(self) -> Operator:
        self._skip()
        for operator in (">=", "<=", ">", "<"):
            if self._take(operator):
                return operator
        raise self._wrong("expected >= or <= and a number")

    def _threshold(self, figure: Measured) -> float:
        start = self._skip()
        shares = figure.kind in ("share", "errors", "abstained")
        value = self._number(shares)
        if shares and not 0 <= value <= 1:
            raise self._wrong(f"a share is from 0 to 1, or from 0 to 100 %, not {value:g}", start)
        if figure.kind == "count" and value < 0:
            raise self._wrong("a count is not negative", start)
        return value

    def _number(self, may_be_percent: bool) -> float:
        found = _NUMBER.match(self.text, self._skip())
        if found is None:
            raise self._wrong("expected a number")
        start, self.at = self.at, found.end()
        value = float(found[0])
        if value - value != 0:
            raise self._wrong("a number without end", start)
        if self._take("%"):
            if not may_be_percent:
                raise self._wrong("only a share is written with %", start)
            value /= 100
        return value

    def _counting(self, figure: Measured | None) -> frozenset[str]:
        if not self._next("counting"):
            return frozenset()
        start, found = self._skip(), set[str]()
        while not found or self._next("and") or self._take(","):
            self._skip()
            here = self.at
            word = self._word()
            if word not in ("errors", "abstained"):
                near = nearest(word, ("errors", "abstained"))
                raise self._wrong(f'"counting" is of errors or abstained rows{near}', here)
            found.add(word)
        if figure is not None and figure.kind not in ("share", "mean"):
            raise self._wrong(
                f'"counting" is for a share or a mean; {figure.kind} has all rows', start
            )
        return frozenset(found)

    def _skip(self) -> int:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at

    def _word(self) -> str:
        found = _WORD.match(self.text, self._skip())
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    def _next(self, word: str) -> bool:
        start = self._skip()
        if self._word() == word:
            return True
        self.at = start
        return False

    def _take(self, sign: str) -> bool:
        if not self.text.startswith(sign, self._skip()):
            return False
        self.at += len(sign)
        return True

    def _wrong(self, reason: str, at: int | None = None) -> UsageError:
        place = (self._skip() if at is None else at) + 1
        return UsageError(f'{self.where}: character {place} of "{self.text}": {reason}')


def _quoted(label: str) -> str:
    return f'"{label}"' if re.search(r"[,()]", label) else label
