"""What promptfoo calls, with what it passes."""

from __future__ import annotations

import json

import pytest

from mene import Judge
from mene.integrations.promptfoo import call_api, get_assert
from tests.integrations.scripted import JUDGE, Scripted


@pytest.fixture(autouse=True)
def judge(monkeypatch) -> None:
    monkeypatch.setattr(
        "mene.integrations.promptfoo.judge_of", lambda given: Judge(JUDGE, engine=Scripted())
    )


def asserted(output: object, config: dict | None = None, **said: object) -> dict:
    return get_assert(output, {"prompt": "Tell me who.", "vars": said, "config": config})


def test_an_assertion() -> None:
    config = {"criterion": "faithfulness", "explain": True, "basePath": "/x"}
    good = asserted("good", config, question="Who?", context=["one", "two"])
    assert good == {
        "pass": True,
        "score": pytest.approx(0.9),
        "reason": "Yes (Yes 0.90, No 0.10)",
        "namedScores": {"faithfulness": pytest.approx(0.9)},
    }
    bad = asserted("bad", config, context="one")
    assert bad["pass"] is False and bad["reason"].endswith("because of that")
    assert (
        asserted("good", {"criterion": "How warm?", "scale": "1-5", "threshold": 0.95})["pass"]
        is False
    )
    assert (
        asserted({"answer": "good"}, {"criterion": "helpfulness"})["pass"] is True
    )  # the prompt is the instruction


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "say the criterion"),
        ({"criterion": "faithfullness"}, 'did you mean "faithfulness"'),
        ({"criterion": "faithfulness"}, '"context" is missing'),
        ({"criteria": "faithfulness"}, "no key 'criteria'"),
    ],
)
def test_what_makes_no_sense_fails_with_its_reason(config, said) -> None:
    failed = asserted("good", config)
    assert failed["pass"] is False and failed["score"] == 0 and said in failed["reason"]


def test_a_grader_for_llm_rubric() -> None:
    def graded(output: str, **config: object) -> dict:
        said = call_api(
            "[…]",
            {"config": config},
            {"vars": {"output": output, "rubric": "It is polite.", "name": "x"}},
        )
        return json.loads(said["output"])

    assert graded("good") == {
        "pass": True,
        "score": pytest.approx(0.9),
        "reason": "Yes (Yes 0.90, No 0.10)",
    }
    assert graded("bad")["pass"] is False and graded("bad", threshold=0.05)["pass"] is True
    assert "writes no answers" in call_api("Hello", {}, {"vars": {}})["error"]
