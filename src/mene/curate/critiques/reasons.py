"""Which points get a pair with reasons: from the sets or a teacher, as far as they rest on something and a scorer agrees."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from mene.curate.critiques.critique import Argued, borrowed, taught
from mene.curate.critiques.kept import Answers, Price
from mene.curate.critiques.prefer import preferred
from mene.curate.critiques.span import resting
from mene.curate.mix import template_of
from mene.curate.raw.sources import Point
from mene.curate.stage import Stage
from mene.engines.base import Engine
from mene.events import Advance, Begin, Events, warner
from mene.recipe import Recipe


def reasons(
    points: Iterable[Point],
    recipe: Recipe,
    side: Callable[[Point], str],
    stages: dict[str, Stage],
    path: Path,
    *,
    teacher: Engine | None,
    scorer: Callable[[], Engine] | None,
    events: Events,
) -> tuple[dict[str, Argued], Price | None]:
    """Points with a reason for their label and for a wrong one, by name; and what the answers cost.

    Args:
        side: the side of a split that a point goes to; reasons are borrowed from the same one.
        stages: ``critiques``, ``spans`` and ``scorer`` are told of what is made and left out.
        path: the file of answers (``kept.py``); made where a teacher or a scorer is asked.
        teacher, scorer, events: as of ``curate``.

    Raises:
        MeneError: the teacher or the scorer as a whole failed, or the file of answers cannot be used.
    """
    share, margin, seed = recipe.data.critiques, recipe.data.margin, recipe.seed
    if not share:
        return {}, None
    if recipe.data.compare == "pointwise":  # no prompt shows two responses, so none is argued about
        points = [point for point in points if point.criterion.scale.kind != "pairwise"]

    def on_span(pairs: Iterable[Argued]) -> list[Argued]:
        return list(resting(pairs, stages["spans"]) if recipe.data.require_span else pairs)

    stage = stages["critiques"]
    if teacher is None and scorer is None:
        found = on_span(borrowed(points, share, seed, side, stage))
        return {one.point.name: one for one in found}, None
    with Answers(path, warner(events)) as answers:
        if teacher is None:
            pairs = on_span(borrowed(points, share, seed, side, stage))
        else:
            pairs = on_span(
                taught(
                    points,
                    share,
                    seed,
                    answers.through(teacher),
                    lambda point: template_of(point, recipe.data.templates, seed),
                    stage,
                    _counting(events, "critiques"),
                )
            )
        if scorer is not None and margin and pairs:
            pairs = list(
                preferred(
                    pairs,
                    answers.through(scorer()),
                    margin,
                    stages["scorer"],
                    _counting(events, "comparisons"),
                )
            )
        return {one.point.name: one for one in pairs}, answers.price


def _counting(events: Events, work: str) -> Callable[[int, int], None]:
    """Answers as they come, of which the first call says how many there will be."""
    return lambda done, total: events(Advance(work) if done else Begin(work, total))
