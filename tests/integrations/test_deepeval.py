"""The metrics in the real DeepEval."""

from __future__ import annotations

import os

import pytest

os.environ.update(
    DEEPEVAL_TELEMETRY_OPT_OUT="YES", ERROR_REPORTING="NO", DEEPEVAL_DISABLE_DOTENV="1"
)
pytest.importorskip("deepeval")

from deepeval import assert_test, evaluate
from deepeval.errors import MissingTestCaseParamsError
from deepeval.evaluate import AsyncConfig, CacheConfig, DisplayConfig
from deepeval.metrics import JevEval
from deepeval.metrics.jev_eval import Choice, Noul, Score
from deepeval.test_case import ArenaTestCase, Contestant, LLMTestCase, SingleTurnParams

from mene import Judge
from mene.errors import EngineError, UsageError
from mene.integrations.deepeval import MeneArenaMetric, MeneMetric, MeneSystemOne
from tests.integrations.scripted import JUDGE, Scripted


@pytest.fixture
def judge() -> Judge:
    return Judge(JUDGE, engine=Scripted())


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # DeepEval keeps results in .deepeval


def case(text: str = "a good answer", **fields: object) -> LLMTestCase:
    return LLMTestCase(
        **{"input": "Who?", "actual_output": text, "retrieval_context": ["one", "two"], **fields}
    )


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_metric_in_evaluate(judge, asynchronous) -> None:
    metrics = [
        MeneMetric("faithfulness", judge),
        MeneMetric("How warm is it?", judge, scale="1-5", threshold=0.6),
    ]
    result = evaluate(
        test_cases=[case(), case("a bad one")],
        metrics=metrics,
        async_config=AsyncConfig(run_async=asynchronous),
        display_config=DisplayConfig(show_indicator=False, print_results=False),
        cache_config=CacheConfig(write_cache=False),
    )
    by_text = {
        one.actual_output: {m.name: (m.success, round(m.score, 2)) for m in one.metrics_data}
        for one in result.test_results
    }
    assert by_text == {
        "a good answer": {
            "faithfulness [mene]": (True, 0.9),
            "how-warm-is-it [mene]": (True, 0.94),
        },
        "a bad one": {
            "faithfulness [mene]": (False, 0.1),
            "how-warm-is-it [mene]": (False, 0.06),
        },
    }


def test_a_metric_in_assert_test(judge) -> None:
    assert_test(case(), [MeneMetric("faithfulness", judge)], run_async=False)
    with pytest.raises(
        AssertionError,
        match=r"faithfulness \[mene\] \(score: 0.1.*threshold: 0.5.*No \(Yes 0.10, No 0.90\)",
    ):
        assert_test(case("bad"), [MeneMetric("faithfulness", judge)], run_async=False)


def test_what_a_metric_says(judge) -> None:
    metric = MeneMetric("toxicity", judge, explain=True)
    assert metric.measure(case("good")) == pytest.approx(0.1)  # the scripted judge says Yes: toxic
    assert metric.success is False and metric.confidence == pytest.approx(0.9)
    assert metric.reason == "Yes (Yes 0.90, No 0.10)\nbecause of that"
    assert metric.score_breakdown == {"Yes": 0.9, "No": 0.1} and metric.evaluation_cost == 0
    with pytest.raises(MissingTestCaseParamsError, match='"context" is missing'):
        MeneMetric("faithfulness", judge).measure(case(retrieval_context=None))
    with pytest.raises(EngineError, match="it broke"):
        metric.measure(case("broken"))
    assert "it broke" in metric.error and metric.is_successful() is False


def test_contestants_meet_each_other(judge) -> None:
    def arena(*texts: str) -> ArenaTestCase:
        return ArenaTestCase(
            [Contestant(name=f"model {n}", test_case=case(text)) for n, text in enumerate(texts)]
        )

    metric = MeneArenaMetric(judge=judge)
    assert metric.measure(arena("bad", "good")) == "model 1" and metric.is_successful()
    assert metric.wins["model 1"] > 0.8 and "A = model 0, B = model 1" in metric.reason
    assert metric.measure(arena("bad", "worse", "good")) == "model 2"
    assert sum(metric.wins.values()) == pytest.approx(1.5)  # each meets two
    with pytest.raises(UsageError, match="like preference"):
        MeneArenaMetric("faithfulness", judge)


@pytest.mark.parametrize("asynchronous", [True, False])
def test_jev_eval_asks_the_judge(judge, asynchronous) -> None:
    metric = JevEval(
        name="all",
        evaluation_params=[SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT],
        questions=[
            Noul("It is polite.", true="It is."),
            Score("How long?", levels=["short", "middling", "long"]),
            Choice("Which tone?", options={"warm": 1.0, "cold": 0.0}),
        ],
        system_one_model=MeneSystemOne(judge),
        async_mode=asynchronous,
    )
    metric.measure(case(), _show_indicator=False)
    assert metric.score == pytest.approx((0.9 + (0.05 * 1 + 0.9 * 2) / 2 + 0.9) / 3, abs=1e-6)
    assert metric.evaluation_model == JUDGE and metric.confidence == pytest.approx(0.8)


def test_a_state_of_other_names_is_kept_whole(judge) -> None:
    from deepeval.models.system_one.schema import NoulQuestion

    model = MeneSystemOne(judge)
    for state in (
        {"policy": "be good", "actual_output": "bad"},
        "a good text",
        {"trace": {"spans": ["good"]}},
    ):
        answers, cost = model.decide(state, {"q": NoulQuestion(instructions="Nice?")})
        assert answers.nouls["q"].probability == pytest.approx(0.9) and cost == 0
