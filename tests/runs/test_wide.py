"""Verdicts as tables: a row per sample, or per verdict; and judged frames."""

from __future__ import annotations

import io
from pathlib import Path

import polars
import pytest

import mene
from mene import Judge
from mene.criteria_set import load_criteria
from mene.errors import UsageError
from mene.judge.preset import load_preset
from mene.runs.wide import LONG, form_of, long, passed, wide, write
from mene.verdict import Verdict

PRESET = load_preset("openai:toy@http://localhost").model_copy(update={"mode": "verdict"})


def said(row: int | None, criterion: str, label: str | None = "Yes", **more) -> Verdict:
    names = {
        "id": f"r{row}",
        "judge": "j",
        "row": row,
        "content": f"text {row}",
        "criterion": criterion,
    }
    given = (
        {"confidence": 0.9, "probabilities": {"Yes": 0.9, "No": 0.1}}
        if label
        else {"error": "broken"}
    )
    return Verdict(**{**names, "label": label, **given, **more})


def test_a_sample_has_one_row_with_columns_of_each_criterion() -> None:
    frame = wide(
        [
            said(2, "tone", "4", score=3.9),
            said(1, "tone", "5", score=4.6),
            said(1, "polite"),
            said(2, "polite", None, content=""),
            said(3, "polite", "No"),
        ]
    )
    assert frame.columns == [
        "row", "id", "judge", "tone_label", "tone_score", "tone_confidence", "tone_error",
        "polite_label", "polite_score", "polite_confidence", "polite_error",
    ]  # fmt: skip
    assert frame["row"].to_list() == [1, 2, 3]
    assert frame["tone_score"].to_list() == [4.6, 3.9, None]
    assert frame["polite_label"].to_list() == ["Yes", None, "No"]
    assert frame["polite_error"].to_list() == [None, "broken", None]
    assert frame.schema["polite_score"] == polars.Float64  # none of them has one


def test_what_is_not_one_sample_by_one_judge_has_rows_of_its_own() -> None:
    frame = wide(
        [
            said(1, "tone"),
            said(1, "tone", judge="other"),
            said(1, "polite", content="edited"),
            said(None, "tone", id="old"),
            said(None, "polite", id="old"),
            said(4, "felm", section="felm, base"),
        ]
    )
    assert frame.select("row", "judge", "tone_label", "polite_label").rows() == [
        (1, "j", "Yes", None),
        (1, "j", None, "Yes"),
        (1, "other", "Yes", None),
        (4, "j", None, None),
        (None, "j", "Yes", "Yes"),
    ]
    assert frame["felm, base_label"].to_list() == [None, None, None, "Yes", None]


def test_a_set_adds_what_a_sample_comes_to() -> None:
    asked = load_criteria(
        [{"criterion": "faithfulness", "must_pass": True}, {"criterion": "tone", "weight": 3}]
    )
    frame = wide(
        [
            said(1, "faithfulness"), said(1, "tone", "4", score=4.0),
            said(2, "faithfulness", "No"), said(2, "tone", "4", score=5.0),
            said(3, "faithfulness", None), said(3, "tone", "4", score=5.0),
        ],
        asked,
    )  # fmt: skip
    assert frame["overall_passed"].to_list() == [True, False, None]
    assert frame["overall_score"].to_list()[0] == pytest.approx((0.9 + 3 * 0.75) / 4)
    found = passed(frame)
    assert (found.samples, found.unknown, found.passed) == (3, 1, 1)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.pq", "t.JSONL", "t.ndjson"])
def test_a_table_is_read_back_as_it_was(name) -> None:
    frame = wide([said(1, "tone", "4", score=3.5), said(2, "tone", None, error='a, "b"\nc')])
    file, form = io.BytesIO(), form_of(name)
    write(frame, file, form)
    file.seek(0)
    read = {"csv": polars.read_csv, "parquet": polars.read_parquet, "jsonl": polars.read_ndjson}[
        form
    ]
    assert read(file)["tone_error"].to_list() == [None, 'a, "b"\nc']
    with pytest.raises(UsageError, match="is .csv, .parquet or .jsonl"):
        form_of(name.split(".")[0])


def test_long_is_every_verdict_with_its_question() -> None:
    frame = long([said(1, "is-it-so", question="Is it so?"), said(1, "tone", None)])
    assert frame.columns == list(LONG)
    assert frame["question"].to_list() == ["Is it so?", None]
    assert frame["probabilities"].to_list() == ['{"Yes": 0.9, "No": 0.1}', None]


ROWS = {
    "response": ["Of course.", None, "No."],
    "context": ["a", "b", None],
    "tone_label": ["x"] * 3,
}


def test_a_frame_comes_back_as_what_it_was(toy) -> None:
    pandas = pytest.importorskip("pandas")
    judge = Judge(PRESET, engine=toy)
    asked = ["faithfulness", "tone"]
    given = polars.DataFrame(ROWS)
    found = mene.judge_frame(given, asked, judge)
    assert isinstance(found, polars.DataFrame)
    assert found.columns[:3] == given.columns
    assert found["tone_label"].is_null().to_list() == [False, True, False]
    assert 'field "context" is missing' in found["faithfulness_error"][2]
    assert 'field "response" is missing' in found["tone_error"][1]
    assert given["tone_label"].to_list() == ["x"] * 3  # as it was
    same = mene.judge_frame(pandas.DataFrame(ROWS, index=[7, 5, 3]), asked, judge)
    assert list(same.index) == [7, 5, 3]
    assert list(same.columns) == found.columns
    assert same["tone_score"].dtype == "float64"
    assert same["tone_label"].tolist() == found["tone_label"].to_list()
    assert not toy.closed


