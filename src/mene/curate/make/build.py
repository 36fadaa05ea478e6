"""Building a point from a text and its known label."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from random import Random
from types import MappingProxyType

from mene.criterion import Criterion
from mene.curate.make.derive import preferring
from mene.curate.raw.sources import Point, View
from mene.sample import Sample
from mene.scale import Scale


def group_of(source: str, *parts: object) -> str:
    """Return the group of everything made from the same texts, which stays on one side of the split."""
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return f"{source}:{hashlib.blake2b(text, digest_size=8).hexdigest()}"


def made(
    name: str,
    group: str,
    about: str,
    question: str,
    scale: Scale,
    texts: dict[str, str],
    label: str,
    *,
    labels: Mapping[str, str] = MappingProxyType({}),
    value: float | None = None,
    critique: str | None = None,
    rejected: tuple[str, str] | None = None,
    order: tuple[str, ...] = (),
    versus: tuple[str, ...] = (),
) -> Point:
    """Return a generated point; all generators use this function.

    Args:
        name: the id, ``NAME/…``, with the generator's name.
        group: see ``group_of``.
        about: name of the criterion.
        texts: field -> text; all are shown.
        labels: label -> description.
        value: of a score.
        critique: for the label.
        rejected: another label, and a critique for it.
        order, versus: as for a task of a raw set.
    """
    return Point(
        id=name,
        source=name.partition("/")[0],
        sample=Sample(id=name, **texts),
        criterion=Criterion(
            name=about,
            question=question,
            scale=scale,
            labels=dict(labels),
            needs=tuple(texts),
            uses=(),
        ),
        gold=label if value is None else value,
        critique=critique,
        rejected=rejected,
        group=group,
        order=order,
        versus=versus,
    )


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
    """Return a point about a single response.

    Args:
        name: the id, ``NAME/…``.
        view: its question in several wordings, one of which is drawn, and the label descriptions.
        sample: field -> text; all are shown.
        scale: of scores; default: the labels of the view.
        critique, rejected: a critique for the label, and a false one for the view's other label.
    """
    scores = scale is not None
    other = next((one for one in view.labels if one != label), label)
    return made(
        name,
        group,
        view_name,
        draw.choice(view.questions),
        scale or Scale.parse("/".join(view.labels)),
        sample,
        label,
        labels=view.labels,
        value=float(label) if scores else None,
        critique=critique,
        rejected=(other, rejected) if rejected else None,
        order=() if scores else view.order,
        versus=view.versus,
    )


def pair(better: Point, worse: Point, seed: int, wordings: tuple[str, ...] = ()) -> Point:
    """Return the point that prefers one response to another to the same request, in a random order.

    Args:
        wordings: of the question; default: those of ``better``'s view.
    """
    return preferring(
        better, worse.sample.response or "", f"{worse.id.rpartition('/')[2]}~versus", seed, wordings
    )
