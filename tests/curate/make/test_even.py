"""Changes are chosen so that what one adds another takes away."""

from __future__ import annotations

from collections import Counter

from mene.curate.make.even import Even, gained


def test_what_a_text_gains() -> None:
    found = gained("a != b", "a == b")
    assert found == {"!=": 1, "a !=": 1, "!= b": 1, "==": -1, "a ==": -1, "== b": -1}
    assert gained("x" * 40, "x" * 8)["length"] == 4
    assert gained("same", "same") == {}


def test_the_change_that_is_missing_is_taken() -> None:
    even = Even()
    more, less, other = gained("a + b", "a"), gained("a", "a + b"), gained("c - d", "c")
    even.add(more)
    assert even.place([more, other, less]) == 2
    even.add(less)
    assert even.place([more, more]) == 0


def test_sums_stay_small_where_changes_go_both_ways() -> None:
    even, total = Even(), Counter[str]()
    signs = ("<", "<=", ">", ">=")
    for turn in range(200):
        old = signs[turn % 4]
        options = [gained(f"a {new} b", f"a {old} b") for new in signs if new != old]
        taken = options[even.place(options)]
        even.add(taken)
        for what, count in taken.items():
            total[what] += count
    assert all(abs(total[sign]) <= 2 for sign in signs)
