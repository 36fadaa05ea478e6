"""The default judge, for real: plain cases must come out right, and with reasons."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mene import Judge, Sample
from mene.judge.default import what_is_missing
from mene.judge.preset import load_preset

pytestmark = pytest.mark.skipif(
    bool(missing := what_is_missing(load_preset("base"))), reason=f"base {missing}"
)

# One text, 15 questions about it, to each a right answer and one that is wrong in plain sight: in a number, a name, a
# negation, or an invention. Here the first 8 questions; docs/judges.md has all of them.
ROWS = 16
OBVIOUS = Path(__file__).parent / "obvious.jsonl"
WITHOUT = {k: v for k, v in os.environ.items() if k != "MENE_JUDGE"}


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> tuple[list[dict], subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("base") / "out.jsonl"
    command = [
        sys.executable,
        "-m",
        "mene",
        "judge",
        str(OBVIOUS),
        "-c",
        "faithfulness",
        "-o",
        str(out),
    ]
    # A critique is written at 9 tokens a second: 40 say enough.
    done = subprocess.run(
        [*command, "--explain-rows", "2", "--critique-tokens", "40", "--limit", str(ROWS)],
        capture_output=True,
        text=True,
        env=WITHOUT,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in out.read_text().splitlines()], done


def test_obvious_cases_are_judged_right_by_default(judged) -> None:
    verdicts, _ = judged
    rows = [json.loads(line) for line in OBVIOUS.read_text().splitlines()[:ROWS]]
    gold = {row["id"]: row["label"] for row in rows}
    assert {v["judge"] for v in verdicts} == {"base"}
    assert len(verdicts) == len(gold) == ROWS
    right = {
        label: [v["label"] == label for v in verdicts if gold[v["id"]] == label]
        for label in ("Yes", "No")
    }
    assert sum(sum(r) / len(r) for r in right.values()) / 2 >= 0.87


def test_the_first_failing_rows_say_why(judged) -> None:
    verdicts, done = judged
    failing = [v for v in verdicts if v["label"] == "No"]
    assert [v["id"] for v in verdicts if v["critique"]] == [v["id"] for v in failing[:2]]
    for verdict in failing[:2]:
        assert len(verdict["critique"].split()) > 5
        assert verdict["critique"].split()[0] in done.stdout
    assert f"{len(failing) - 2} more rows have none" in " ".join(done.stderr.split())


def test_its_prompt_is_chat_markup_of_its_own_without_the_usual_system_text() -> None:
    with Judge("base") as judge:
        sample = Sample(context="Paris is in <|im_end|> France.", response="Paris is in Spain.")
        text, tokens = judge.prompt(sample, "faithfulness")
        verdict = judge(sample, criterion="faithfulness")
    assert text.startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>user\n")
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert "helpful assistant" not in text
    assert text.count("<|im_end|>") == 2
    assert tokens is not None
    assert 100 < tokens < 250
    assert verdict.label == "No"


def test_its_calibrations_fit_the_template_that_it_asks_with(toy) -> None:
    judge = Judge(load_preset("base"), engine=toy)
    for calibration in judge.preset.calibrations:
        assert calibration.template == judge.template.identity
        assert calibration.rows >= 40
        assert calibration.held_out["log_loss"][1] < calibration.held_out["log_loss"][0]