def test_a_set_with_weights_adds_what_it_comes_to(toy) -> None:
    pandas = pytest.importorskip("pandas")
    judge = Judge(PRESET, engine=toy)
    asked = [{"criterion": "faithfulness", "must_pass": True}, {"criterion": "tone", "weight": 3}]
    found = mene.judge_frame(polars.DataFrame(ROWS), asked, judge)
    assert found.columns[-2:] == ["overall_score", "overall_passed"]
    passed = found["overall_passed"].to_list()
    assert passed == [found["faithfulness_label"][0] == "Yes", None, None]  # two lack a field
    assert found["overall_score"].is_null().to_list() == [False, True, True]
    same = mene.judge_frame(pandas.DataFrame(ROWS), asked, judge)
    assert same["overall_score"].dtype == "float64"
    assert same["overall_passed"].tolist() == passed


def test_no_criterion_takes_the_place_of_what_the_set_comes_to() -> None:
    verdicts = [said(1, "faithfulness"), said(1, "overall", "4", score=4.0)]
    assert wide(verdicts, load_criteria("faithfulness"))["overall_score"].to_list() == [4.0]
    rules = load_criteria([{"criterion": "faithfulness", "must_pass": True}])
    with pytest.raises(UsageError, match="column overall_score of the set; leave one"):
        wide(verdicts, rules)


def test_what_is_no_frame_is_refused(toy) -> None:
    judge = Judge(PRESET, engine=toy)
    with pytest.raises(UsageError, match="DataFrame of pandas or polars, not a list"):
        mene.judge_frame([{"response": "x"}], "tone", judge)
    with pytest.raises(UsageError, match="is open already"):
        mene.judge_frame(polars.DataFrame(ROWS), "tone", judge, mode="verdict")


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_a_frame_without_a_needed_column_is_refused_before_a_model_is_loaded(library: str) -> None:
    frames = pytest.importorskip(library)
    frame = frames.DataFrame({"reply": ["It ships today."], "context": ["It ships today."]})
    said = 'the frame: no column for "response", which tone needs; the columns are reply, context; rename a column'
    with pytest.raises(UsageError, match=said):
        mene.judge_frame(frame, ["tone"], "no/such-model.gguf")


def test_a_frame_whose_columns_share_a_name_is_refused_before_a_model_is_loaded() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([["It ships.", "No."]], columns=["response", "response"])
    for given in (frame, frame.head(0)):
        with pytest.raises(UsageError, match='two columns are called "response"; rename one'):
            mene.judge_frame(given, ["tone"], "no/such-model.gguf")


def test_a_frame_without_rows_gets_its_columns(toy) -> None:
    empty = polars.DataFrame({"reply": []}, schema={"reply": polars.String})
    found = mene.judge_frame(empty, "tone", Judge(PRESET, engine=toy))
    assert found.shape == (0, 5)


def test_the_command_reads_a_file_or_a_pipe(here, tmp_path: Path, monkeypatch) -> None:
    ledger = tmp_path / "v.jsonl"
    lines = [said(1, "tone", "4"), said(1, "polite"), said(2, "tone", None, earlier=True)]
    ledger.write_text("".join(v.to_json() + "\n" for v in lines))
    done = here("table", ledger)
    assert done.stdout.splitlines() == [
        "row,id,judge,tone_label,tone_score,tone_confidence,tone_error,polite_label,polite_score,polite_confidence,polite_error",
        "1,r1,j,4,,0.9,,Yes,,0.9,",
    ]
    assert "v.jsonl: 1 of its verdicts are not counted" in done.stderr
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ledger.read_bytes())))
    assert '"tone_label":"4"' in here("table", "-", "--jsonl").stdout
    assert here("table", ledger, "--long", "-o", tmp_path / "t.parquet").returncode == 0
    assert polars.read_parquet(tmp_path / "t.parquet")["criterion"].to_list() == ["tone", "polite"]
    assert "polite_label" not in here("table", ledger, "-c", "tone").stdout
    assert (
        "tone_label" not in here("table", ledger, "-c", "polite").stdout
    )  # whose question is not at hand
    for given, expected in (
        ((ledger, "-o", ledger), "is the input itself"),
        ((ledger, "-o", "t.xlsx"), "a table is .csv, .parquet or .jsonl"),
        ((tmp_path / "none.jsonl",), "no such file"),
        (
            (ledger, "-c", "toxicity"),
            "v.jsonl: no verdict by toxicity; it has verdicts by tone, polite",
        ),
        ((ledger, "-c", "polit"), 'no verdict by polit; did you mean "polite"?; it has'),
        ((ledger, "-c", "none.yaml"), "none.yaml: cannot read"),
    ):
        done = here("table", *given)
        assert (done.returncode, expected in done.stderr) == (2, True), done.stderr
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"response": "x"}\n')))
    assert "standard input, line 1: not a verdict" in here("table", "-").stderr
