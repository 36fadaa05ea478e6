"""What a test expects of a text, and the comparison with the judge's verdict, in words."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from mene import Criterion, Sample, Verdict
from mene.criterion import load_criterion
from mene.errors import UsageError
from mene.integrations.grade import fails, grade, no_label
from mene.text.commands import harmless
from mene.text.visible import visible

Kind = Literal["holds", "lacks", "meets"]
SHOWN = 300  # characters of a field
NAMED, ALIGNED = 80, 40  # characters of names
WIDTH = 88


@dataclass(frozen=True)
class Check:
    """One expectation.

    Attributes:
        kind: ``holds``: the first label of a yes/no criterion must be given; ``lacks``: the second; ``meets``: a label that
            does
            not fail.
        at_least: for ``holds``, ``lacks``, and ``meets`` with classes: the required probability, 0 to 1; for ``meets`` on an
            ordinal scale: the required score. None: the label decides.
    """

    kind: Kind
    criterion: Criterion
    at_least: float | None = None

    @property
    def name(self) -> str:
        """The name of the expectation, as in the test: a question, or a criterion's name."""
        return self.criterion.question if self.criterion.in_words else self.criterion.name

    def __post_init__(self) -> None:
        scale, name = self.criterion.scale, self.name
        if scale.kind == "pairwise":
            raise UsageError(
                f"{name} compares two responses; ask `judge` about a pair, and assert its label"
            )
        if self.kind != "meets" and not scale.is_binary:
            raise UsageError(
                f"{self.kind}: {name} has the scale {scale}, but a statement needs a yes/no scale; mark the test with "
                f'`@pytest.mark.mene("{name}", at_least=…)`, or assert the score that `judge` gives'
            )
        if self.at_least is None:
            if self.kind == "meets" and not self.criterion.failing:
                raise UsageError(
                    f"{name} does not say which labels fail; say at_least=…, or write `failing:` into it"
                )
            return
        low, high = (scale.values[0], scale.values[-1]) if scale.kind == "ordinal" else (0.0, 1.0)
        if (
            isinstance(self.at_least, bool)
            or not isinstance(self.at_least, int | float)
            or not low <= self.at_least <= high
        ):
            raise UsageError(f"at_least={self.at_least!r}: {name} gives {low:g} to {high:g}")

    def reached(self, verdict: Verdict) -> float | None:
        """Return the value to compare with ``at_least``."""
        criterion = self.criterion
        if verdict.label is None:
            return None
        if criterion.scale.kind == "ordinal":
            return verdict.score
        if self.kind == "meets":
            return grade(verdict, criterion)
        if verdict.probabilities is None:
            return float(verdict.label == self._label)
        return verdict.probabilities[self._label]

    def passes(self, verdict: Verdict) -> bool:
        """Return whether a verdict meets the expectation; one without a label never does."""
        if verdict.label is None:
            return False
        if self.at_least is not None:
            reached = self.reached(verdict)
            return reached is not None and reached >= self.at_least - 1e-9
        if self.kind == "meets":
            return not fails(verdict, self.criterion)
        return verdict.label == self._label

    @property
    def _label(self) -> str:
        return self.criterion.scale.labels[self.kind == "lacks"]

    @property
    def wanted(self) -> str:
        """Return what is expected, in words."""
        scale, failing = self.criterion.scale, self.criterion.failing or ()
        good = (
            "/".join(x for x in scale.labels if x not in failing)
            if self.kind == "meets"
            else self._label
        )
        if self.at_least is None:
            return good
        if scale.kind == "ordinal":
            return f"score ≥ {self.at_least:g}"
        return f"{good} ≥ {self.at_least:g}"


