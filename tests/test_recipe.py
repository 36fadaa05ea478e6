"""Changes of a recipe on the command line: whatever is written, a recipe or one line that says what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mene.errors import UsageError
from mene.recipe import Recipe, load_recipe

KEYS = st.sampled_from(["data", "train", "base", "adapter", "seed", "sources", "pairs", "", "x.y"])
VALUES = st.sampled_from(["1", "[", "{a: 1}", "null", "on", "1e999", "-1", "'", "&a *a", "!!x"])


@settings(max_examples=30, deadline=None)
@given(st.lists(KEYS, max_size=4).map(".".join), VALUES | st.text(max_size=8))
@example("data.sources.hanna", "99")
@example("data.7", "1")
def test_a_change_gives_a_recipe_or_one_line(key: str, value: str) -> None:
    try:
        found = load_recipe("nano", [f"{key}={value}"])
    except UsageError as error:
        assert str(error)
    else:
        assert isinstance(found, Recipe)


@pytest.mark.parametrize("change", ["train.pairs", "=3", "train.=3"])
def test_what_is_no_change_says_how_one_looks(change: str) -> None:
    with pytest.raises(UsageError, match="write changes like train.pairs=900"):
        load_recipe("nano", [change])


def test_a_span_may_be_required() -> None:
    assert not load_recipe("nano").data.require_span
    assert load_recipe("nano", ["data.require_span=true"]).data.require_span
