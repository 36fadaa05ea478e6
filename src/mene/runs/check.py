"""Early errors for a table that cannot be judged at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from mene.criterion import Criterion
from mene.errors import UsageError
from mene.runs.columns import check_mapped, columns_of, has_field, lacking, listed
from mene.runs.tables import Row
from mene.sample import each

FIRST = 20  # rows of a pipe or a frame to look at


def check_columns(path: str, criterion: Criterion, names: dict[str, str]) -> None:
    """Check that a file has all columns that the criterion, or ``--map``, names.

    Raises:
        UsageError: names all missing columns and how to map others.
    """
    _refuse(path, criterion, names, *lacking(path, _wanted(criterion, names), names))


def check_first(
    rows: Iterable[Row | None],
    criterion: Criterion,
    names: dict[str, str],
    path: str = "standard input",
) -> Iterator[Row | None]:
    """Like ``check_columns``, for a pipe, which can be read only once: check its first ``FIRST`` rows, and yield all rows.

    Args:
        rows: as for ``tables.live``; rows with a criterion of their own are not checked. When the writer pauses, the rows so
            far are passed on, since it may be waiting for its verdicts.

    Raises:
        UsageError: as for ``check_columns``.
    """
    coming = iter(rows)
    held: list[Row | None] = []
    columns: dict[str, None] = {}
    bad = 0
    for row in coming:
        if row is None and not held:
            continue  # before the first row
        held.append(row)
        if row is None or (row.sample is not None and row.criterion in (None, criterion)):
            return chain(held, coming)
        if row.criterion not in (None, criterion):
            continue
        columns.update(dict.fromkeys(row.columns))
        bad += 1
        if bad == FIRST:
            break
    if columns:
        wanted = _wanted(criterion, names)
        missing = [field for field in wanted if not has_field(field, columns, names)]
        _refuse(path, criterion, names, missing, list(columns))
    return chain(held, coming)


def check_frame(frame: Any, criteria: Iterable[Criterion]) -> None:
    """Check that a data frame with rows has the columns that each criterion needs, before a model is loaded.

    Raises:
        UsageError: names all missing columns.
    """
    columns = {name: None for row in each(frame.head(FIRST)) for name in columns_of(row)}
    if not columns:
        return
    for criterion in criteria:
        missing = [field for field in criterion.needs if not has_field(field, columns)]
        _refuse("the frame", criterion, {}, missing, list(columns), "rename a column")


def _wanted(criterion: Criterion, names: dict[str, str]) -> tuple[str, ...]:
    """Return the fields that a table must have: those that the criterion needs, and all of ``--map``."""
    return tuple(dict.fromkeys((*criterion.needs, *names)))


def _refuse(
    path: str,
    criterion: Criterion,
    names: dict[str, str],
    missing: Sequence[str],
    available: Sequence[str],
    advice: str = "",
) -> None:
    if not missing:
        return
    check_mapped(path, names, missing, available)
    need = next((field for field in missing if field.startswith("response")), missing[0])
    name = criterion.name
    pair = has_field("response_a", available, names) and has_field("response_b", available, names)
    if need == "response" and pair:
        raise UsageError(
            f"{path}: its rows are pairs (response_a and response_b), and {name} judges one response; use a criterion "
            f"that compares two, like -c preference, or {advice or 'choose one of them with --map response=COLUMN'}"
        )
    single = " (its rows have one response)" if has_field("response", available, names) else ""
    compares = " to compare two" if criterion.scale.kind == "pairwise" else ""
    fields = " and ".join(f'"{field}"' for field in missing)
    which = "which one it is" if len(missing) == 1 else "which they are"
    options = " ".join(f"--map {field}=COLUMN" for field in missing)
    raise UsageError(
        f"{path}: no column for {fields}, which {name} needs{compares}{single}; the columns are "
        f"{listed(available)}; {advice or f'say {which} with {options}'}"
    )
