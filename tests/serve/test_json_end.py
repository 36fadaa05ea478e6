"""JSON that is cut off, at every place where it can be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mene.serve.json_end import shortened

ANY: dict[str, Any] = {}
TRUTHS = {
    "type": "object",
    "required": ["truths"],
    "properties": {"truths": {"type": "array", "items": {"type": "string"}}},
}
VERDICTS = {
    "type": "object", "required": ["verdicts"], "properties": {"verdicts": {"type": "array", "items": {
        "type": "object", "required": ["verdict", "reason"],
        "properties": {"verdict": {"enum": ["yes", "no"]}, "reason": {"type": ["string", "null"]}}}}},
}  # fmt: skip
GRADE = {
    "type": "object",
    "required": ["reason", "score"],
    "properties": {"reason": {"type": "string"}, "score": {"type": "number"}},
}


@pytest.mark.parametrize(
    ("text", "schema", "whole"),
    [
        ('{"truths": ["a", "b. b. b', TRUTHS, {"truths": ["a"]}),
        ('{"truths": ["a. a. a', TRUTHS, {"truths": ["a. a. a"]}),
        ('{"truths": ["a", ', TRUTHS, {"truths": ["a"]}),
        ('{"truths": ["a", "}]"', TRUTHS, {"truths": ["a", "}]"]}),
        ('{"verdicts": [{"verdict": "yes", "reason": "x"}, {"verdict": "no", "rea', VERDICTS,
         {"verdicts": [{"verdict": "yes", "reason": "x"}]}),
        ('{"verdicts": [{"verdict": "yes", "reason": null}, {"verdict": "no", "reason": "be', VERDICTS,
         {"verdicts": [{"verdict": "yes", "reason": None}]}),
        ('{"score": 1, "reason": "because \\u00', GRADE, {"score": 1, "reason": "because "}),
        ('{"score": 1, "reason": "because \\\\', GRADE, {"score": 1, "reason": "because \\"}),
        ('[12, 34', ANY, [12]),
        ('[1, true', ANY, [1, True]),
        ('[[1, 2], [3', ANY, [[1, 2]]),
        ('{"day": "2026-11', {"properties": {"day": {"format": "date"}}}, None),
        # Nothing is made up.
        ('{"reason": "because', GRADE, None),
        ('{"reason": "because", "score": 1', GRADE, None),
        ('{"verdicts": [{"verdict": "ye', VERDICTS, None),
        ('{"truths": [', TRUTHS, None),
        ("", ANY, None),
        ("{", ANY, None),
    ],
)  # fmt: skip
def test_what_is_left(text: str, schema: dict[str, Any], whole: Any) -> None:
    found = shortened(text, schema)
    assert (None if found is None else json.loads(found)) == whole


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES, st.integers(0, 400), st.sampled_from([None, 1]), st.booleans())
def test_a_cut_at_any_place_begins_as_it_was(
    value: Any, cut: int, indent: int | None, plain: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=plain)[:cut]
    found = shortened(text, ANY)
    if found is not None:
        json.loads(found)
        kept = found.rstrip("]}")
        assert text.startswith(kept) or (kept.endswith('"') and text.startswith(kept[:-1]))


def test_what_holds_to_a_schema_still_does() -> None:
    whole = json.dumps({"verdicts": [{"verdict": "yes", "reason": "it is"}] * 3})
    for cut in range(len(whole)):
        found = shortened(whole[:cut], VERDICTS)
        if found is not None:
            Draft202012Validator(VERDICTS).validate(json.loads(found))
    assert shortened(whole[:-3], VERDICTS) is not None


def test_a_schema_of_a_client_takes_no_time() -> None:
    wide = {"$defs": {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}}
    wide["$defs"]["d40"] = {"type": "string"}
    assert shortened("[1, 2", {"items": {"$ref": "#/$defs/d0"}, **wide}) is None
    assert shortened("[1, 2", {"$ref": "#"}) is None
    assert shortened("[1, 2", {"$ref": "#/nothing"}) is None
    slow = {"items": {"type": "string", "pattern": "^(a+)+$"}}
    assert shortened(f'["{"a" * 60}!", "a', slow) == f'["{"a" * 60}!"]'
