"""Answers kept as they come: nothing asked twice, nothing lost, wherever a line is torn."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.curate.critiques.kept import Answers, count, key_of
from mene.engines.base import Completion, Request
from mene.errors import EngineError, LedgerError
from mene.message import Message
from mene.verdict import Usage

LABELS = ("Yes", "No")


def request_of(number: int, text: str | None = None, **more) -> Request:
    message = Message("user", text or f"Ünequal {number}")
    request = Request(number, (message,), LABELS, "**Reasoning:**", "**Result:**", 64)
    return replace(request, **more)


class Counted:
    """Answers in pairs, the second first, and counts what it is asked; ``stop`` ends the process after so many."""

    identity = "counted:1"
    context: int | None = None
    control_tokens = frozenset({"<|im_end|>"})

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.seen, self.runs = stop, Counter(), 0
        self.fails: set[str] = set()

    def run(
        self, requests: Iterable[Request | None], stop=None
    ) -> Generator[Completion, None, None]:
        self.runs += 1
        held: list[Request] = []
        for request in requests:
            if request is None:
                continue
            self.seen[request.messages[0].content] += 1
            held.append(request)
            if len(held) == 2:
                yield from map(self.answer, reversed(held))
                held = []
        yield from map(self.answer, held)

    def answer(self, request: Request) -> Completion:
        if self.stop == 0:
            raise KeyboardInterrupt
        if self.stop is not None:
            self.stop -= 1
        text = request.messages[0].content
        if text in self.fails:
            return Completion(request.index, error=EngineError("busy"))
        critique = (
            f"Because of “{text}”, {request.critique_tokens}" if request.critique_tokens else None
        )
        probabilities = {"Yes": 0.25, "No": 0.75}
        used = Usage(prompt_tokens=9, cached_tokens=4, completion_tokens=5)
        return Completion(request.index, "No", probabilities, critique, used, 0.5, notes=["cut"])

    def prompt(self, request: Request) -> str:
        return request.messages[0].content

    def count(self, request: Request) -> int | None:
        self.context = 2048
        return 3

    def close(self) -> None:
        self.context = -1


def session(path: Path, engine: Counted, requests: list[Request]) -> dict[int, Completion]:
    """One run; what has come until it is stopped."""
    found = {}
    with Answers(path, warn=lambda text: None) as answers:
        try:
            for done in answers.through(engine).run(requests):
                found[done.index] = done
        except KeyboardInterrupt:
            pass
    return found


@settings(max_examples=60)
@given(
    count_=st.integers(1, 12),
    stops=st.lists(st.integers(0, 6), max_size=5),
    torn=st.lists(st.integers(0, 10_000), max_size=5),
)
def test_stopped_and_torn_anywhere_nothing_is_asked_twice(
    tmp_path_factory, count_, stops, torn
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    requests = [request_of(number) for number in range(count_)]
    expected = session(folder / "whole.jsonl", Counted(), requests)
    path = folder / "broken.jsonl"
    for number, stop in enumerate(stops):
        before = path.read_bytes() if path.exists() else b""
        before = before[: before.rfind(b"\n") + 1]
        kept = count(path)[0]
        assert kept == before.count(b"\n")
        engine = Counted(stop)
        session(path, engine, requests)
        data = path.read_bytes() if path.exists() else b""  # none where nothing was answered
        assert data.startswith(before)  # only ever appended to
        assert not any(engine.seen[text] > 1 for text in engine.seen)
        assert engine.seen.total() <= count_ - kept
        if number < len(torn) and data:
            # A kill in the middle of a write: some bytes of the last line are there, of a letter perhaps.
            lines = data.splitlines(keepends=True)
            cut = lines[-1][: torn[number] % len(lines[-1])]
            path.write_bytes(b"".join(lines[:-1]) + cut)
    kept = path.read_bytes().count(b"\n") if path.exists() else 0
    engine = Counted()
    found = session(path, engine, requests)
    assert engine.seen.total() == count_ - kept
    assert found == expected
    again = Counted()
    assert session(path, again, requests) == expected
    assert again.runs == 0  # not even begun: a server may be gone
    assert count(path) == (count_, 0)


def test_a_completion_comes_back_as_it_was(tmp_path) -> None:
    path, requests = tmp_path / "a.jsonl", [request_of(0), request_of(1, critique_tokens=0)]
    first = session(path, Counted(), requests)
    assert session(path, Counted(), requests) == first
    assert first[0].critique == "Because of “Ünequal 0”, 64"
    assert first[0].usage.prompt_tokens == 9
    assert count(path) == (1, 1)
    assert count(tmp_path / "nowhere.jsonl") == (0, 0)


def test_equal_requests_are_asked_once(tmp_path) -> None:
    engine = Counted()
    requests = [request_of(n, "the same") for n in range(3)] + [request_of(3)]
    found = session(tmp_path / "a.jsonl", engine, requests)
    assert engine.seen == {"the same": 1, "Ünequal 3": 1}
    assert found.keys() == {0, 1, 2, 3}
    assert found[1] == replace(found[0], index=1)
    with Answers(tmp_path / "a.jsonl") as answers:
        list(answers.through(engine).run([*requests, None, request_of(4)]))
        assert (answers.price.asked, answers.price.reused) == (1, 4)
        assert answers.price.usage == Usage(prompt_tokens=9, cached_tokens=4, completion_tokens=5)


def test_a_failure_is_asked_again(tmp_path) -> None:
    engine = Counted()
    engine.fails = {"Ünequal 1"}
    requests = [request_of(0), request_of(1)]
    assert session(tmp_path / "a.jsonl", engine, requests)[1].error is not None
    engine.fails = set()
    assert session(tmp_path / "a.jsonl", engine, requests)[1].label == "No"
    assert engine.seen == {"Ünequal 0": 1, "Ünequal 1": 2}


def test_whatever_is_asked_otherwise_is_another_answer() -> None:
    one = request_of(0)
    assert key_of("e", one) == key_of("e", replace(one, index=5))
    others = [
        key_of("f", one),
        *(
            key_of("e", replace(one, **change))
            for change in (
                {"messages": (Message("user", "x"),)},
                {"messages": (Message("system", "Ünequal 0"),)},
                {"labels": ("No", "Yes")},
                {"critique_tokens": 63},
                {"temperature": 0.5},
                {"seed": 1},
                {"opening": "o"},
                {"cue": "c"},
                {"gap": "\n"},
                {"joint": ""},
            )
        ),
    ]
    assert len({key_of("e", one), *others}) == len(others) + 1


def test_other_files_and_second_writers_are_refused(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "1", "label": "Yes"}\n')
    with pytest.raises(LedgerError, match="line 1: not an answer: field .key.: "):
        Answers(path)
    assert json.loads(path.read_text())["id"] == "1"
    path.unlink()
    with Answers(path), pytest.raises(LedgerError, match="another mene process"):
        Answers(path)


def test_a_torn_line_is_told(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    session(path, Counted(), [request_of(0), request_of(1)])
    path.write_bytes(path.read_bytes()[:-9])
    told: list[str] = []
    with Answers(path, told.append):
        pass
    assert told == [
        f"{path}: the last line is incomplete, because its writer was killed; mene makes its answer again"
    ]
    assert count(path) == (1, 0)


def test_an_answer_that_lacks_only_its_newline_is_made_again(tmp_path) -> None:
    path, requests = tmp_path / "a.jsonl", [request_of(0), request_of(1)]
    expected = session(path, Counted(), requests)
    path.write_bytes(path.read_bytes()[:-1])
    assert count(path) == (1, 0)
    again = Counted()
    assert session(path, again, requests) == expected
    assert again.seen.total() == 1


def test_the_rest_of_the_engine_shines_through(tmp_path) -> None:
    engine = Counted()
    with Answers(tmp_path / "a.jsonl") as answers:
        kept = answers.through(engine)
        assert (kept.identity, kept.context) == ("counted:1", None)
        assert kept.control_tokens == {"<|im_end|>"}
        assert kept.prompt(request_of(1)) == "Ünequal 1"
        assert kept.count(request_of(1)) == 3
        assert kept.context == 2048
        kept.close()
        assert engine.context == -1
