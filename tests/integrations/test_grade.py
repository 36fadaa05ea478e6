"""Verdicts as numbers and words, rows of other tools, judges that are shared, packages that are missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mene import Criterion, Judge, Verdict
from mene.criterion import load_criterion
from mene.errors import EngineError, UsageError
from mene.integrations.ask import ask, judge_of, seats, win
from mene.integrations.grade import grade, reason
from mene.integrations.row import row_of
from tests.integrations.scripted import JUDGE, Scripted


def of(scale: str, **more: object) -> Criterion:
    return Criterion(name="c", question="Which?", scale=scale, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("criterion", "verdict", "said"),
    [
        (of("yes/no"), Verdict(label="Yes", probabilities={"Yes": 0.8, "No": 0.2}), 0.8),
        (
            of("yes/no", failing=["Yes"]),
            Verdict(label="Yes", probabilities={"Yes": 0.8, "No": 0.2}),
            0.2,
        ),
        (of("yes/no"), Verdict(label="No"), 0.0),
        (of("1-5"), Verdict(label="4", score=3.5), 0.625),
        (of("1-5"), Verdict(label="5"), 1.0),
        (of("1-5", failing=["4", "5"]), Verdict(label="4", score=4.0), 0.25),
        (of("0-10"), Verdict(label="0", score=0.0), 0.0),
        (
            of("good/bad/ugly", failing=["ugly"]),
            Verdict(label="bad", probabilities={"good": 0.3, "bad": 0.4, "ugly": 0.3}),
            0.7,
        ),
    ],
)
def test_a_grade_is_0_where_it_fails_and_1_where_it_does_not(criterion, verdict, said) -> None:
    assert grade(verdict, criterion) == pytest.approx(said)


def test_without_a_label_or_a_failing_one_there_is_no_grade() -> None:
    with pytest.raises(UsageError, match="write `failing:`"):
        grade(Verdict(label="good"), of("good/bad/ugly"))
    with pytest.raises(EngineError, match="it broke"):
        grade(Verdict(error="it broke"), of("yes/no"))
    with pytest.raises(EngineError, match="left to a person: not sure enough of Yes"):
        grade(Verdict(abstained=True, likeliest="Yes"), of("yes/no"))


def test_a_reason_has_all_probabilities() -> None:
    said = Verdict(label="2", score=1.75, probabilities={"1": 0.25, "2": 0.75}, critique="why")
    assert reason(said) == "2 (1 0.25, 2 0.75, score 1.75)\nwhy"
    assert reason(Verdict(label="2")) == "2"


def test_who_wins() -> None:
    assert win(Verdict(label="A", probabilities={"A": 0.5, "B": 0.1, "tie": 0.4})) == pytest.approx(
        0.7
    )
    assert [win(Verdict(label=label)) for label in ("A", "B", "tie")] == [1.0, 0.0, 0.5]
    with pytest.raises(UsageError, match="like preference"):
        seats(of("yes/no"))


@pytest.mark.parametrize(
    ("inputs", "outputs", "reference", "said"),
    [
        ("q", "a", "r", {"instruction": "q", "response": "a", "reference": "r"}),
        (
            {"question": "q", "context": ["c"]},
            {"answer": "a"},
            {"answer": "r"},
            {"instruction": "q", "context": ["c"], "response": "a", "reference": "r"},
        ),
        (
            {"city": "q"},
            {"text": "a", "contexts": ["c"]},
            {"expected_output": "r"},
            {"instruction": "q", "context": ["c"], "response": "a", "reference": "r"},
        ),
        ({"a": "1", "b": "2"}, "a", None, {"response": "a"}),
        (
            {"messages": [{"role": "user", "content": "q"}], "k": 3},
            "a",
            {},
            {"instruction": [{"role": "user", "content": "q"}], "response": "a"},
        ),
    ],
)
def test_rows_of_inputs_and_outputs(inputs, outputs, reference, said) -> None:
    assert row_of(inputs, outputs, reference) == said


def test_metrics_that_name_a_judge_share_it(monkeypatch) -> None:
    monkeypatch.setattr("mene.judge.judge.open_engine", lambda *_, **__: Scripted())
    monkeypatch.setattr("mene.integrations.ask._opened", {})
    assert judge_of(JUDGE) is judge_of(JUDGE)
    own = Judge(JUDGE, engine=Scripted())
    assert judge_of(own) is own


def test_a_critique_for_what_fails() -> None:
    judge, criterion = Judge(JUDGE, engine=Scripted()), load_criterion("Nice?")
    assert ask(judge, {"response": "good"}, criterion, explain=True).critique is None
    assert ask(judge, {"response": "bad"}, criterion, explain=True).critique == "because of that"


MISSING = """
import importlib, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
EXTRAS = dict(deepeval="deepeval", ragas="ragas", inspect_ai="inspect", mlflow="mlflow", opik="opik")
sys.meta_path.insert(0, Missing())
from mene.errors import ModelError
for module in EXTRAS:
    try:
        importlib.import_module(f"mene.integrations.{module}")
    except ModelError as error:
        print(error)
"""


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    source = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2] / "src"))
    done = subprocess.run(
        [sys.executable, "-c", MISSING], capture_output=True, text=True, env=source
    )
    extras = {
        "deepeval": "deepeval",
        "ragas": "ragas",
        "inspect_ai": "inspect",
        "mlflow": "mlflow",
        "opik": "opik",
    }
    said = [
        f'{name} is not installed; run: pip install "mene[{extra}]"'
        for name, extra in extras.items()
    ]
    assert done.stdout.splitlines() == said, done.stderr
