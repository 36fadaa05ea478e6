"""Make the data of a recipe: raw sets in, training pairs and a report on every stage out.

``train.jsonl`` and ``dev.jsonl`` hold pairs (see ``pairs.py``), ``report.json`` what each stage left
out and why. The same recipe and files give the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mene.bench.data import named_folder
from mene.curate.clean import unique
from mene.curate.clean.check import Check, Row
from mene.curate.clean.decontaminate import Leaks, bench_texts
from mene.curate.critiques.critique import Argued
from mene.curate.critiques.kept import NAME
from mene.curate.critiques.reasons import reasons
from mene.curate.critiques.span import Spans
from mene.curate.make.extra import Extra
from mene.curate.make.pool import MOST, Pool
from mene.curate.make.registry import MAKERS
from mene.curate.mix import Side, balanced, rank, side_of
from mene.curate.own import own_points
from mene.curate.pairs import argued_pairs, pairs_of
from mene.curate.raw.files import left_out, unreadable, useless
from mene.curate.raw.sources import Point, Source, find_source, source_path
from mene.curate.report import Counts, Made, to_dict
from mene.curate.stage import Stage
from mene.curate.stream import Place, Stream, opened, require
from mene.engines.base import Engine
from mene.errors import UsageError
from mene.events import Advance, Begin, Events, on_stderr
from mene.files import make_folder, write_whole
from mene.recipe import Recipe


def folders(data: Path | None) -> tuple[Path, Path]:
    """Return the folders of raw sets and of benchmarks in a data folder (``--data`` or ``MENE_DATA``).

    Raises:
        UsageError: none given, or one of the two is missing.
    """
    given = named_folder(data)
    if given is None:
        raise UsageError(
            "say where the data are with --data or MENE_DATA: a folder with train/ and bench/"
        )
    for name in ("train", "bench"):
        if not (given / name).is_dir():
            raise UsageError(
                f"{given / name}: no such folder; --data is a folder with train/ (raw sets) and bench/ "
                "(benchmarks, which are kept out of the training data)"
            )
    return given / "train", given / "bench"


def needs_sets(recipe: Recipe) -> bool:
    """Return whether a recipe reads raw sets. One that does not can be curated without a data folder."""
    return bool(recipe.data.sources) or any(MAKERS[name].reads for name in recipe.data.make)


def curate(
    recipe: Recipe,
    raw: Path | None,
    bench: Path | None,
    output: Path,
    *,
    engine: str = "local",
    teacher: Engine | None = None,
    scorer: Callable[[], Engine] | None = None,
    events: Events = on_stderr,
) -> Made:
    """Make the training pairs of a recipe, and return the counts for the report.

    Args:
        raw: folder of raw sets; may be None where the recipe reads none (``needs_sets``).
        bench: folder of the benchmarks, whose texts are excluded; None: nothing is known to be excluded.
        output: folder for the results; files of an earlier run are replaced as a whole, at the end.
        engine: reads and checks rows, one of ``stream.ENGINES``; all give the same bytes.
        teacher: writes critiques for the labels, if the recipe wants critiques; without one, reasons come from the sets.
        scorer: opens the engine that must prefer chosen critiques to rejected ones; called when there are pairs to
            compare (the teacher may be closed by then). Answers of both are appended to ``critiques.jsonl`` in
            ``output`` as they arrive, so that a stopped run can continue without repeating them.
        events: receives progress of ``benchmarks``, then of each set under its name (one step per point read), of ``critiques``
            and ``comparisons`` (one step per answer, stored ones included), and repairs of ``critiques.jsonl``.

    Raises:
        UsageError: a set is missing, or a generator cannot work here (both before the work begins); or a set is
            damaged or empty.
        ModelError: the engine, or the package that finds near-duplicates, is not installed.
    """
    require(engine)
    raw = raw or Path()  # nothing is read from it
    sources = _sources(recipe, raw)
    make_folder(output)
    run = _Run(recipe, raw, events)
    own = list(own_points(recipe.data.own, lambda table, text: run.counts[table.name].broke(text)))
    # A generator that cannot work here fails now; the work itself comes later.
    makers = {
        name: MAKERS[name].points(recipe.seed, most, raw, run.counts[name].broke)
        for name, most in recipe.data.make.items()
    }
    events(Begin("benchmarks"))
    with opened(engine) as place:
        texts = () if bench is None else bench_texts(bench)
        check = Check(place.index(texts), recipe.data.longest, recipe.seed)
        chosen = _of_sets(run, sources, check, place)
    chosen += _of_own(run, own, check)
    # Constructed points differ in small details on purpose, and never repeat, so they are not checked for near-duplicates.
    chosen += _of_makers(run, makers, check)
    chosen.sort(key=run.order)
    argued, price = reasons(
        chosen,
        recipe,
        run.side,
        run.stages,
        output / NAME,
        teacher=teacher,
        scorer=scorer,
        events=events,
    )
    pairs = _write(run, chosen, argued, output)
    spans = Spans()
    spans.watch(argued.values())
    made = Made(run.counts, run.leaks, pairs, dict(run.stages), price, spans)
    text = json.dumps(to_dict(made), indent=1, ensure_ascii=False)
    write_whole(output / "report.json", f"{text}\n")
    return made


class _Run:
    """What all steps of one run share: the settings and the counts."""

    def __init__(self, recipe: Recipe, raw: Path, events: Events) -> None:
        self.recipe, self.raw, self.events = recipe, raw, events
        own = (table.name for table in recipe.data.own)
        self.counts = {name: Counts() for name in (*recipe.data.sources, *own, *recipe.data.make)}
        self.leaks = Leaks()
        self.stages: dict[str, Stage] = defaultdict(Stage)

    def side(self, point: Point) -> Side:
        return side_of(point, self.recipe.data.development, self.recipe.seed)

    def order(self, point: Point) -> tuple[float, str]:
        """Return a sort key that mixes sets and tasks, since training reads points in this order."""
        return rank(self.recipe.seed, "order", point.id, point.criterion.name), point.id


def _sources(recipe: Recipe, raw: Path) -> list[Source]:
    """Return the sets of a recipe, after checking that they and the sets for its makers exist."""
    sources = [find_source(name) for name in recipe.data.sources]
    for source in sources:
        path = source_path(raw, source)
        if not path.is_file():
            raise unreadable(path, source.name, FileNotFoundError())
    for maker in recipe.data.make:
        for name in MAKERS[maker].reads:
            if not (path := source_path(raw, find_source(name))).is_file():
                raise UsageError(
                    f"{path}: not there, and {maker} takes texts from it; give the folder of raw sets with --data, or "
                    f"drop {maker} from data.make"
                )
    return sources


def _of_sets(run: _Run, sources: list[Source], check: Check, place: Place) -> list[Point]:
    """Return the points taken from the sets, and those derived from them, in their order."""
    data, seed = run.recipe.data, run.recipe.seed
    chosen: list[Point] = []
    seen: set[bytes] | None = None if data.unique == "none" else set()
    extra = Extra(data, seed, run.side)
    stream = place.stream(run.raw, sources, check)
    for source in sources:
        run.events(Begin(source.name))
        points = _passing(run, _good(run, stream, source), source.name, seen)
        pool = Pool(MOST, seed)
        if extra.wanted:
            points = pool.watch(points)
        chosen += balanced(points, data.sources[source.name], seed)
        extra.make(source.name, pool.points())
    chosen += extra.take(chosen, run.stages)
    chosen.sort(key=run.order)
    if data.unique == "near":
        chosen = list(unique.near(chosen, run.stages["unique"], place.fold))
    return chosen


def _of_makers(run: _Run, makers: dict[str, Iterable[Point]], check: Check) -> Iterator[Point]:
    """Yield the points that are made by construction."""
    for name, points in makers.items():
        run.events(Begin(name))
        yield from _passing(run, (check.of([point], n) for n, point in enumerate(points)), name)


def _of_own(run: _Run, points: Iterable[Point], check: Check) -> Iterator[Point]:
    """Yield the points of the user's own tables. A row that two people labelled is there twice."""
    for number, point in enumerate(points):
        if not run.counts[point.source].read:
            run.events(Begin(point.source))
        yield from _passing(run, [check.of([point], number)], point.source)


