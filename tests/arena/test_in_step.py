"""Two critiques shown at one pace."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mene.arena.in_step import SEATS, InStep

PIECES = st.lists(st.tuples(st.sampled_from(SEATS), st.text(max_size=8)), max_size=40)


@settings(max_examples=50)
@given(PIECES)
def test_nobody_sees_who_is_ahead(pieces) -> None:
    step, heard, shown = InStep(), {"a": "", "b": ""}, {"a": "", "b": ""}
    for seat, text in pieces:
        heard[seat] += text
        for name, new in step.hear(seat, text).items():
            shown[name] += new
        assert len(shown["a"]) == len(shown["b"]) == min(map(len, heard.values()))
        assert all(heard[name].startswith(shown[name]) for name in SEATS)


def test_a_judge_that_writes_nothing_looks_like_a_slow_one() -> None:
    step = InStep()
    assert step.hear("a", "It is so.") == {}
    assert step.hear("b", "No") == {"a": "It", "b": "No"}
