"""Benchmark files: finding them, checking that they are complete, and reading their rows as samples with gold labels."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mene.bench.sets import BenchSet, all_sets
from mene.criterion import Criterion
from mene.errors import SampleError, UsageError
from mene.events import Events, Warn, on_stderr
from mene.files import whole, write_whole
from mene.labelled import LabelledQuestion
from mene.sample import Sample
from mene.scale import Scale
from mene.stats.shared import shared
from mene.verdict import hash_of

WHERE = (
    "mene's benchmark files are JSON lines, one `NAME.jsonl.gz` per set with a `manifest.json`; "
    "docs/bench.md says where each set comes from"
)


@dataclass(frozen=True, slots=True)
class Item(LabelledQuestion):
    """One row of a benchmark; the id of its sample is unique in the set.

    Attributes:
        group: from the file; else rows with the same context or text form a group.
        raw: the label as in the file.
        part: sub-task (``source`` in the file).
    """

    raw: str
    part: str


def named_folder(given: Path | None) -> Path | None:
    """Return the folder that ``--data`` names, else the one that ``MENE_DATA`` names, else None."""
    return given or (Path(os.environ["MENE_DATA"]) if os.environ.get("MENE_DATA") else None)


def data_folder(given: Path | None) -> Path:
    """Return the folder with the benchmark files: ``--data``, or ``MENE_DATA``, or ``bench/`` inside it.

    Raises:
        UsageError: neither is given, or the folder is empty.
    """
    named = named_folder(given)
    if named is None:
        raise UsageError(f"say where the benchmark files are with --data or MENE_DATA; {WHERE}")
    for folder in (named / "bench", named):
        if (folder / "manifest.json").is_file():
            return folder
    raise UsageError(f"{named}: no benchmark files here (no manifest.json); {WHERE}")


def set_path(folder: Path, one: BenchSet) -> Path | None:
    """Return the path of the set's file, or None where it is missing."""
    path = folder / f"{one.name}.jsonl.gz"
    return path if path.is_file() else None


def whole_sets(chosen: list[BenchSet], folder: Path) -> list[BenchSet]:
    """Return the sets, with published sets in place of their partial versions where their files exist."""
    known = all_sets()
    found = {}
    for one in chosen:
        published = known.get(one.stands_for or "")
        best = published if published is not None and set_path(folder, published) else one
        found[best.name] = best
    return list(found.values())


def read_set(folder: Path, one: BenchSet, events: Events = on_stderr) -> list[Item]:
    """Return all rows of a set.

    Args:
        events: receives a warning if the manifest does not list the file, so that its completeness cannot be checked.

    Raises:
        UsageError: the file is missing or damaged, or a label is off its scale (names the row).
    """
    path = set_path(folder, one)
    if path is None:
        raise UsageError(f"{one.name}: {folder / (one.name + '.jsonl.gz')} is not there; {WHERE}")
    _check(folder, one, path, events)
    items: list[Item] = []
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise UsageError(
                        f"{path}, line {number}: not a JSON object; download the file again"
                    )
                items.append(_item(one, row, f"{path}, line {number}"))
    except (OSError, EOFError, ValueError) as error:
        raise UsageError(f"{path}: damaged ({error}); download the file again") from None
    if not items:
        raise UsageError(f"{path}: empty; download the file again")
    ids = {item.sample.id for item in items}
    if len(ids) < len(items):
        raise UsageError(f"{path}: {len(items) - len(ids)} rows have the id of another row")
    return items


