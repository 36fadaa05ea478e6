"""Benchmarks in their original public form: from the publisher's file to the rows that `data.py` reads.

A set's YAML says where the file is, and a function in `sets/` reads it. Rows keep the publisher's order.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from mene.bench.data import write_set
from mene.bench.sets import Public, all_sets
from mene.errors import ModelError, UsageError, nearest


def public_of(name: str) -> Public:
    """Return where a set is published.

    Raises:
        UsageError: there is no such set, or mene cannot read its public form.
    """
    known = {one.name: one.public for one in all_sets().values() if one.public is not None}
    if name not in known:
        raise UsageError(
            f'mene cannot read "{name}" in its public form{nearest(name, known)}; it can: {", ".join(known)}'
        )
    return known[name]


def convert(name: str, source: Path) -> list[dict[str, Any]]:
    """Read a publisher's file (JSON, JSON lines, CSV or Parquet) into rows.

    Raises:
        UsageError: no such form, or the file has another one (names the record).
    """
    public = public_of(name)
    reader: Callable[..., Iterable[dict[str, Any]]]
    reader = import_module(f"mene.bench.sets.{public.reader or name}").rows
    rows: list[dict[str, Any]] = []
    try:
        for row in reader(_records(source, public.form), **public.options):
            rows.append(row)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UsageError(
            f"{source}: record {len(rows) + 1} is not one of {name} "
            f"({type(error).__name__}: {error}); is it the file that `mene bench --list` names?"
        ) from None
    return rows


def _records(source: Path, form: str | None) -> Any:
    form = form or source.suffix.removeprefix(".")
    if form == "csv":
        with source.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    if form == "parquet":
        import polars

        return polars.read_parquet(source).to_dicts()
    text = source.read_text("utf-8")
    if form == "jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return json.loads(text)


def obtain(name: str, folder: Path) -> tuple[Path, int]:
    """Download a set from its publisher and put it into a data folder.

    Returns:
        The file's path and its number of rows.

    Raises:
        ModelError: it cannot be downloaded.
        UsageError: mene cannot read the form.
    """
    public = public_of(name)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        for number, url in enumerate(public.files):
            rows += convert(name, _download(name, url, Path(place) / f"{number}{Path(url).suffix}"))
    for number, row in enumerate(rows if len(public.files) > 1 else []):
        row["id"] = f"{name}-{number:04d}"  # each file may count from 0
    return write_set(name, rows, folder), len(rows)


def _download(name: str, url: str, target: Path) -> Path:
    if url.startswith("hub:"):
        from huggingface_hub import hf_hub_download

        _, repository, file = url.split(":")
        file, _, revision = file.partition("@")
        try:
            return Path(
                hf_hub_download(repository, file, repo_type="dataset", revision=revision or None)
            )
        except Exception as error:
            raise ModelError(
                f"{name}: cannot download {url}: {error}; if it is gated, accept its terms on the hub and "
                "set HF_TOKEN"
            ) from None
    import httpx

    try:
        answer = httpx.get(url, follow_redirects=True, timeout=60).raise_for_status()
    except httpx.HTTPError as error:
        raise ModelError(
            f"{name}: cannot download {url}: {error}; check the connection and try again"
        ) from None
    target.write_bytes(answer.content)
    return target
