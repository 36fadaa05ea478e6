"""The manifest of a folder of parts: its judge and criteria, and the parts that count, in the order of the rows.

A part is named by the hash of all that determines it: the run (model, prompt, settings, criterion), the file, the position
of its first row and the rows themselves. So a part that is written twice is the same, and a restarted run knows which rows are
done without reading a verdict. Parts that the last run did not ask for move to ``earlier/``; their verdicts are reused by
any run with the same requests, as in a ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mene.criterion import Criterion
from mene.errors import LedgerError
from mene.runs.parts.storage import joined, read_bytes, sizes_in, write_bytes
from mene.runs.summary import Summary

NAME = "manifest.json"
EARLIER = "earlier"  # the folder of parts that currently do not count
Form = Literal["parquet", "jsonl"]
ENDINGS = (".parquet", ".jsonl")


class Part(BaseModel):
    """A part that counts.

    Attributes:
        name: file name.
        file: index of its table in ``Manifest.files``.
        first: position of its first row in that table, from 0; ``rows``: number of rows, each with one verdict per criterion.
        mark: hash of the run and the rows (``on_ray.blocks``).
        size: bytes of the file, to detect truncation.
        summaries: criterion -> the sums over its verdicts (``sums``).
        overall: counts for a set of criteria with rules (``overall.counted``); else empty.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    file: int = Field(ge=0)
    first: int = Field(ge=0)
    rows: int = Field(ge=0)
    mark: str
    size: int = Field(ge=0)
    summaries: dict[str, dict[str, Any]] = Field(default_factory=dict)
    overall: list[float] = Field(default_factory=list)


class Manifest(BaseModel):
    """The contents of a folder of parts.

    Attributes:
        mene: the version that wrote it.
        judge: name of the judge; another run must not change it, nor drop ``criteria``.
        criteria: name -> question for a user's own question; else empty.
        run: hash of model, prompt, settings and criterion.
        complete: whether every row of ``files`` has its part.
        files: the tables, in order; ``rows`` of each, None while unknown.
    """

    model_config = ConfigDict(extra="forbid")

    mene: str
    judge: str
    criteria: dict[str, str]
    run: str
    form: Form = "parquet"
    complete: bool = False
    files: list[str] = Field(default_factory=list)
    rows: list[int | None] = Field(default_factory=list)
    parts: list[Part] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fits(self) -> Manifest:
        if len(self.rows) != len(self.files):
            raise ValueError("files and rows are not of one length")
        if any(part.file >= len(self.files) for part in self.parts):
            raise ValueError("a part is of no table in files")
        return self


def load(folder: str) -> Manifest | None:
    """Return the manifest of a folder; None where there is none.

    Raises:
        LedgerError: the file is something else, or incomplete.
    """
    path = joined(folder, NAME)
    found = read_bytes(path)
    if found is None:
        return None
    try:
        return Manifest.model_validate_json(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        why = f'field "{where}": {first["msg"]}' if where else first["msg"]
        raise LedgerError(
            f"{path}: not a manifest of mene: {why}; give another folder, or "
            "remove this file: parts lend their verdicts without it"
        ) from None


def asked_of(criteria: Iterable[Criterion]) -> dict[str, str]:
    """Return the manifest's form of some criteria: name -> question for a user's own question; else empty."""
    return {one.name: one.own_question for one in criteria}


def check_folder(folder: str, judge: str, criteria: Mapping[str, str]) -> Manifest | None:
    """Check that a folder of parts belongs to this judge and these criteria; return its manifest, if any.

    A run may add criteria to those of the last run. It must not drop any: their verdicts would vanish from reports.

    Args:
        criteria: as in ``Manifest``.

    Raises:
        LedgerError: it belongs to another judge or other criteria, or its manifest is invalid.
    """
    found = load(folder)
    if found is None:
        return None
    if found.judge != judge or not found.criteria.items() <= criteria.items():
        raise LedgerError(
            f"{folder} holds the verdicts of {found.judge} on {_said(found.criteria)}, and this is {judge} on {_said(criteria)}; "
            "give another folder with -o"
        )
    return found


def _said(criteria: Mapping[str, str]) -> str:
    return ", ".join(f"“{question or name}”" for name, question in criteria.items())


def save(folder: str, manifest: Manifest) -> None:
    """Write the manifest, completely or not at all, with parts in the order of the rows."""
    manifest.parts.sort(key=lambda part: (part.file, part.first))
    write_bytes(joined(folder, NAME), manifest.model_dump_json(indent=1).encode())


def parts_in(folder: str) -> dict[str, int]:
    """Return the parts in a folder: name -> bytes."""
    every = sizes_in(folder).items()
    return {n: size for n, size in every if n.startswith("part-") and n.endswith(ENDINGS)}


def mark_of(name: str) -> str:
    """Return the hash in a part's name."""
    return name.rpartition("-")[2].partition(".")[0]


def sums(summary: Summary) -> dict[str, Any]:
    """Return a summary as JSON data, without zeros."""
    said = {**vars(summary), "labels": dict(summary.labels), "usage": vars(summary.usage)}
    said.pop("taken")
    return {name: value for name, value in said.items() if value and value != [0.0, 0.0]}


def add_sums(whole: Summary, part: dict[str, Any], reused: bool = False) -> None:
    """Add the sums of a part to those of a run.

    Args:
        reused: the part existed before the run: its rows count as reused, and cost nothing.
    """
    for name, value in part.items():
        if name == "labels":
            whole.labels.update(value)
        elif name == "usage":
            if not reused:
                for kind, tokens in value.items():
                    setattr(whole.usage, kind, getattr(whole.usage, kind) + tokens)
        elif name in ("seconds", "explaining_s", "unkept"):
            continue
        elif name in ("judged", "written") and reused:
            if name == "judged":
                whole.reused += value
        elif isinstance(value, list):
            there = getattr(whole, name)
            there[:] = [a + b for a, b in zip(there, value, strict=True)]
        else:
            setattr(whole, name, getattr(whole, name) + value)
