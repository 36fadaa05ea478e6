"""A text and what construction says of it, as a point."""

from __future__ import annotations

import hashlib
from random import Random

from mene.criterion import Criterion
from mene.curate.make.derive import preferring
from mene.curate.raw.sources import Point, View
from mene.sample import Sample
from mene.scale import Scale


def group_of(source: str, *parts: object) -> str:
    """The group of everything that is made from the same texts: it stays on one side of the split."""
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return f"{source}:{hashlib.blake2b(text, digest_size=8).hexdigest()}"


def single(
    name: str,
    group: str,
    view_name: str,
    view: View,
    sample: dict[str, str],
    label: str,
    draw: Random,
    *,
    scale: Scale | None = None,
    critique: str | None = None,
    rejected: str | None = None,
) -> Point:
    """A response by itself.

    Args:
        name: the id, ``NAME/…``.
        view: its question in several wordings, of which one is drawn; and what the labels mean.
        sample: field -> text; all of them are shown.
        scale: of scores; default: the labels of the view.
        critique, rejected: a reason for the label, and a false one for the other label of the view.
    """
    scores = scale is not None
    fields = tuple(sample)
    other = next((one for one in view.labels if one != label), label)
    return Point(
        id=name,
        source=name.partition("/")[0],
        sample=Sample(id=name, **sample),
        criterion=Criterion(
            name=view_name,
            question=draw.choice(view.questions),
            scale=scale or Scale.parse("/".join(view.labels)),
            labels=view.labels,
            needs=fields,
            uses=fields,
        ),
        gold=float(label) if scores else label,
        critique=critique,
        rejected=(other, rejected) if rejected else None,
        group=group,
        order=() if scores else view.order,
        versus=view.versus,
    )


def pair(better: Point, worse: Point, seed: int, wordings: tuple[str, ...] = ()) -> Point:
    """The point that prefers one response to another one to the same request; the seat is drawn.

    Args:
        wordings: of the question; default: those of the view of ``better``.
    """
    return preferring(
        better, worse.sample.response or "", f"{worse.id.rpartition('/')[2]}~versus", seed, wordings
    )