def write_set(name: str, rows: list[dict[str, Any]], folder: Path) -> Path:
    """Write a set and its manifest entry into a data folder; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path, manifest = folder / f"{name}.jsonl.gz", folder / "manifest.json"
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    data = gzip.compress(text.encode("utf-8"), mtime=0)
    known = json.loads(manifest.read_text("utf-8")) if manifest.exists() else {}
    digest = hashlib.sha256(data).hexdigest()
    known[name] = {"rows": len(rows), "sha256": digest, "bytes": len(data)}
    with whole(path) as file:
        file.write(data)
    write_whole(manifest, json.dumps(known, indent=1))
    return path


def _check(folder: Path, one: BenchSet, path: Path, events: Events) -> None:
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        wanted = manifest.get(one.name, {}).get("sha256")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{folder / 'manifest.json'}: damaged ({error}); download it again"
        ) from None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if wanted is None:
        said = (
            f"{path}: manifest.json does not list it, so mene cannot check that it is complete; "
            f"`mene bench --get {one.name}` gets it from its publisher, where that is known"
        )
        events(Warn(said))
    elif found != wanted:
        raise UsageError(
            f"{path}: damaged or changed: SHA-256 {found[:12]}…, and manifest.json says "
            f"{wanted[:12]}…; download the file again"
        )


def _item(one: BenchSet, row: dict[str, Any], where: str) -> Item:
    try:
        # Other fields, such as a label that is not the gold label, or a rubric, must not reach the judge.
        sample = Sample.from_row({k: row.get(k) for k in FIELDS})
    except SampleError as error:
        raise UsageError(f"{where}: {error}") from None
    try:
        criterion = _criterion(one, row)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{where}: the rubric or scale is wrong: {error}") from None
    raw = str(row.get("label"))
    gold: str | float | None
    if criterion.scale.kind == "ordinal":
        try:
            gold = float(raw)
        except ValueError:
            gold = None
        if gold is not None and not criterion.scale.values[0] <= gold <= criterion.scale.values[-1]:
            gold = None
    else:
        mapped = raw if one.gold is None else one.gold.get(raw.casefold())
        gold = None if mapped is None else criterion.scale.match(mapped)
    if gold is None:
        # Ties in a set that is scored without them are kept: they are judged and reported separately.
        if one.headline and raw not in one.headline.get("label", [raw]):
            gold = ""
        else:
            raise UsageError(f'{where}: label "{raw}" is not on the scale {criterion.scale}')
    field = one.part_groups.get(str(row.get("source"))) or one.group
    group = row.get(field) if field else None
    return Item(
        sample,
        criterion,
        gold,
        hash_of(shared(sample) if group is None else str(group)),
        raw,
        str(row.get("source", "")),
    )


FIELDS = ("id", "instruction", "response", "response_a", "response_b", "context", "reference")


def _criterion(one: BenchSet, row: dict[str, Any]) -> Criterion:
    if isinstance(one.criterion, Criterion):
        return one.criterion
    rubric = row.get("rubric") or ""
    low, high = row.get("scale") or (1, 5)
    question, labels = rubric, {}
    if isinstance(rubric, dict):
        question = rubric["criteria"]
        labels = {str(i): rubric[f"score{i}"] for i in range(int(low), int(high) + 1)}
    if one.question:
        question = row[one.question]
    given: dict[str, Any] = {
        "name": one.name,
        "question": question,
        "scale": Scale.likert(int(low), int(high)),
        "labels": labels,
        "needs": ("instruction", "response"),
        "uses": ("context", "reference"),
    }
    given |= one.row_criterion
    return Criterion.model_validate(given)


def stratified(
    items: list[Item], limit: int | None, seed: int = 0, *, whole_groups: bool = False
) -> list[Item]:
    """Return a random sample of about ``limit`` rows with parts in proportion, in file order.

    A larger limit includes the sample of a smaller one up to rounding, so that a ledger is reused.

    Args:
        whole_groups: never divide groups, where the metric is computed within each; the sample may then be slightly larger or
            smaller than ``limit``.
    """
    if limit is None or limit >= len(items):
        return items
    units: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, item in enumerate(items):
        units[item.part][item.group if whole_groups else item.sample.id].append(place)
    ranked: list[tuple[float, str, list[int]]] = []
    for part in units.values():
        order = sorted(
            (_rank(items[places[0]].sample.id, seed), places) for places in part.values()
        )
        # The k-th unit of a part is at relative position (k + 0.5) / units; take units by relative position.
        ranked += [((k + 0.5) / len(order), rank, places) for k, (rank, places) in enumerate(order)]
    kept: list[int] = []
    for _, _, places in sorted(ranked):
        if kept and len(kept) + len(places) / 2 > limit:
            break
        kept += places
    return [items[place] for place in sorted(kept)]


def _rank(name: str, seed: int) -> str:
    return hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).hexdigest()
