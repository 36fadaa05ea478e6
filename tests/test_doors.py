"""The same value means the same through every door, and no row is lost; ``benchmarks/fuzz.py`` runs many more."""

from __future__ import annotations

import random
import runpy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

fuzz = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "fuzz.py"))


@settings(max_examples=8)
@given(st.integers(0, 10**9))
def test_the_same_value_through_every_door(tmp_path_factory, seed: int) -> None:
    draw = random.Random(seed)
    folder = tmp_path_factory.mktemp("same")
    assert fuzz["differences"](fuzz["table"](draw, 6), folder, draw) == []


@settings(max_examples=8)
@given(st.integers(0, 10**9))
def test_no_row_is_lost_and_no_traceback_shown(tmp_path_factory, seed: int) -> None:
    wrong, ends = fuzz["broken"](random.Random(seed), tmp_path_factory.mktemp("broken"), 6)
    assert wrong == [] and ends


@pytest.mark.parametrize("label", [True, "True", "true", "TRUE"])
def test_truth_is_one_label(tmp_path, label) -> None:
    for name, door in fuzz["doors"](
        [{"id": "a", "response": "x", "label": label}], tmp_path, random.Random(0)
    ).items():
        assert fuzz["labels"](door) in (None, ["True"]), name
