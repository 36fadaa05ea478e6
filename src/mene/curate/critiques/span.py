"""What in a response a critique rests on: words that it quotes, a run of words that it repeats, a number or a name.

A critique that would fit any response teaches a judge to sound like one. So ``mene curate`` counts the critiques that point to
something in the very response, and a recipe can ask for it (``data.require_span``). What the instruction says too does not
count, except in quotation marks: whoever writes of the question alone repeats its words.
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
    """The first thing in the response (of a pair, in either one) that a critique refers to; None where there is none."""
    sample = point.sample
    texts = (sample.response, sample.response_a, sample.response_b)
    response = "\n".join(text for text in texts if text)
    return _span(critique, response, sample.instruction or "", point.criterion.scale.labels)


def _span(critique: str, response: str, instruction: str, labels: Collection[str]) -> str | None:
    """As ``span_of``.

    Args:
        labels: of the scale. A critique names its result, which is nothing in the response.
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
    """Whether a quotation stands in the response, as whole words; in writing without spaces, as it is."""
    return says(response, part) or (not part.isascii() and part.strip() in response)


def _runs(text: str) -> set[tuple[str, ...]]:
    said = words(text)
    return {tuple(said[at : at + RUN]) for at in range(len(said) - RUN + 1)}


def resting(argued: Iterable[Argued], stage: Stage) -> Iterator[Argued]:
    """The points whose critique for the right label rests on a span of the response; ``stage`` is told of the others."""
    for one in argued:
        if span_of(one.right, one.point) is None:
            stage.drop("names nothing in the response", one.point.id, one.right)
        else:
            stage.made[one.point.source] += 1
            yield one


@dataclass
class Spans:
    """How many critiques there are, and how many rest on a span of the response.

    Attributes:
        kept, on_span: by ``chosen`` (for the right label) and ``rejected``. A borrowed reason for a wrong label is about
            another response, and hardly ever rests on a span of this one.
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
        """Counts and shares by ``chosen`` and ``rejected``, as the report has them."""
        return {
            name: {
                "kept": n,
                "on_span": self.on_span[name],
                "share": round(self.on_span[name] / n, 4),
            }
            for name, n in self.kept.items()
        }