def check_of(
    kind: Kind,
    spec: str | Criterion,
    at_least: float | None = None,
    scale: str | None = None,
    uses: Collection[str] | None = None,
) -> Check:
    """Return a check for what a test states.

    Args:
        spec: a built-in criterion, a file, a question, a ``Criterion``, or (for ``holds`` and ``lacks``) a statement about the
            text: ``it names a day``.
        uses: fields that a question or statement shows beside the text; None: all.

    Raises:
        UsageError: there is no such criterion, or it does not fit.
    """
    if isinstance(spec, Criterion):
        if scale:
            raise UsageError(f"{spec.name} has a scale already; leave scale={scale!r} out")
        return Check(kind, spec, at_least)
    if not isinstance(spec, str):
        raise UsageError(
            f"{kind}: a criterion is a name, a question or a Criterion, not {spec!r:.40}"
        )
    criterion = load_criterion(spec, scale)
    if uses is not None and criterion.in_words:
        criterion = criterion.showing(uses)
    if kind != "meets" and criterion.in_words and not spec.rstrip().endswith(("?", "？", "؟")):
        statement = " ".join(spec.split()).rstrip(".")
        question = f"Is this true of the response: {statement}?"
        criterion = Criterion(
            name=statement, question=question, scale=criterion.scale, uses=criterion.uses
        )
    return Check(kind, criterion, at_least)


def line_of(check: Check | None, verdict: Verdict, width: int = 0) -> str:
    """One line: what was asked, its label, every probability, and what was wanted instead.

    Args:
        width: characters that the name takes, so that lines below each other are aligned.
    """
    name = visible(check.name if check else verdict.question or verdict.criterion)
    if verdict.label is None:
        return harmless(f"{name:<{width}}  {visible(no_label(verdict))}")
    each = "  ".join(f"{visible(x)} {p:.2f}" for x, p in (verdict.probabilities or {}).items())
    score = f"score {verdict.score:.2f}" if verdict.score is not None else ""
    sure = "; ".join(filter(None, (each, score)))
    sure = f"  ({sure})" if sure else ""
    wanted = f"  wants {check.wanted}" if check and not check.passes(verdict) else ""
    return harmless(f"{name:<{width}}  {visible(verdict.label)}{sure}{wanted}")


def failure(done: Sequence[tuple[Sample, Check, Verdict]]) -> str:
    """All that was asked of one test, and the texts; of several samples those that fail."""
    failed = [(check, verdict) for _, check, verdict in done if not check.passes(verdict)]
    names = ", ".join(dict.fromkeys(f"{check.kind} {check.name}" for check, _ in failed))
    names = f"not so: {visible(names)}" if len(names) < NAMED else "not so"
    lines = [
        f"{names} ({len(failed)} of {len(done)} checks failed, by {visible(done[0][2].judge)})"
    ]
    width = min(ALIGNED, max(len(visible(check.name)) for _, check, _ in done))
    for sample in {id(one): one for one, _, _ in done}.values():
        own = [(check, verdict) for one, check, verdict in done if one is sample]
        if all(check.passes(verdict) for check, verdict in own):
            continue
        lines.append("")
        for check, verdict in own:
            passes = check.passes(verdict)
            lines.append(
                f"  {'✓' if passes else '✗'} {check.kind}  {line_of(check, verdict, width)}"
            )
            if verdict.critique and not passes:
                lines += _wrapped(verdict.critique, "      ")
        lines.append("")
        for field in dict.fromkeys(field for check, _ in own for field in check.criterion.shown):
            if (text := getattr(sample, field)) is not None:
                lines += _field(field, text)
    return harmless("\n".join(lines))


def _field(name: str, text: str) -> list[str]:
    short = text if len(text) <= SHOWN else f"{text[:SHOWN].rstrip()}… ({len(text):,} characters)"
    first, *rest = _wrapped(short, " " * 15) or [""]
    return [f"  {name + ':':<13}{first.strip()}", *rest]


def _wrapped(text: str, margin: str) -> list[str]:
    return [
        line
        for part in visible(text.strip(), lines=True).expandtabs(4).split("\n")
        for line in textwrap.wrap(part, WIDTH, initial_indent=margin, subsequent_indent=margin)
        or [""]
    ]
