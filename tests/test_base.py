"""The default judge, for real: plain cases must come out right, and with reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mene import Judge, Sample
from mene.engines.base import Engine
from mene.judge import judge as judges
from mene.judge.default import what_is_missing
from mene.judge.open import open_engine
from mene.judge.preset import load_preset

pytestmark = pytest.mark.skipif(
    bool(missing := what_is_missing(load_preset("base"))), reason=f"base {missing}"
)

# One text, 15 questions about it, to each a right answer and one that is wrong in plain sight: in a number, a name, a
# negation, or an invention. The text is the same, so it is read once: a further row is some ten tokens.
OBVIOUS = Path(__file__).parent / "obvious.jsonl"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Loading 1.1 GB takes longer than all that is asked of it."""
    engine = open_engine(load_preset("base"), critique=False)
    yield engine
    engine.close()


def test_obvious_cases_are_judged_right_by_default_and_the_first_failing_ones_say_why(
    here: Any, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MENE_JUDGE")
    with monkeypatch.context() as kept:
        kept.setattr(judges, "open_engine", lambda *_, **__: engine)
        kept.setattr(engine, "close", lambda: None)
        command = ["judge", OBVIOUS, "-c", "faithfulness", "-o", tmp_path / "out.jsonl"]
        # A token is written in some 0.2 s; 24 make a sentence.
        done = here(*command, "--explain-rows", "2", "--critique-tokens", "24")
    assert done.returncode == 0, done.stderr
    verdicts = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    rows = [json.loads(line) for line in OBVIOUS.read_text().splitlines()]
    assert {v["judge"] for v in verdicts} == {"base"}
    assert [v["id"] for v in verdicts] == [row["id"] for row in rows]
    yes: dict[str, list[float]] = {"Yes": [], "No": []}
    for row, verdict in zip(rows, verdicts, strict=True):
        yes[row["label"]].append(verdict["probabilities"]["Yes"])
    # 27 of 30 are right, and AUC is 1.00 (docs/judges.md).
    right = sum(v["label"] == row["label"] for row, v in zip(rows, verdicts, strict=True))
    assert len(yes["Yes"]) == len(yes["No"]) == 15
    assert right >= 27
    assert sum(a > b for a in yes["Yes"] for b in yes["No"]) / 15**2 > 0.95

    failing = [v for v in verdicts if v["label"] == "No"]
    assert [v["id"] for v in verdicts if v["critique"]] == [v["id"] for v in failing[:2]]
    for verdict in failing[:2]:
        assert len(verdict["critique"].split()) > 5
        assert verdict["critique"].split()[0] in done.stdout
    assert f"{len(failing) - 2} more rows have none" in " ".join(done.stderr.split())


def test_its_prompt_is_chat_markup_of_its_own_without_the_usual_system_text(engine: Any) -> None:
    judge = Judge("base", engine=engine)
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
