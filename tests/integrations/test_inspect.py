"""The scorer in a real evaluation of Inspect, with its mock model."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai import Task, eval, score
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.solver import generate

from mene import Judge
from mene.integrations.inspect_ai import judged
from tests.integrations.scripted import JUDGE, Scripted


@pytest.fixture
def judge() -> Judge:
    return Judge(JUDGE, engine=Scripted())


def run(tmp_path, judge: Judge, *answers: str, **settings: object):
    """The log of an evaluation in which a model gives these answers."""
    outputs = [ModelOutput.from_content("mockllm/model", answer) for answer in answers]
    for output in outputs:  # else tokens are counted, by a tokeniser that is downloaded
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    model = get_model("mockllm/model", custom_outputs=outputs)
    data = [
        Sample(id=n + 1, input="Who?", target="A man.", metadata={"context": ["one", "two"]})
        for n in range(len(answers))
    ]
    task = Task(dataset=data, solver=generate(), scorer=judged(judge=judge, **settings))
    [log] = eval(task, model=model, log_dir=str(tmp_path), display="none", max_samples=1)
    assert log.status == "success", log.error
    return log


def test_classes_are_correct_or_not(tmp_path, judge) -> None:
    log = run(
        tmp_path,
        judge,
        "a good man",
        "a bad man",
        "a broken man",
        criterion="faithfulness",
        explain=True,
    )
    first, second, third = [sample.scores["judged"] for sample in log.samples]
    assert (first.value, second.value, third.value) == (
        "C",
        "I",
        pytest.approx(math.nan, nan_ok=True),
    )
    assert first.answer == "a good man" and first.explanation == "Yes (Yes 0.90, No 0.10)"
    assert second.explanation == "No (Yes 0.10, No 0.90)\nbecause of that"
    assert second.metadata["label"] == "No" and second.metadata["probabilities"] == {
        "Yes": 0.1,
        "No": 0.9,
    }
    assert (third.reason, third.explanation) == ("grader_failed", "no verdict: it broke; try again")
    assert log.results.scores[0].metrics["accuracy"].value == 0.5  # the third counts for nothing


def test_a_scale_is_a_number(tmp_path, judge) -> None:
    log = run(tmp_path, judge, "a good man", criterion="How warm is it?", scale="0-10")
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(0.945)
    assert log.samples[0].scores["judged"].metadata["score"] == pytest.approx(9.45)


def test_the_target_is_the_reference_and_a_log_is_judged_again(tmp_path, judge) -> None:
    log = run(tmp_path, judge, "a good man", criterion="correctness")
    again = score(
        log,
        judged("faithfulness", judge=judge, context="elsewhere"),
        action="append",
        display="none",
    )
    assert 'field "context" is missing' in again.samples[0].scores["judged1"].explanation


def test_the_entry_point_names_it() -> None:
    import tomllib
    from pathlib import Path

    entries = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]["entry-points"]
    assert entries["inspect_ai"] == {"mene": "mene.integrations.inspect_ai"}
