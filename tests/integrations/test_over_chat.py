"""Metrics that bring prompts of their own, in the real packages, over a real server whose judge is `nano`: how good their
figures are is a matter of the weights, but no answer may be JSON that is none.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from mene.judge.preset import load_preset
from mene.serve.judges import Judges
from mene.serve.metrics import Meter
from mene.serve.serving import Serving

uvicorn = pytest.importorskip("uvicorn")
from tests.serve.threaded import threaded  # noqa: E402

PROMPTFOO = shutil.which("promptfoo")

ASKED, CONTEXT, SAID = "When does it open?", "The shop opens at nine.", "It opens at ten."
QUIET = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
    "DEEPEVAL_DISABLE_DOTENV": "1",
    "DEEPEVAL_PER_ATTEMPT_TIMEOUT_SECONDS_OVERRIDE": "900",  # a small judge on two cores
    "RAGAS_DO_NOT_TRACK": "true",
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
    "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server, as clients of OpenAI take it."""
    from mene.serve.app import build_app

    meter = Meter()
    judges = Judges([load_preset("nano")], aliases={"gpt-4o-mini": "nano"}, meter=meter)
    config = uvicorn.Config(build_app(Serving(judges, meter)), log_level="warning", lifespan="on")
    with threaded(config) as port:
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)  # DeepEval keeps results in .deepeval


@pytest.mark.skipif(find_spec("deepeval") is None, reason="deepeval is not here")
def test_faithfulness_of_deepeval(server: str) -> None:
    from deepeval.metrics import FaithfulnessMetric
    from deepeval.models import OpenAIModel
    from deepeval.test_case import LLMTestCase

    model = OpenAIModel(model="gpt-4o-mini", base_url=server, api_key="any")
    metric = FaithfulnessMetric(model=model, async_mode=False)
    case = LLMTestCase(input=ASKED, actual_output=SAID, retrieval_context=[CONTEXT])
    score = metric.measure(case, _show_indicator=False)
    assert 0 <= score <= 1
    assert metric.claims and metric.truths  # its model read both texts
    assert len(metric.verdicts) > 0
    assert {one.verdict.strip().lower() for one in metric.verdicts} <= {"yes", "no", "borderline"}
    assert metric.error is None


@pytest.mark.skipif(find_spec("ragas") is None, reason="ragas is not here")
def test_faithfulness_of_ragas(server: str) -> None:
    from openai import AsyncOpenAI
    from ragas.llms import llm_factory
    from ragas.metrics.collections import Faithfulness

    client = AsyncOpenAI(base_url=server, api_key="any", timeout=600, max_retries=0)
    metric = Faithfulness(llm=llm_factory("nano", client=client))
    asked = metric.ascore(user_input=ASKED, response=SAID, retrieved_contexts=[CONTEXT])
    assert 0 <= asyncio.run(asked).value <= 1


@pytest.mark.skipif(PROMPTFOO is None, reason="promptfoo (of npm) is not here")
def test_a_provider_and_a_rubric_of_promptfoo(server: str, tmp_path: Path) -> None:
    reached = {"apiBaseUrl": server, "apiKey": "any", "temperature": 0, "max_tokens": 200}
    graded = {**reached, "response_format": {"type": "json_object"}}
    config = {
        "prompts": ["{{q}}"],
        "providers": ["echo", {"id": "openai:chat:nano", "config": {**reached, "max_tokens": 16}}],
        "defaultTest": {"options": {"provider": {"id": "openai:chat:nano", "config": graded}}},
        "tests": [
            {
                "vars": {"q": "Hello, how are you?"},
                "assert": [{"type": "llm-rubric", "value": "contains a greeting"}],
            }
        ],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    told = tmp_path / "told.json"
    ended = subprocess.run(
        [str(PROMPTFOO), "eval", "-c", "config.json", "-o", str(told), "--no-cache", "--no-table",
         "--no-progress-bar", "-j", "1"],
        env={**os.environ, "PROMPTFOO_CONFIG_DIR": str(tmp_path / "state")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert told.is_file(), ended.stdout + ended.stderr
    results = json.loads(told.read_text())["results"]["results"]
    assert len(results) == 2
    for one in results:
        assert one["response"]["output"]
        [graded] = one["gradingResult"]["componentResults"]
        # With a verdict that is none, promptfoo has no reason but its own.
        assert isinstance(graded["pass"], bool) and 0 <= graded["score"] <= 1
        assert graded["reason"] and "JSON" not in graded["reason"], graded
