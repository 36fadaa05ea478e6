"""The rows of ``mene tune``: which of them teach, and which are held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mene.bench.data import named_folder
from mene.cli.console import Screen, note
from mene.criterion import load_criterion
from mene.curate.mix import fits, side_of
from mene.curate.own import own_points
from mene.curate.pair import read_pairs
from mene.curate.pairs import pairs_of
from mene.curate.raw.sources import Point
from mene.curate.run import curate
from mene.errors import UsageError
from mene.events import Begin, Event, Events
from mene.recipe import Own, Recipe
from mene.runs.tables import read_rows

LEAST = 40  # rows: fewer can neither teach nor show anything
LEAST_HELD = 8  # groups of rows


def divided(recipe: Recipe, data: Path, errors: Console) -> tuple[list[Point], int]:
    """Make the pairs, say what was left out, and return the rows that only measure, and the number of rows left out.

    Raises:
        UsageError: either part has too few rows, or only one label.
    """
    [table] = recipe.data.own
    made = curate(recipe, None, _benchmarks(), data, events=_told(errors))
    counts = made.counts[table.name]
    always = Screen(stderr=True)
    for text in counts.broken_rows:
        note(always, text)
    if counts.broken > len(counts.broken_rows):
        note(always, f"… and {counts.broken - len(counts.broken_rows):,} more")
    if counts.too_long:
        longest = recipe.data.longest
        note(
            always,
            f"{counts.too_long:,} rows of more than {longest:,} characters left out (--longest)",
        )
    if counts.in_bench:
        note(always, f"{counts.in_bench:,} rows left out, which are in a benchmark")
    kept = {pair.id for side in ("train", "dev") for pair in read_pairs(data / f"{side}.jsonl")}
    points = [point for point in own_points((table,)) if _is_kept(point, recipe, kept)]
    held = [p for p in points if side_of(p, recipe.data.development, recipe.seed) == "dev"]
    _check_parts(table.rows, points, held)
    if unlabelled := _unlabelled(table):
        errors.print(f"{unlabelled:,} rows without a label are not used")
    errors.print(f"{len(points) - len(held):,} rows to train on, {len(held):,} held out")
    return held, counts.broken + counts.too_long + counts.in_bench


def _unlabelled(table: Own) -> int:
    rows = read_rows(table.rows, table.map or None, load_criterion(table.criterion, table.scale))
    return sum(row.sample is not None and row.sample.label is None for row in rows)


def _is_kept(point: Point, recipe: Recipe, kept: set[str]) -> bool:
    """Return whether a point passed all checks of curation. A tie that is judged pointwise gives no pair to train on."""
    pairs = [pair.id for pair in pairs_of(point, recipe)]
    return any(name in kept for name in pairs) or (not pairs and fits(point, recipe.data.longest))


def _check_parts(path: str, points: Sequence[Point], held: Sequence[Point]) -> None:
    if len(points) < LEAST:
        raise UsageError(
            f"{path}: {len(points):,} rows with a label to train on, and at least {LEAST} are needed; 100 to 1,000 are better. "
            "With fewer, `mene align` measures the judge"
        )
    groups = {point.group for point in held}
    taught = {point.label for point in points if point.group not in groups}
    if len(groups) < LEAST_HELD or len({point.label for point in held}) < 2 or len(taught) < 2:
        raise UsageError(
            f"{path}: {len(points)} rows of {len({p.group for p in points})} different contexts or texts, of which {len(groups)} "
            f"would be held out; {LEAST_HELD} are needed, and two labels in either part. Give more rows, or another --held-out"
        )


def _benchmarks() -> Path | None:
    """Return the folder of benchmarks, whose rows must not be trained on, where ``MENE_DATA`` says where they are."""
    named = named_folder(None)
    places = () if named is None else (named / "bench", named)
    return next((place for place in places if any(place.glob("*.jsonl.gz"))), None)


def _told(errors: Console) -> Events:
    def events(event: Event) -> None:
        if event == Begin("benchmarks") and named_folder(None):
            errors.print("comparing the rows with the benchmarks of MENE_DATA …")

    return events
