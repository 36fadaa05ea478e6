"""The responses of pairs as single points, each with its own label.

A preference does not say whether either response is good. So this applies only to sets whose pairs were made in a way that
determines each response's label (``each`` in ``sources.yaml``), and only to responses whose text confirms it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from mene.criterion import Criterion
from mene.curate.mix import rank
from mene.curate.raw.sources import Point, find_view
from mene.judge.comparison import alone
from mene.sample import Sample
from mene.scale import Scale

OPENING = 200  # a refusal is recognised within these first characters
_REFUSAL = re.compile(
    r"\b(?:can(?:no|['’])t|unable to|not able to|decline to|(?:isn['’]t|not) something I can|avoid"
    r"|doesn['’]t include|scope of what I can) (?:\w+ )?"
    r"(?:assist|help|provid|fulfil|support|offer|engag|process|comply|creat|generat|shar|discuss)"
    r"|\bbeyond my capabilities",
    re.I,
)
_PERHAPS = re.compile(
    r"can(?: ?no|['’])t|\b(?:unable|sorry|apolog|declin|refus|avoid)|(?:n['’]t|\bnot)(?: \w+)? "
    r"(?:able|something|advis|recommend|condon|encourag|appropriate|comfortable)",
    re.I,
)


def refuses(text: str) -> bool | None:
    """Return whether a text begins with a refusal; None where its words are ambiguous."""
    opening = text[:OPENING]
    if _REFUSAL.search(opening):
        return True
    return None if _PERHAPS.search(opening) else False


# View -> the answer that the text itself suggests. ``each`` can use only these views.
WITNESS: dict[str, Callable[[str], bool | None]] = {"refuses": refuses}


def scores(points: Iterable[Point], seed: int) -> Iterator[Point]:
    """Yield the responses of pairs as single points, in the group of their pair.

    A response in several pairs of a group gives one point; a response whose text does not confirm its label gives none.
    """
    seen = set()
    for point in sorted(points, key=lambda p: p.id):
        if point.each is None or point.label not in ("A", "B"):
            continue
        samples = point.sample.split()
        if point.label == "B":
            samples = samples[::-1]
        labels = (point.each.better, point.each.worse)
        for seat, sample, label in zip(("better", "worse"), samples, labels, strict=True):
            text = sample.response or ""
            key = (point.group, point.each.view, *text.split())
            if key not in seen and WITNESS[point.each.view](text) is (label == "Yes"):
                seen.add(key)
                yield _alone(point, point.each.view, seat, sample, label, seed)


def _alone(point: Point, view_name: str, seat: str, sample: Sample, label: str, seed: int) -> Point:
    name, view = f"{point.id}~{seat}~score", find_view(view_name)
    return replace(
        point,
        id=name,
        sample=sample.model_copy(update={"id": name}),
        criterion=Criterion(
            name=view_name,
            question=view.questions[int(rank(seed, "wording", name) * len(view.questions))],
            scale=Scale.parse("/".join(view.labels)),
            labels=view.labels,
            needs=alone(point.criterion).needs,
            uses=point.criterion.uses,
        ),
        gold=label,
        critique=None,
        order=view.order,
        versus=(),
        perturb=(),
        each=None,
    )
