"""The server of `loopback.py`, and every setting that leads to it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest
from loopback import Server, handler

from mene.weights import download, hub


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Server]:
    """An index and an empty hub; caches in ``tmp_path``; no pauses between tries."""
    from huggingface_hub import constants

    state = Server()
    state.wait.set()
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(state))
    state.url = f"http://127.0.0.1:{running.server_address[1]}"
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("MENE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MENE_PYPI_INDEX", f"{state.url}/simple")
    monkeypatch.setenv("HF_ENDPOINT", state.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.setattr(hub, "WAIT", 0.5)
    yield state
    running.shutdown()
    running.server_close()