def _good(run: _Run, stream: Stream, source: Source) -> Iterator[Row]:
    """Yield the rows of a set that are not broken; the others are counted."""
    path, good = source_path(run.raw, source), False
    for row in stream.rows(source):
        if row.broken is not None:
            run.counts[source.name].broke(left_out(path, row.number, row.broken))
            continue
        good = good or row.read > 0
        yield row
    if not good:
        raise useless(path, source.name)


def _passing(
    run: _Run, rows: Iterable[Row], name: str, seen: set[bytes] | None = None
) -> Iterator[Point]:
    """Yield the points that pass all checks; the others are counted.

    Args:
        seen: keys of earlier points, which are not repeated; None: repeats are allowed.
    """
    mine = run.counts[name]
    for row in rows:
        mine.read += row.read
        mine.too_long += row.too_long
        mine.in_bench += len(row.leaks)
        for leak in row.leaks:
            run.leaks.add(leak)
        if row.read:
            run.events(Advance(name, row.read))
        if seen is None:
            yield from row.points
        else:
            yield from unique.exact(row.points, row.keys, seen, run.stages["unique"])


def _write(run: _Run, chosen: list[Point], argued: dict[str, Argued], output: Path) -> Counter[str]:
    """Write the pairs of the chosen points to ``train`` or ``dev``, and return their counts."""
    pairs: Counter[str] = Counter()
    parts = {side: output / f"{side}.jsonl.part" for side in ("train", "dev")}
    files = {side: path.open("w", encoding="utf-8") for side, path in parts.items()}
    try:
        for point in chosen:
            side = run.side(point)
            mine = run.counts[point.source]
            mine.kept[side] += 1
            mine.labels[f"{point.task}: {point.label}"] += 1
            written = list(pairs_of(point, run.recipe))
            if one := argued.get(point.name):
                written += argued_pairs(one, run.recipe, run.stages)
            for pair in written:
                files[side].write(pair.to_json() + "\n")
                pairs[side] += 1
                mine.pairs += 1
    finally:
        for file in files.values():
            file.close()
    for side, path in parts.items():
        path.replace(output / f"{side}.jsonl")
    return pairs
