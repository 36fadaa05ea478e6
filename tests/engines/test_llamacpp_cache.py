"""How prompts are cut into batches, on a llama.cpp that only keeps books: how every token in its cache was computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.engines.base import Reading
from mene.engines.llamacpp import cache as llamacpp_cache
from mene.engines.llamacpp.cache import GROUP, MICRO_BATCH, PIECE, Caches, group_of
from mene.errors import EngineError

LONG = MICRO_BATCH + 200


class Books:
    """Stands for `Calls`, and for the server behind it with one slot.

    A token is computed in its own way in a batch of fewer than ``even`` tokens, and where it is left over behind the last
    whole group of a batch.
    """

    def __init__(self, even: int, group: int) -> None:
        self.even, self.group = even, group
        self.cache: list[tuple[int, str]] = []
        self.read = 0

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/tokenize":
            return {"tokens": [ord(letter) for letter in body["content"]]}
        tokens: list[int] = body["prompt"]
        same = 0
        if body["cache_prompt"]:
            while (
                same < min(len(tokens) - 1, len(self.cache)) and self.cache[same][0] == tokens[same]
            ):
                same += 1
        del self.cache[same:]
        for first in range(same, len(tokens), MICRO_BATCH):
            batch = tokens[first : first + MICRO_BATCH]
            whole = len(batch) // self.group * self.group
            for place, token in enumerate(batch):
                how = "small" if len(batch) < self.even else "group" if place < whole else "single"
                self.cache.append((token, how))
        self.read += len(tokens) - same
        usage = {"prompt_tokens": len(tokens), "prompt_tokens_details": {"cached_tokens": same}}
        return {"timings": {"prompt_n": len(tokens) - same}, "usage": usage}


def caches(even: int, group: int) -> Caches:
    return Caches(Path("nowhere"), slots=1, even=even, group=group)


def read(cache: Caches, books: Books, text: str, labels: int) -> list[tuple[int, str]]:
    """What the last token of a prompt sees, and then labels of several tokens, one after the other."""
    answer = cache.read({"prompt": [text, 7], "cache_prompt": True}, 0, books)  # type: ignore[arg-type]
    seen = list(books.cache)
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] <= len(seen)
    tokens = [token for token, _ in seen]
    for label in range(labels):
        body = {"prompt": [*tokens, 70 + label], "cache_prompt": True}
        cache.complete(body, 0, books)  # type: ignore[arg-type]
    return seen


starts = st.sampled_from(
    ["", "a", "ab" * 40, "abc" * 33, "long" * (LONG // 4), "long" * (LONG // 4) + "er"]
)
ends = st.integers(0, 200).map(lambda n: "x" * n) | st.integers(0, 700).map(
    lambda n: "xyz" * (n // 3)
)
prompts = st.lists(st.tuples(starts, ends, st.integers(0, 3)), min_size=1, max_size=6)


@pytest.mark.parametrize(("even", "group"), [(64, GROUP), (64, 1), (2, 1)])
@settings(max_examples=50)
@given(prompts)
def test_every_token_is_computed_as_it_would_be_alone(even: int, group: int, asked) -> None:
    books, cache = Books(even, group), caches(even, group)
    for start, end, labels in asked:
        fresh = Books(even, group)
        alone = read(caches(even, group), fresh, start + end, 0)
        found = read(cache, books, start + end, labels)
        assert found == alone


def test_little_of_a_long_start_is_read_again() -> None:
    books, cache = Books(64, GROUP), caches(64, GROUP)
    start = "long" * 100
    read(cache, books, start + "one" * 50, 2)
    books.read = 0
    read(cache, books, start + "two" * 50, 0)
    assert books.read <= 150 + 1 + GROUP + 1


def test_what_was_broken_off_is_not_trusted() -> None:
    books, cache = Books(64, GROUP), caches(64, GROUP)
    text = "long" * 100
    read(cache, books, text, 0)
    cache.lose(0)
    books.read = 0
    read(cache, books, text, 0)
    assert books.read == len(text) + 1


@pytest.mark.parametrize(
    ("file_type", "group"), [(0, 1), (1, 1), (32, 1), (15, GROUP), (2, GROUP), (None, GROUP)]
)
def test_weights_that_are_multiplied_in_groups(file_type: int | None, group: int) -> None:
    assert group_of(file_type) == group


def test_a_text_that_begins_while_slots_are_erased_is_remembered() -> None:
    books, cache = Books(64, 1), caches(64, 1)
    text = {"prompt": [1, 2, 3], "cache_prompt": True}
    erased: list[str] = []

    class Beside:
        """Another text begins while the first one, alone until now, has the slots erased."""

        def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
            if "erase" not in path:
                return books.post(path, body)
            erased.append(path)
            if len(erased) == 1:
                cache.read_beside_others(text, 0, books)  # type: ignore[arg-type]
            return {}

    cache.read_beside_others(text, 0, books)  # type: ignore[arg-type]
    for times in (1, 2, 2):
        cache.read({"prompt": ["a" * 70]}, 0, Beside())  # type: ignore[arg-type]
        assert len(erased) == times


@pytest.mark.parametrize(("even", "group"), [(64, GROUP), (64, 1), (2, 1)])
@pytest.mark.parametrize("size", [1024, 1025, 1100, 2047, 2060, 3000, 3 * 1024 + 3, 4100])
@pytest.mark.parametrize("before", [0, 333])
def test_a_long_prompt_is_read_in_the_same_batches_and_tells_how_far_it_is(
    even: int, group: int, size: int, before: int, monkeypatch
) -> None:
    text = "a" * before + "b" * (size - before)

    def result() -> tuple[list[tuple[int, str]], int, list[Reading | None]]:
        books, cache, told = Books(even, group), caches(even, group), []
        read(cache, books, "a" * before + "c" * 100, 0)
        post, books.read = books.post, 0

        def telling(path: str, body: dict[str, Any]) -> dict[str, Any]:
            told.append(cache.reading)
            return post(path, body)

        monkeypatch.setattr(books, "post", telling)
        answer = cache.read({"prompt": [text]}, 0, books)  # type: ignore[arg-type]
        assert cache.reading is None
        cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
        assert max(0, size - books.read) == cached
        return books.cache, cached, told

    found, cached, told = result()
    monkeypatch.setattr(llamacpp_cache, "PIECE", 10**9)
    assert (found, cached) == result()[:2]
    steps = [one for one in told if one]
    assert steps if size - cached > 1.5 * PIECE else size > PIECE or not steps
    assert steps == sorted(steps)
    assert all(one.read % PIECE == 0 and one.read < one.known <= size for one in steps)


def test_a_prompt_that_does_not_fit_is_not_begun() -> None:
    books = Books(64, 1)
    asked: list[int] = []

    class Small:
        """A server that refuses what is longer than its context."""

        def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
            if path == "/tokenize":
                return books.post(path, body)
            asked.append(len(body["prompt"]))
            return {"error": {"type": "exceed_context_size_error"}}

    cache = Caches(Path("nowhere"), slots=1, even=64, group=1, context=3000)
    cache.read({"prompt": ["x" * 3200]}, 0, Small())  # type: ignore[arg-type]
    assert asked == [3200]


def test_a_long_prompt_that_is_broken_off_tells_nothing_any_more() -> None:
    cache = caches(64, 1)

    class Gone:
        def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
            if path == "/tokenize":
                return {"tokens": list(range(5000))}
            assert cache.reading is not None
            raise EngineError("gone")

    with pytest.raises(EngineError):
        cache.read({"prompt": ["x"]}, 0, Gone())  # type: ignore[arg-type]
    assert cache.reading is None
