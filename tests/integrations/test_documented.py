"""Every block of Python in docs/integrations.md runs, where the package of its tool is installed."""

from __future__ import annotations

import http.server
import re
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.integrations.scripted import JUDGE, Scripted

DOCS = Path(__file__).parents[2] / "docs"
OFF = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
    "DEEPEVAL_DISABLE_DOTENV": "1",
    "RAGAS_DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OPIK_TRACK_DISABLE": "true",
    "OPIK_SENTRY_ENABLE": "false",
    "OPIK_URL_OVERRIDE": "http://127.0.0.1:9",
    "LANGFUSE_PUBLIC_KEY": "pk",
    "LANGFUSE_SECRET_KEY": "sk",
}


def blocks() -> list[tuple[str, str]]:
    """(heading, code) of each block of Python."""
    text = (DOCS / "integrations.md").read_text("utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return [
        (re.split(r" \(", heading)[0], code)
        for heading, body in zip(parts[1::2], parts[2::2], strict=True)
        for code in re.findall(r"^```python\n(.*?)^```$", body, flags=re.MULTILINE | re.DOTALL)
    ]


@pytest.fixture
def server(monkeypatch):
    """A server on this machine in the place of Langfuse and Phoenix, which takes everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"data": [{"id": "1"}], "id": "1"}')

        def log_message(self, *args: object) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("LANGFUSE_BASE_URL", address)
    monkeypatch.setenv("PHOENIX_COLLECTOR_ENDPOINT", address)
    yield
    server.shutdown()
    server.server_close()


def test_every_tool_has_a_block() -> None:
    assert [name for name, _ in blocks()] == [
        "OpenTelemetry", "DeepEval", "Ragas", "Inspect", "MLflow", "promptfoo", "Langfuse", "Phoenix",
        "LangSmith", "Opik", "LlamaIndex",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "code"), [pytest.param(*one, id=one[0]) for one in blocks()])
def test_a_block_runs(name, code, server, tmp_path, monkeypatch) -> None:
    for package in re.findall(r"^(?:from|import) ([\w.]+)", code, flags=re.MULTILINE):
        module = (
            package.split(".")[0]
            if not package.startswith("mene.integrations.")
            else package.split(".")[2]
        )
        names = {
            "otel": "opentelemetry.sdk",
            "phoenix": "phoenix.client",
            "promptfoo": "json",
            "langsmith": "json",
        }
        if not _there(names.get(module, module)):
            pytest.skip(f"{module} is not installed")
    for variable, value in {
        **OFF,
        "MENE_JUDGE": JUDGE,
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/m.db",
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mene.judge.judge.open_engine", lambda *_, **__: Scripted())
    monkeypatch.setattr("mene.integrations.ask._opened", {})
    exec(compile(code, f"docs/integrations.md, {name}", "exec"), {"__name__": "block"})


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
