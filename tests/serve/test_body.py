from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_app import run

from mene.serve.body import key_twice

leaves = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@settings(max_examples=40)
@given(values)
def test_keys_that_differ_are_no_mistake(value):
    assert key_twice(json.dumps(value).encode()) is None


@settings(max_examples=40)
@given(values, values, st.text(max_size=5), st.lists(st.text(max_size=3) | st.none(), max_size=5))
def test_a_key_that_stands_twice_is_found_wherever_it_is(one, two, key, way):
    name = json.dumps(key)
    text = f"{{{name}: {json.dumps(one)}, {name}: {json.dumps(two)}}}"
    for step in way:
        text = f"[{text}]" if step is None else f"{{{json.dumps(step)}: {text}}}"
    path = tuple(0 if step is None else step for step in reversed(way))
    assert key_twice(text.encode()) == (*path, key)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"n": %s, "n": 1}' % ("9" * 10_000), ("n",)),
        ('[{"a": 1}, {"a": 1, "b": {"c": 1, "\\u0063": 2}}]', (1, "b", "c")),
        ('{"a": {"b": 1}, "c": {"b": 1}}', None),
    ],
)
def test_keys_by_example(text, path):
    assert key_twice(text.encode()) == path


def test_two_questions_of_one_id_are_a_mistake():
    async def test(app):
        q = '{"type": "noul", "instructions": "Is it %s?"}'
        body = '{"model": "default", "state": "Hi.", "questions": {"q": %s, "q": %s}}'
        found = await app.client.post("/v1/systemone", content=body % (q % "polite", q % "long"))
        assert found.status_code == 422
        [mistake] = found.json()["detail"]
        assert mistake["loc"] == ["body", "questions", "q"] and "twice" in mistake["msg"]
        assert not app.engine.asked

    run(test)
