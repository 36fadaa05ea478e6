"""Which parts count while a run replaces those of an earlier one: no row is lost, and none counts twice."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from mene.runs.parts.manifest import Part


def counting(
    old: Iterable[Part], new: Iterable[Part], rows: Sequence[int | None]
) -> Iterator[Part]:
    """Yield the parts that count, in order: new ones, and old ones until all their rows have new verdicts.

    Parts of different lengths overlap. Of those that overlap each other, directly or through others, either all new ones count
    or all old ones. New ones that must wait are found again by the next run.

    Args:
        old, new: parts of an earlier run and of this one; within each, no row is in two parts.
        rows: number of rows of each table, None while unknown. Old verdicts on rows that are gone are not waited for.
    """
    every = sorted([*((part, False) for part in old), *((part, True) for part in new)], key=_place)
    for file, those in groupby(every, key=lambda one: one[0].file):
        end = rows[file]
        for group in _groups(those):
            before = [part for part, is_new in group if not is_new]
            after = [part for part, is_new in group if is_new]
            yield from after if _covered(before, after, end) else before


def apart(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield parts without those that overlap an earlier one; mene wrote such manifests once."""
    file, end = -1, 0
    for part in sorted(parts, key=lambda part: (part.file, part.first)):
        if part.file != file or part.first >= end:
            file, end = part.file, end_of(part)
            yield part


def end_of(part: Part) -> int:
    """Return the position after a part's last row."""
    return part.first + part.rows


def _place(one: tuple[Part, bool]) -> tuple[int, int]:
    return one[0].file, one[0].first


def _groups(parts: Iterable[tuple[Part, bool]]) -> Iterator[list[tuple[Part, bool]]]:
    """Yield the parts of one table in groups, so that no part overlaps one of another group."""
    group: list[tuple[Part, bool]] = []
    end = 0
    for one in parts:
        if group and one[0].first >= end:
            yield group
            group = []
        group.append(one)
        end = max(end, end_of(one[0]))
    if group:
        yield group


def _covered(old: Iterable[Part], new: Iterable[Part], end: int | None) -> bool:
    """Return whether the new parts have all rows of the old ones before the end of the table."""
    rest = iter(new)
    one = next(rest, None)
    for part in old:
        at, last = part.first, min(end_of(part), sys.maxsize if end is None else end)
        while at < last:
            while one is not None and end_of(one) <= at:
                one = next(rest, None)
            if one is None or one.first > at:
                return False
            at = end_of(one)
    return True
