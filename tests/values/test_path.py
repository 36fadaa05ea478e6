"""Paths into rows: what every tool nests, ``--map`` reaches."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.errors import SampleError
from mene.sample import Sample
from mene.values.path import at, found_at, paths

keys = st.text("abc_0", min_size=1, max_size=3)
leaves = st.integers() | st.booleans() | st.none() | st.text("xyz", max_size=3)
rows = st.dictionaries(
    keys,
    st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_size=4,
)


def every(value: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found = [(path, value)] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += every(inner, (*path, key))
    if isinstance(value, list):
        for number, inner in enumerate(value):
            found += every(inner, (*path, str(number)))
            found += every(inner, (*path, str(number - len(value))))
    return found


@settings(max_examples=40)
@given(rows)
def test_every_place_has_a_path(row: dict[str, Any]) -> None:
    for path, value in every(row):
        assert at(row, ".".join(path)) == value


@settings(max_examples=40)
@given(rows, st.text("abc.0-_", max_size=8))
def test_a_path_leads_somewhere_or_says_where_it_ends(row: dict[str, Any], path: str) -> None:
    try:
        at(row, path)
    except LookupError as error:
        start, there = error.args
        assert path.startswith(start) and all(isinstance(name, str) for name in there)
        assert not start or at(row, start) is not None or found_at(row, start) is None


@settings(max_examples=40)
@given(rows)
def test_json_in_a_cell_is_looked_into(row: dict[str, Any]) -> None:
    packed = {name: json.dumps(value) for name, value in row.items() if isinstance(value, dict)}
    for name, value in row.items():
        for path, inner in every(value) if isinstance(value, dict) else []:
            assert at(packed, ".".join((name, *path))) == inner


def test_a_key_may_have_dots() -> None:
    span = {
        "attributes": {"input.value": "q", "input": {"value": "not this"}, "a": {"b.c": [1, 2]}}
    }
    assert at(span, "attributes.input.value") == "q"
    assert at(span, "attributes.a.b.c.-1") == 2
    assert at({"a.b": 1, "a": {"b": 2}}, "a.b") == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("outputs.anser", 'no column "outputs.anser" (mapped to response); "outputs" has: outputs.answer, outputs.docs; did you mean "outputs.answer"?'),
        ("output", 'the row has: outputs.answer, outputs.docs, messages; did you mean "outputs"?'),
        ("messages.4.content", '"messages" has: messages.0 to 1'),
        ("messages.last", '"messages" has: messages.0 to 1'),
        ("outputs.answer.text", 'there is nothing inside "outputs.answer"'),
        ("outputs.docs.0", 'there is nothing inside "outputs.docs"'),
    ],
)  # fmt: skip
def test_a_wrong_path_says_what_there_is(path: str, message: str) -> None:
    row = {
        "outputs": {"answer": "yes", "docs": []},
        "messages": [{"content": "a"}, {"content": "b"}],
    }
    with pytest.raises(SampleError) as caught:
        Sample.from_row(row, {"response": path})
    assert message in str(caught.value)


def test_map_reaches_into_lists() -> None:
    row = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    names = {"response": "messages.-1.content", "instruction": "messages.0.content"}
    assert Sample.from_row(row, names) == Sample(instruction="q", response="a")
    choices = {"choices": [{"message": {"content": "one"}}, {"message": {"content": "two"}}]}
    assert Sample.from_row(choices, {"response": "choices.1.message.content"}).response == "two"


def test_names_for_a_message() -> None:
    row = {"id": 1, "outputs": {"answer": "x"}, "meta": '{"a": 1}', "empty": {}, "list": [1]}
    assert list(paths(row)) == ["id", "outputs.answer", "meta.a", "empty", "list"]
    assert len(list(paths({str(n): n for n in range(99)}))) == 30
