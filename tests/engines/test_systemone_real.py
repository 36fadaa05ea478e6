"""A System One server that somebody else wrote: `sparrow-decider`, with the model that its package brings.

Its verdicts are weak, and no test is about them; what is tested is that mene and a server of the API understand each other.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mene import Judge, Sample
from mene.criterion import load_criterion

HERE = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
SPARROW = os.environ.get("MENE_SPARROW") or shutil.which("sparrow-decider", path=HERE)
pytestmark = pytest.mark.skipif(SPARROW is None, reason="sparrow-decider is not installed")

REFUND = Sample(
    instruction="I was charged twice for order 1182, I want my money back",
    response="Refund the second payment.",
    response_a="Refund the second payment.",
    response_b="The weather is fine today.",
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [str(SPARROW), "serve", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    where = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            assert server.poll() is None
            try:
                httpx.get(where, trust_env=False)
                break
            except httpx.HTTPError:
                time.sleep(0.05)
        yield where
    finally:
        server.terminate()
        server.wait(60)


@pytest.mark.parametrize(
    "scale", ["yes/no", "1-5", "0-9", "helpful/useless/rude", "a/b", "a/b/tie"]
)
def test_every_kind_of_scale(url: str, scale: str) -> None:
    criterion = load_criterion("Does the response help with the problem?", scale)
    with Judge(f"systemone:sparrow@{url}", compare="both-orders") as judge:
        verdict = judge(REFUND, criterion=criterion)
    assert verdict.error is None
    assert tuple(verdict.probabilities or {}) == criterion.scale.labels
    assert sum((verdict.probabilities or {}).values()) == pytest.approx(1)
    assert (verdict.score is not None) == (criterion.scale.kind == "ordinal")


def test_more_levels_than_it_takes_are_the_rows_error(url: str) -> None:
    with Judge(f"systemone:sparrow@{url}") as judge:
        verdict = judge(REFUND, criterion=load_criterion("How good?", "0-10"))
    assert verdict.label is None
    assert "2-10 levels" in (verdict.error or "")


def test_same_row_same_verdict_whatever_else_is_asked(url: str) -> None:
    rows = [
        REFUND.model_copy(update={"response": f"Refund it, please. {n % 5}"}) for n in range(40)
    ]
    with Judge(f"systemone:sparrow@{url}", concurrency=4) as judge:
        found = [verdict.probabilities for verdict in judge.judge(rows, "helpfulness")]
    assert all(found) and found == found[:5] * 8
    assert found[0] != found[1]
