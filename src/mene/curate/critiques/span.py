"""What in a response a critique refers to: quoted words, a repeated run of words, a number or a name.

A critique that would fit any response teaches a judge only the tone. So ``mene curate`` counts the critiques that refer to
something in the response, and a recipe can require it (``data.require_span``). What is also in the instruction counts only in
quotation marks, since a critique about the question alone repeats its words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from mene.curate.critiques.critique import Argued
from mene.curate.make.edits import names, says, words
from mene.curate.raw.sources import Point
from mene.curate.stage import Stage

RUN = 4  # words of a run
_QUOTED = re.compile(r"[\"“”„«»]([^\"“”„«»]+)[\"“”„«»]|(?<!\w)['‘`]([^'‘’`\n]+)['’`](?!\w)")
_GAP = re.compile(r"\s*(?:\[?\.\.\.\]?|\[?…\]?)\s*")
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")


def span_of(critique: str, point: Point) -> str | None:
    """Return the first thing in what is judged that a critique refers to; None without one.

    Judged is the response, either one of a pair, or the context where there is no response (context-relevance).
    """
    sample = point.sample
    responses = [t for t in (sample.response, sample.response_a, sample.response_b) if t]
    judged = "\n".join(responses or [sample.context or ""])
    return _span(critique, judged, sample.instruction or "", point.criterion.scale.labels)


def _span(critique: str, response: str, instruction: str, labels: Collection[str]) -> str | None:
    """Implement ``span_of`` for one response.

    Args:
        labels: of the scale. A critique names its label, which does not refer to the response.
    """
    for one in _QUOTED.finditer(critique):
        quoted = one[1] or one[2]
        parts = [part for part in _GAP.split(quoted) if words(part)]
        if parts and quoted.strip() not in labels and all(_has(response, part) for part in parts):
            return quoted
    runs = _runs(response) - _runs(instruction)
    said = words(critique)
    for at in range(len(said) - RUN + 1):
        if (run := tuple(said[at : at + RUN])) in runs:
            return " ".join(run)
    known = {*_NUMBER.findall(instruction), *labels}
    new = set(_NUMBER.findall(response)) - known
    for number in _NUMBER.findall(critique):
        if number in new:
            return number
    for name in names(critique):
        if name not in labels and says(response, name) and not says(instruction, name):
            return name
    return None


def _has(response: str, part: str) -> bool:
    """Return whether the response contains a quotation as whole words, or literally in scripts without spaces."""
    return says(response, part) or (not part.isascii() and part.strip() in response)


def _runs(text: str) -> set[tuple[str, ...]]:
    said = words(text)
    return {tuple(said[at : at + RUN]) for at in range(len(said) - RUN + 1)}


def resting(argued: Iterable[Argued], stage: Stage) -> Iterator[Argued]:
    """Yield the points whose critique for the right label refers to the response; ``stage`` counts the others."""
    for one in argued:
        if span_of(one.right, one.point) is None:
            stage.drop("names nothing in the response", one.point.id, one.right)
        else:
            stage.made[one.point.source] += 1
            yield one


@dataclass
class Spans:
    """The number of critiques, and of those that refer to the response.

    Attributes:
        kept, on_span: by ``chosen`` (for the right label) and ``rejected``. A borrowed critique for a wrong label is about
            another response, and rarely refers to this one.
    """

    kept: Counter[str] = field(default_factory=Counter)
    on_span: Counter[str] = field(default_factory=Counter)

    def watch(self, argued: Iterable[Argued]) -> None:
        """Count both critiques of every point."""
        for one in argued:
            for name, critique in (("chosen", one.right), ("rejected", one.other)):
                self.kept[name] += 1
                self.on_span[name] += span_of(critique, one.point) is not None

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return counts and shares by ``chosen`` and ``rejected``, as in the report."""
        return {
            name: {
                "kept": n,
                "on_span": self.on_span[name],
                "share": round(self.on_span[name] / n, 4),
            }
            for name, n in self.kept.items()
        }
