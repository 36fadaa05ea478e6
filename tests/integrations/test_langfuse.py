"""Scores through the real Langfuse client, to a server on this machine."""

from __future__ import annotations

import http.server
import json
import threading

import pytest

pytest.importorskip("langfuse")

from langfuse import Langfuse

from mene import Judge, Verdict
from mene.criterion import load_criterion
from mene.errors import EngineError, UsageError
from mene.integrations.langfuse import score
from tests.integrations.scripted import JUDGE, Scripted

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def server():
    """Its address, and all that was posted to it."""
    posted: list[dict] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            said = json.loads(body) if self.path.endswith("/scores") else []
            posted.extend(said if isinstance(said, list) else said.get("scores", [said]))
            answer = json.dumps({"successCount": len(said), "errors": []}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", posted
    server.shutdown()
    server.server_close()


def test_verdicts_are_scores(server) -> None:
    address, posted = server
    client = Langfuse(public_key="pk", secret_key="sk", base_url=address)
    judge = Judge(JUDGE, engine=Scripted())
    faithful, warm = load_criterion("faithfulness"), load_criterion("How warm?", "1-5")
    row = {"id": f"{TRACE}-{SPAN}", "response": "good", "context": "c"}
    score(client, judge(row, criterion=faithful), faithful)
    score(client, judge(row, criterion=faithful), faithful, as_number=True, trace_id=TRACE)
    score(client, judge(row, criterion=warm), warm)
    client.flush()
    labelled, numbered, scored = posted
    assert (labelled["traceId"], labelled["observationId"], labelled["name"]) == (
        TRACE,
        SPAN,
        "faithfulness",
    )
    assert (labelled["value"], labelled["dataType"]) == ("Yes", "CATEGORICAL")
    assert (
        labelled["comment"] == "Yes (Yes 0.90, No 0.10)" and labelled["metadata"]["judge"] == JUDGE
    )
    assert (numbered["value"], numbered["dataType"]) == (
        pytest.approx(0.9),
        "NUMERIC",
    ) and not numbered.get("observationId")
    assert (scored["value"], scored["dataType"]) == (pytest.approx(4.75), "NUMERIC")
    score(client, judge(row, criterion=faithful), faithful)
    client.flush()
    assert posted[-1]["id"] == labelled["id"] != scored["id"]  # takes its own place
    with pytest.raises(UsageError, match="names none"):
        score(client, Verdict(id="7", label="Yes"), faithful)
    with pytest.raises(EngineError, match="it broke"):
        score(client, Verdict(error="it broke"), faithful, trace_id=TRACE)
    client.shutdown()
