"""`mene judge --plan`: what it prints, and options that it would have to ignore."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mene.judge.judge import Judge

ROWS = [
    {"context": "It opens at nine.", "response": "At nine.", "instruction": "When?", "reference": "At nine."},
    {"context": "It opens at nine, but not on Sundays.", "response": "At nine, and on Sundays at ten.", "instruction": "When?", "reference": "At nine."},
]  # fmt: skip


@pytest.fixture
def plan(here, toy, tmp_path, monkeypatch) -> Any:
    """`mene judge rows.jsonl --plan` with more words; the judge is no model, and has a name that plan.yaml does not know."""
    from mene.cli import judge_plan

    def opened(*_: object) -> Judge:
        return Judge("openai:toy@http://localhost", mode="verdict", engine=toy)

    monkeypatch.setattr(judge_plan, "open_judge", opened)
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    Path("other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return lambda *words: here("judge", "rows.jsonl", "-c", "faithfulness", *words)


def test_a_plan_says_what_is_not_known(plan) -> None:
    done = plan("--plan", "--rows", "7200", "-c", "tone")
    said = " ".join(done.stdout.split())
    assert done.returncode == 0
    assert "7,200 rows, by 2 criteria, from 2 that were judged" in said
    assert "95 % interval is that of the rows measured" in said
    assert "no judge has been measured on all of faithfulness, tone, so none" in said
    one = " ".join(plan("--plan").stdout.split())
    assert "nano 76% [63%, 88%] 200 rows" in one
    assert one.count("not known") == 3  # how long nano, small and base take here


def test_agreement_on_several_criteria_says_which_is_which(plan) -> None:
    said = " ".join(plan("--plan", "-c", "correctness").stdout.split())
    assert "judge criterion agreement measured on here" in said
    assert "small faithfulness 81%" in said and "small correctness 80%" in said


def test_one_row_has_no_interval(plan) -> None:
    done = plan("--plan", "--limit", "1")
    said = " ".join(done.stdout.split())
    assert done.returncode == 0
    assert "There is no 95 % interval" in said
    assert " to " not in said.partition("gpt-4o-mini")[0]
    measured = json.loads(plan("--plan", "--limit", "1", "--json").stdout)["measured"]
    assert (measured["seconds"]["low"], measured["prompt"]["high"]) == (None, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["other.jsonl", "--plan"], "other.jsonl: --plan measures one file, which stands for all"),
        (["--plan", "--explain-rows", "0"], "leave --explain-rows out"),
        (["--plan", "--on", "ray"], "leave --on out, and say how many with --workers"),
        (["--on", "ray", "--rows", "5"], "--rows has no effect here; use it with --plan"),
        (["--on", "ray", "--gpu", "h100"], "--gpu has no effect here; use it with --plan"),
        (["--on", "ray", "--agreement", "0.5"], "--agreement has no effect here"),
        (["--on", "ray", "--prices", "p.yaml"], "--prices has no effect here"),
    ],
)
def test_options_that_would_be_ignored_are_refused(plan, words, said) -> None:
    done = plan(*words)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
