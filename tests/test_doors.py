"""The same value means the same through every door, and no row is lost; ``benchmarks/fuzz.py`` runs many more."""

from __future__ import annotations

import io
import json
import random
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.criterion import load_criterion
from mene.errors import SampleError
from mene.runs.tables import read_rows
from mene.sample import as_sample, each

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


ASKED = load_criterion("Is the answer polite?")
EMPTY, NONE = {"id": "e", "response": ""}, {"id": "n", "response": None}
ABSENT = {"id": "a"}


def read(path: Path) -> list[str | None]:
    """Responses, or what is wrong with them."""
    return [
        row.sample.response if row.sample else row.error
        for row in read_rows(str(path), None, ASKED)
    ]


def taken(samples: object) -> list[str | None]:
    found: list[str | None] = []
    for number, given_ in enumerate(each(samples), start=1):
        try:
            sample = as_sample(given_, fields=ASKED.shown, number=number)
            ASKED.check(sample)
            found.append(sample.response)
        except SampleError as error:
            found.append(str(error))
    return found


def test_an_empty_answer_is_judged_and_null_is_missing_through_every_door(
    tmp_path, monkeypatch
) -> None:
    rows = [EMPTY, NONE, {"id": "f", "response": "Dear Sir"}]
    written = {
        "t.jsonl": "".join(json.dumps(row) + "\n" for row in [*rows, ABSENT]),
        "t.json": json.dumps([*rows, ABSENT]),
        "t.csv": 'id,response\ne,\nq,""\nf,Dear Sir\na\n',  # a cell cannot be null, but it can lack
        "t.tsv": "id\tresponse\ne\t\nf\tDear Sir\na\n",
    }
    for name, text in written.items():
        (tmp_path / name).write_text(text)
    polars.DataFrame(rows).write_parquet(tmp_path / "t.parquet")
    found = {path.name: read(path) for path in tmp_path.iterdir()}
    monkeypatch.setattr(
        sys, "stdin", SimpleNamespace(buffer=io.BytesIO(written["t.jsonl"].encode()))
    )
    found["-"] = read(Path("-"))
    found["dicts"] = taken([*rows, {"id": "x", "response": float("nan")}, ABSENT])
    found["numpy"] = taken([{"response": np.str_("")}, {"response": np.float64("nan")}])
    found["polars"] = taken(polars.DataFrame(rows))
    say = {"role": "assistant", "content": ""}
    found["chat"] = taken([{"messages": [say]}, {"messages": [{**say, "content": None}]}])
    for door, values in found.items():
        assert values[0] == "", door
        assert set(values) - {"", "Dear Sir"}, door
        for value in set(values) - {"", "Dear Sir"}:
            assert 'field "response" is missing or null (an empty answer is "")' in str(value), door
    assert found["t.csv"][:3] == ["", "", "Dear Sir"]


def test_an_error_of_a_row_has_its_line_and_its_id(tmp_path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"response": "x"}\n\n{"id": "q-17", "response": null}\n{"response": null}\n')
    _, named, bare = read(path)
    assert str(named).startswith(f'{path}, line 3 (id q-17): field "response"')
    assert str(bare).startswith(f'{path}, line 4: field "response"')
