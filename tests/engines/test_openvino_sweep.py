"""What of the prepared models goes when a new one is written, and what must stay."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from tiny import mini_gguf

from mene.engines.openvino import prepare as openvino_prepare
from mene.engines.openvino.prepare import FORM, place_of, prepare
from mene.engines.openvino.sweep import GONE, PART, PATHS, WEIGHTS, limit
from mene.errors import UsageError

pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MENE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openvino"


@pytest.fixture
def told() -> list[str]:
    return []


def left_in(cache: Path) -> set[str]:
    return {f.name for f in cache.iterdir() if f.suffix != ".lock"}


def as_form(folder: Path, form: int) -> Path:
    """A copy of a prepared model's name under another form, with something in it."""
    other = folder.with_name(f"{folder.name.rpartition('-')[0]}-{form}")
    other.mkdir()
    (other / "model.bin").write_bytes(bytes(2_000_000))
    return other


def test_older_forms_of_the_same_file_go(tmp_path: Path, cache: Path, told: list[str]) -> None:
    path, other = mini_gguf(tmp_path / "mini.gguf"), mini_gguf(tmp_path / "o.gguf", llama__context_length=256)  # fmt: skip
    cache.mkdir(parents=True)
    as_form(place_of(path), FORM - 1)
    of_an_adapter = place_of(path).name.rpartition("-")[0]
    (cache / f"{of_an_adapter}-{'0' * 16}-2").mkdir()
    later, others = as_form(place_of(path), FORM + 1), as_form(place_of(other), 1)
    (cache / "notes").mkdir()
    (cache / "notes.txt").write_text("mine")
    prepare(path, tell=told.append)
    kept = {place_of(path).name, later.name, others.name, "notes", "notes.txt"}
    assert left_in(cache) == kept
    assert [line for line in told if "freed" in line] == [
        f"mini.gguf: freed 2 MB in {cache} of prepared models that are no longer used"
    ]
    prepare(path, tell=told.append)
    assert len(told) == 2


def test_a_file_that_was_replaced_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    path, other = mini_gguf(tmp_path / "mini.gguf"), tmp_path / "copy.gguf"
    prepare(path)
    folder = place_of(path)
    with_adapter = folder.with_name(folder.name.replace(f"-{FORM}", f"-{'0' * 16}-{FORM}"))
    shutil.copytree(folder, with_adapter)
    asked = [str(path.resolve()), str(tmp_path)]
    (with_adapter / PATHS).write_text(json.dumps([asked]))
    mini_gguf(path, llama__context_length=256)
    prepare(path)
    assert left_in(cache) == {place_of(path).name}
    # But not while its content is another file's too.
    other.write_bytes(path.read_bytes())
    prepare(other)
    mini_gguf(path, llama__context_length=128)
    prepare(path)
    assert left_in(cache) == {place_of(path).name, place_of(other).name}
    # Nor where that one is not here: another container may share the cache, and have it.
    kept = place_of(other).name
    other.unlink()
    mini_gguf(path, llama__context_length=64)
    prepare(path)
    assert left_in(cache) == {place_of(path).name, kept}


def test_other_files_keep_theirs(tmp_path: Path, cache: Path) -> None:
    """Also one on a disk that is not mounted, and one of which nobody wrote down whose it is."""
    away = tmp_path / "disk" / "away.gguf"
    away.parent.mkdir()
    mini_gguf(away, llama__context_length=256)
    path, nobodys = mini_gguf(tmp_path / "m.gguf"), mini_gguf(tmp_path / "n.gguf", llama__context_length=64)  # fmt: skip
    kept = {prepare(away).graph.parent.name, prepare(nobodys).graph.parent.name}
    (place_of(nobodys) / PATHS).unlink()
    nobodys.unlink()
    away.rename(tmp_path / "elsewhere.gguf")
    away.parent.rmdir()
    kept.add(prepare(path).graph.parent.name)
    assert left_in(cache) == kept


def test_beyond_the_limit_the_one_not_used_for_longest_goes(
    tmp_path: Path, cache: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [mini_gguf(tmp_path / f"{n}.gguf", llama__context_length=n) for n in (64, 128, 256)]
    first, second = (prepare(path).graph.parent for path in paths[:2])
    for folder, time in ((first, 2000), (second, 1000)):
        os.utime(folder / PATHS, (time, time))
    size = sum(file.stat().st_size for file in first.iterdir()) + (first / WEIGHTS).stat().st_size
    monkeypatch.setenv("MENE_PREPARED_GB", str(2.5 * size / 1e9))
    prepare(paths[1])  # used again
    third = prepare(paths[2], tell=told.append).graph.parent
    assert left_in(cache) == {second.name, third.name}
    assert "freed" in told[-1] and "(MENE_PREPARED_GB)" in told[-1]
    monkeypatch.setenv("MENE_PREPARED_GB", "0")
    os.utime(second / PATHS, (1000, 1000))
    again = prepare(paths[0]).graph.parent
    # What was just made stays, and what another process may be opening.
    assert left_in(cache) == {third.name, again.name}


@pytest.mark.parametrize(("said", "bytes_kept"), [("", 30e9), ("2.5", 2.5e9), ("0", 0)])
def test_a_limit_in_gigabytes(
    said: str, bytes_kept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENE_PREPARED_GB", said)
    assert limit() == bytes_kept


@pytest.mark.parametrize("said", ["much", "30GB", "12,5", "-1", "nan", "inf"])
def test_no_limit_in_gigabytes(
    said: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mini_gguf(tmp_path / "mini.gguf")
    monkeypatch.setenv("MENE_PREPARED_GB", said)
    with pytest.raises(UsageError, match=r"MENE_PREPARED_GB: .* such as 30"):
        prepare(path)
    assert left_in(cache) == set()  # said before the work


def test_halves_go_unless_somebody_is_writing_them(
    tmp_path: Path, cache: Path, told: list[str]
) -> None:
    path = mini_gguf(tmp_path / "mini.gguf")
    cache.mkdir(parents=True)
    half, gone, busy = (f"other-{digit * 16}-{FORM}" for digit in "abc")
    for name in (half + PART, gone + GONE, busy + PART):
        (cache / name).mkdir()
        (cache / name / "model.bin").write_bytes(bytes(1_000_000))
    with FileLock(cache / f"{busy}.lock"):
        prepare(path, tell=told.append)
    assert left_in(cache) == {place_of(path).name, busy + PART}
    assert "freed 2 MB" in told[-1]


@pytest.mark.parametrize("paths", ["no JSON", "{}", "[1]", "[[1]]", "[]", '[["/nowhere/x"]]'])
def test_any_list_of_paths(tmp_path: Path, cache: Path, paths: str) -> None:
    path = mini_gguf(tmp_path / "mini.gguf")
    other = cache / f"other-{'a' * 16}-{FORM}"
    other.mkdir(parents=True)
    (other / PATHS).write_text(paths)
    prepare(path)
    assert other.exists()
    asked = json.loads((place_of(path) / PATHS).read_text())
    assert asked == [[str(path.resolve())]]


def test_what_cannot_be_removed_stays_whole(
    tmp_path: Path, cache: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows, files that another process has open."""
    path = mini_gguf(tmp_path / "mini.gguf")
    cache.mkdir(parents=True)
    old = as_form(place_of(path), FORM - 1)

    def refuse(*_: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(Path, "replace", refuse)
    prepare(path, tell=told.append)
    assert (old / "model.bin").exists()
    assert len(told) == 1
    assert openvino_prepare._read(place_of(path), "float32") is not None
