"""Which points get a pair of critiques, from the sets or a teacher, after the filters by span and by scorer."""

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
    """Return points with critiques for their label and a wrong one, by name; and the cost of the answers.

    Args:
        side: returns the side of the split for a point; critiques are borrowed from the same side.
        stages: ``critiques``, ``spans`` and ``scorer`` count what is made and left out.
        path: the file of answers (``kept.py``); created where a teacher or a scorer is asked.
        teacher, scorer, events: as for ``curate``.

    Raises:
        MeneError: the teacher or the scorer as a whole failed, or the file of answers cannot be used.
    """
    share, margin, seed = recipe.data.argued, recipe.data.margin, recipe.seed
    if not share:
        return {}, None
    # No prompt shows two responses, so there is nothing to argue about.
    if recipe.data.compare == "pointwise":
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
    """Return a function that emits answers as progress events; its first call gives the total."""
    return lambda done, total: events(Advance(work) if done else Begin(work, total))
