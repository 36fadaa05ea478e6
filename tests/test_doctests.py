"""The examples in docstrings, with a judge that answers at once."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

from mene import Judge

MODULES = ("mene.criterion_name", "mene.criteria_set", "mene.judge.judge", "mene.runs.frame")


@pytest.mark.parametrize("name", MODULES)
def test_examples_say_what_comes_out(name, toy) -> None:
    judge = Judge("openai:toy@http://localhost", engine=toy, mode="verdict")
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testmod(import_module(name), extraglobs={"judge": judge}, optionflags=flags)
    assert found.attempted
    assert not found.failed
