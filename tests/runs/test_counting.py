"""Which parts count while a run replaces an earlier one's: no row is lost, and none counts twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mene.runs.parts.counting import apart, counting, end_of
from mene.runs.parts.manifest import Part


def part(first: int, rows: int, name: str = "new", file: int = 0) -> Part:
    return Part(name=name, file=file, first=first, rows=rows, mark=f"{name}{first}", size=1)


def tiled(rows: int, size: int, name: str = "new") -> list[Part]:
    return [part(at, min(size, rows - at), name) for at in range(0, rows, size)]


def said(parts: list[Part]) -> list[tuple[str, int, int]]:
    return [(one.name, one.first, one.rows) for one in parts]


def test_an_old_part_counts_until_all_its_rows_are_replaced() -> None:
    old = tiled(36, 9, "old")
    stopped = list(counting(old, [part(0, 6), part(6, 6), part(12, 6), part(18, 6)], [None]))
    assert said(stopped) == [
        ("new", 0, 6), ("new", 6, 6), ("new", 12, 6), ("old", 18, 9), ("old", 27, 9),
    ]  # fmt: skip


def test_rows_that_are_gone_are_not_waited_for() -> None:
    old = tiled(18, 9, "old")
    assert said(list(counting(old, tiled(12, 6), [12]))) == [("new", 0, 6), ("new", 6, 6)]
    assert said(list(counting(old, [part(0, 9)], [9]))) == [("new", 0, 9)]
    assert said(list(counting(old, tiled(12, 6), [None]))) == said(old)


def test_tables_are_apart() -> None:
    old = [part(0, 9, "old"), part(0, 9, "old", file=1)]
    found = list(counting(old, [part(0, 9)], [None, None]))
    assert [(one.name, one.file) for one in found] == [("new", 0), ("old", 1)]


@given(
    rows=st.integers(1, 60),
    sizes=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    there=st.sets(st.integers(0, 60)),
)
def test_every_old_row_counts_once(rows: int, sizes: tuple[int, int], there: set[int]) -> None:
    old = tiled(rows, sizes[0], "old")
    new = [one for n, one in enumerate(tiled(rows, sizes[1])) if n in there]
    found = [at for one in counting(old, new, [None]) for at in range(one.first, end_of(one))]
    assert found == list(range(rows))
    assert list(counting(old, tiled(rows, sizes[1]), [rows])) == tiled(rows, sizes[1])


def test_a_manifest_that_counts_rows_twice_is_read_once() -> None:
    mixed = [part(0, 6), part(0, 9, "old"), part(6, 6), part(12, 6)]
    assert said(list(apart(mixed))) == [("new", 0, 6), ("new", 6, 6), ("new", 12, 6)]
