"""Pieces of a text that is being written: joined they are the text, and none is part of something else."""

from __future__ import annotations

from threading import Event

import pytest
from hashed import HashedModel
from hypothesis import given
from hypothesis import strategies as st
from test_in_process import ask

from mene.engines.base import Completion, Request
from mene.engines.hear import Hearing
from mene.engines.in_process.engine import InProcessEngine
from mene.engines.steps import Heard
from mene.text import redact

CUE = "**Result:**"
PARTS = [*"*Result: \n\tаé😀👍🏽\ufffdß", CUE, "**Res", CUE[:-1]]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=40).map("".join)


@given(TEXTS, st.lists(st.integers(0, 80)))
def test_pieces_joined_are_the_text(text: str, cuts: list[int]) -> None:
    """Cut anywhere, also inside characters."""
    data, pieces = text.encode(), list[str]()
    final = text.partition(CUE)[0].strip()
    hearing = Hearing(pieces.append, [CUE])
    for cut in sorted(cuts):
        begun = data[:cut].decode(errors="replace").partition(CUE)[0]
        hearing.so_far(begun)
        assert final.startswith("".join(pieces))
    hearing.end(final)
    assert "".join(pieces) == final
    assert all(pieces)


def test_what_cannot_be_a_cue_any_more_is_passed_on() -> None:
    pieces: list[str] = []
    hearing = Hearing(pieces.append, [CUE])
    for text in ("  It", "  It is **R", "  It is **Right", "  It is **Right** "):
        hearing.so_far(text)
    assert pieces == ["It", " is", " **Right"]


def heard(*written: str, critique: str) -> list[str]:
    pieces: list[str] = []
    request = ask("", critique_tokens=9, hear=pieces.append)
    steps = Heard(request, pieces.append)
    for text in written:
        steps.so_far(text)
    steps.end(Completion(0, critique=critique))
    return pieces


def test_a_thought_and_a_secret_are_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    thought = "<think>Hm. Yes.</think> So it is."
    grown = [thought[:end] for end in range(1, len(thought))]
    assert "".join(heard(*grown, critique="So it is.")) == "So it is."
    assert heard("<think>Hm", "<think>Hm.", critique="Hm.") == ["Hm."]  # all that there is
    monkeypatch.setattr(redact, "_known", ())
    redact.remember("tok-123456")
    told = "Its key is tok-123456 still."
    pieces = heard(*(told[:end] for end in range(len(told))), critique="Its key is *** still.")
    assert "".join(pieces) == "Its key is *** still."
    # What nobody could know: then silence, and no wrong end.
    assert heard("Well, ", "Well, </think> No.", critique="No.") == ["Well,"]


def test_rows_that_begin_anew_for_want_of_memory_are_heard_once() -> None:
    pieces: dict[int, list[str]] = {n: [] for n in range(4)}
    rows: list[Request] = [
        ask(f"a{n}"[:1] * (n + 1), n, critique_tokens=30, choose=False, hear=pieces[n].append)
        for n in range(4)
    ]
    model = HashedModel()
    whole = {done.index: done.critique for done in InProcessEngine(model).run(rows)}
    computed = model.computed
    for n, found in pieces.items():
        assert "".join(found) == whole[n]
        found.clear()
    model = Tight()
    again = InProcessEngine(model).run(rows)
    assert {done.index: done.critique for done in again} == whole
    assert model.computed > computed
    assert {n: "".join(found) for n, found in pieces.items()} == whole


class Tight(HashedModel):
    """Has too little memory once, in the middle of the critiques."""

    def compute(self, at_once: int, computed: int, stop: Event | None) -> None:
        super().compute(at_once, computed, stop)
        if self.calls == 4:
            raise MemoryError
