"""``mene judge`` by several criteria, on the screen, as JSON and as a table."""

from __future__ import annotations

import json
from pathlib import Path

import polars
import pytest

from mene import Judge
from mene.judge.preset import load_preset

PRESET = load_preset("openai:toy@http://localhost").model_copy(update={"mode": "verdict"})
SET = """\
criteria:
- criterion: tone
  weight: 2
- name: polite
  question: Is the reply polite?
  must_pass: true
"""


@pytest.fixture
def judged(here, toy, tmp_path: Path, monkeypatch):
    """``mene judge`` on four rows, by a judge that answers at once."""
    monkeypatch.setattr("mene.cli.judge.open_judge", lambda *_: Judge(PRESET, engine=toy))
    rows = [{"id": f"r{n}", "response": f"It is {n}."} for n in range(4)]
    rows[2]["context"] = "It is 2."
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "set.yaml").write_text(SET)

    def run(*arguments: object):
        return here("judge", tmp_path / "t.jsonl", "-j", "nano", *arguments)

    return run


def test_each_criterion_has_its_block_and_the_run_its_own(judged, tmp_path) -> None:
    done = judged("-c", "tone", "-c", "Is the reply polite?", "-c", "faithfulness")
    assert done.returncode == 1  # three rows have no context
    out = done.stderr
    for said in (
        "tone                 4 rows: 4 judged",
        "is-the-reply-polite  4 rows: 4 judged",
        "question             Is the reply polite?",
        "faithfulness         4 rows: 1 judged, 3 failed",
    ):
        assert said in out
    assert out.count("\nspeed ") == out.count("\njudge ") == out.count("\nverdicts ") == 1
    shown = done.stdout.splitlines()
    assert sum("  tone  likeliest " in line for line in shown) == 4
    assert sum("  faithfulness  error: " in line for line in shown) == 3
    again = judged("-c", "tone", "-c", "Is the reply polite?", "-c", "faithfulness", "--json")
    said = json.loads(again.stdout)
    assert (said["rows"], said["judged"], said["reused"], said["errors"]) == (4, 0, 9, 3)
    assert said["criteria"]["faithfulness"]["errors"] == 3
    assert set(said["criteria"]["tone"]["labels"]) <= set("12345")


def test_a_set_says_what_the_samples_come_to(judged, tmp_path) -> None:
    wide = tmp_path / "w.csv"
    done = judged("-c", tmp_path / "set.yaml", "--wide", wide)
    frame = polars.read_csv(wide)
    assert len(frame) == 4
    passing = int(frame["overall_passed"].sum())
    assert passing == frame["polite_label"].to_list().count("Yes")
    assert f"overall {passing} of 4 rows pass; mean score " in " ".join(done.stderr.split())
    said = json.loads(judged("-c", tmp_path / "set.yaml", "--json").stdout)
    assert said["overall"]["passed"] == passing
    assert said["overall"]["score"] == pytest.approx(frame["overall_score"].mean())


def test_the_others_are_in_a_pipe_side_by_side(judged) -> None:
    done = judged("-c", "tone", "-c", "Is the reply polite?", "-o", "-")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(v["row"], v["criterion"]) for v in found] == [
        (row, name) for row in (1, 2, 3, 4) for name in ("tone", "is-the-reply-polite")
    ]


def test_an_option_for_pairs_needs_one(judged) -> None:
    done = judged("-c", "tone", "-c", "Is the reply polite?", "--compare", "together")
    assert "--compare is for pairs; tone has the scale 1-5, is-the-reply-polite has" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--wide", "v.jsonl", "-o", "v.jsonl"),
            "v.jsonl is the file of verdicts; give --wide another",
        ),
        (("--wide", "-"), "--wide writes a file: name one, or use `mene table"),
        (("--wide", "-", "-o", "-"), "pipe it into `mene table -`"),
        (("--wide", "p.csv", "--plan"), "--wide does not go with --plan; leave one of the two out"),
    ],
)
def test_a_table_that_cannot_be_has_a_next_step(
    judged, tmp_path, monkeypatch, options, said
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("v.jsonl").touch()
    done = judged("-c", "tone", *options)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


@pytest.mark.posix
def test_a_table_that_cannot_be_written_names_its_option(judged, here, tmp_path) -> None:
    out = tmp_path / f"{'w' * 250}.csv"  # too long for the name of its partial file
    done = judged("-c", "Is the reply polite?", "--wide", out)
    assert "w.csv: cannot write: File name too long; use another --wide\n" in done.stderr
    done = here("table", tmp_path / "t.verdicts.jsonl", "-o", out)
    assert "w.csv: cannot write: File name too long; use another --output\n" in done.stderr


def test_the_table_of_no_verdicts_has_a_next_step(here, tmp_path) -> None:
    (tmp_path / "v.jsonl").touch()
    assert "judge something first: `mene judge FILE`" in here("table", tmp_path / "v.jsonl").stderr
