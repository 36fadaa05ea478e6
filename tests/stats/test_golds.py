"""Gold labels in other words than the scale's: read where they can mean one thing only, else named on the screen."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mene.cli.app import app
from mene.errors import UsageError
from mene.report import summarise
from mene.report.labels import off_scale
from mene.scale import Scale
from mene.stats.columns import gold_codes
from mene.stats.golds import example, matched, named, read_names
from mene.verdict import Verdict

YES_NO = Scale.binary()


def said(label: str, row: int, odds: bool = True) -> Verdict:
    p = {"Yes": 0.9, "No": 0.1} if label == "Yes" else {"Yes": 0.2, "No": 0.8}
    given = {"probabilities": p, "confidence": max(p.values())} if odds else {}
    return Verdict(id=str(row), criterion="polite", judge="nano", label=label, **given)


@pytest.mark.parametrize(
    ("yes", "no"), [(1, 0), ("1", "0"), (1.0, 0.0), ("True", "FALSE"), (True, False), ("y", "N")]
)
@pytest.mark.parametrize("odds", [True, False])
def test_what_can_only_mean_yes_and_no_is_read(yes, no, odds: bool) -> None:
    verdicts = [said("Yes", i, odds) for i in range(5)] + [said("No", 5, odds)]
    golds = {str(i): yes if i < 4 else no for i in range(6)}
    [section] = summarise(verdicts, golds)
    assert section.scale is not None
    assert section.scale.labels == ("Yes", "No")
    assert section.off_scale == 0
    assert section.agreement is not None
    assert section.agreement.accuracy.value == pytest.approx(5 / 6)
    # A judge that always says Yes: the other label is known from the gold ones alone.
    [section] = summarise([said("Yes", i, False) for i in range(6)], golds)
    assert section.scale is not None
    assert section.scale.labels == ("Yes", "No")


def test_what_depends_on_the_question_is_not_guessed() -> None:
    codes, _ = gold_codes(["PASS", "FAIL", "2", "good", None, ""], YES_NO)
    assert codes.tolist() == [-1] * 6
    codes, _ = gold_codes(["PASSED", "failed", 1, 0], Scale.binary("Pass", "Fail"))
    assert codes.tolist() == [0, 1, 0, 1]
    assert matched(1, Scale.classes("good", "bad")) is None
    assert matched("1", Scale.likert(1, 2)) is None
    assert matched(1, Scale.classes("No", "Yes")) == "Yes"


def test_names_of_labels_are_read_strictly() -> None:
    names = read_names("1=Yes, 0 = No,PASS=Yes")
    assert [named(v, names) for v in (1, "0", 1.0, "pass", "other", None)] == [
        "Yes", "No", "Yes", "Yes", "other", None,
    ]  # fmt: skip
    for option, golds in (("2=good", (2, 2.0, "2", "2.0")), ("2.0=good", (2, 2.0, "2", "2.0"))):
        assert {named(gold, read_names(option)) for gold in golds} == {"good"}
    assert named("1.2.0", read_names("1.2=Yes")) == "1.2.0"  # a version is no number
    for wrong in ("", "1", "1=", "=Yes", "1=Yes,", "1=Yes,1=No"):
        with pytest.raises(UsageError, match="--labels"):
            read_names(wrong)
    assert example(["FAIL", "PASS"], ["Yes", "No"]) == '--labels "PASS=Yes,FAIL=No"'
    assert example(["ok"], ["Yes", "No"]) == '--labels "ok=Yes"'
    assert example(["1990", "ok"], ["Yes", "No"]) == '--labels "ok=Yes"'
    assert example(["7"], ["1", "2"]) == '--labels "GOLD=LABEL"'


def test_texts_are_not_taken_for_other_names_of_labels() -> None:
    golds = dict(enumerate(["1990", "Paris", "blue", "Yes", "No", "No"]))
    sections = summarise([said("Yes", i) for i in range(6)], golds, row_of=lambda v: int(v.id))
    [line] = off_scale([*sections, *sections], {})  # of two judges
    assert "name it with --map label=COLUMN" in line and "=Yes" not in line


def test_an_option_to_copy_does_nothing_else_in_a_shell() -> None:
    for gold in ("$(touch x)", "`id`", 'a"; id; "', "it's", "a\\", "!!"):
        words = shlex.split(option := example([gold], ["Yes", "No"]))
        assert words == ["--labels", f"{gold}=Yes"]
        assert "'" in option
        assert read_names(words[1]) == {gold: "Yes"}
    for gold in ("x" * 10_000, "a\nb", "a,b", "a=b"):  # what no option can name
        assert example([gold], ["Yes", "No"]) == '--labels "GOLD=LABEL"'
    assert example(["a\nb", "ok"], ["Yes", "No"]) == '--labels "ok=Yes"'


@given(st.text(), st.text(), st.none() | st.booleans() | st.floats() | st.text())
def test_any_option_is_read_or_refused(option: str, other: str, value) -> None:
    try:
        names = read_names(option)
    except UsageError:
        return
    named(value, names)
    example([other, option], ["Yes", "No"])


def test_labels_half_of_which_are_off_the_scale_are_reported(tmp_path: Path) -> None:
    verdicts, rows = tmp_path / "v.jsonl", tmp_path / "rows.csv"
    verdicts.write_text("".join(said("Yes", i).to_json() + "\n" for i in range(2)))
    rows.write_text("id,response,label\n0,x,No\n1,y,maybe\n")
    found = CliRunner().invoke(app, ["report", str(verdicts), "--data", str(rows), "--json"])
    assert found.exit_code == 0, found.stderr
    assert "1 of 2 labels (maybe) are not on the scale" in found.stderr
    assert json.loads(found.stdout)[0]["agreement"]["accuracy"]["n"] == 1


def test_labels_are_those_of_one_criterion_where_a_user_says_so(tmp_path: Path) -> None:
    verdicts, rows = tmp_path / "v.jsonl", tmp_path / "rows.jsonl"
    five = Verdict(judge="nano", criterion="tone", label="3", score=3.0)
    lines = [v for i in range(6) for v in (
        said("Yes", i), said("No", i).model_copy(update={"criterion": "short"}),
        five.model_copy(update={"id": str(i), "label": str(i % 5 + 1)}),
        five.model_copy(update={"id": str(i), "label": str(i % 4 + 1), "criterion": "wit"}),
    )]  # fmt: skip
    verdicts.write_text("".join(v.to_json() + "\n" for v in lines))
    rows.write_text(
        "".join(f'{{"id": "{i}", "response": "r{i}", "label": "Yes"}}\n' for i in range(6))
    )
    command = ["report", str(verdicts), "--data", str(rows), "--json"]
    found = CliRunner().invoke(app, command)
    assert (
        "fit the scale of polite, short, and it is not known which of these they are about"
        in found.stderr
    )
    assert not any(s["agreement"] for s in json.loads(found.stdout))
    said_so = [s["not_scored"] for s in json.loads(found.stdout)]
    assert "may be about “short” as well" in said_so[0] and "“polite”" in said_so[1]
    assert said_so[2:] == [None, None]
    page = verdicts.with_suffix(".html").read_text()
    assert "may be about “short” as well" in page
    assert "gold <span" not in page and "Disagreements" not in page and "Accuracy" not in page
    plain = CliRunner().invoke(app, command[:-1])
    assert (
        plain.stdout.count("not scored: it is not known which criterion the labels belong to") == 2
    )
    both = CliRunner().invoke(app, [*command, "-c", "polite", "-c", "short"])
    assert [bool(s["agreement"]) for s in json.loads(both.stdout)] == [True, True, False, False]
    assert "not on the scale of tone, wit, which are reported without" in found.stderr
    assert found.stderr.count("\n") == 2
    found = CliRunner().invoke(app, [*command, "-c", "polite"])
    assert found.stderr == ""
    sections = json.loads(found.stdout)
    assert [bool(s["agreement"]) for s in sections] == [True, False, False, False]
    assert sections[0]["labels_from"] == f"those of {rows}"
    assert "about this question is taken on trust" in verdicts.with_suffix(".html").read_text()
    wrong = CliRunner().invoke(app, [*command, "-c", "polit"])
    assert 'did you mean "polite"?; it has: polite, short, tone, wit' in str(wrong.exception)


def test_a_report_says_which_labels_it_cannot_score(tmp_path: Path) -> None:
    verdicts, rows = tmp_path / "v.jsonl", tmp_path / "rows.jsonl"
    labels = ["Yes"] * 6 + ["No"] * 4
    lines = [said(label, i).model_copy(update={"key": f"k{i}"}) for i, label in enumerate(labels)]
    verdicts.write_text("".join(line.to_json() + "\n" for line in lines))
    golds = ["OK"] * 5 + ["BAD"] * 5
    rows.write_text(
        "".join(
            json.dumps({"id": str(i), "response": f"text {i}", "label": g}) + "\n"
            for i, g in enumerate(golds)
        )
    )
    command = ["report", str(verdicts), "--data", str(rows)]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0
    assert "10 of 10 labels (OK, BAD) are not on the scale Yes/No" in found.stderr
    assert '--labels "OK=Yes,BAD=No"' in found.stderr
    assert "accuracy" not in found.stdout
    found = CliRunner().invoke(app, [*command, "--labels", "OK=Yes,BAD=No"])
    assert "accuracy 0.900 [0." in found.stdout
    assert "not on the scale" not in found.stderr
    assert "too few" not in found.stderr
    verdicts.write_text("".join(line.to_json() + "\n" for line in lines[:4]))
    few = CliRunner().invoke(app, [*command, "--labels", "OK=Yes,BAD=No"])
    assert "4 independent rows" in few.stderr
    assert "accuracy 1.000 (n = 4)" in few.stdout
    assert "cannot be told" in verdicts.with_suffix(".html").read_text()
    wrong = CliRunner().invoke(app, [*command, "--labels", "OK=Yse,BAD=No"])
    assert isinstance(wrong.exception, UsageError)
    assert 'did you mean "Yes"' in str(wrong.exception)


def test_a_column_of_its_own_says_what_labels_are_about(tmp_path: Path) -> None:
    verdicts, rows = tmp_path / "v.jsonl", tmp_path / "rows.jsonl"
    polite = [said("Yes", i) for i in range(6)]
    short = [
        said("No", i).model_copy(update={"criterion": "short", "columns": {"label": "is_short"}})
        for i in range(6)
    ]
    verdicts.write_text("".join(v.to_json() + "\n" for v in (*polite, *short)))
    lines = (
        {"id": str(i), "response": f"r{i}", "label": "Yes", "is_short": "No"} for i in range(6)
    )
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = ["report", str(verdicts), "--data", str(rows), "--json"]
    found = CliRunner().invoke(app, command)
    sections = json.loads(found.stdout)
    assert [s["agreement"]["accuracy"]["value"] for s in sections] == [1, 1]
    assert sections[1]["labels_from"] == f"those in the column “is_short” of {rows}"
    assert found.stderr == ""
    found = CliRunner().invoke(app, [*command, "--map", "label=label"])  # one column for both
    assert [bool(s["agreement"]) for s in json.loads(found.stdout)] == [False, False]
