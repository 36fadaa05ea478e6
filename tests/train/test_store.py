"""Checkpoints in another place: sent when they are whole, and brought to an empty folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from mene.runs.parts.storage import files_under, joined, write_bytes
from mene.train.store import BESIDE, bring, last_checkpoint, send


def run_in(folder: Path, *steps: int) -> Path:
    for name in BESIDE:
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"{name} of the run")
    for step in steps:
        inner = folder / f"checkpoint-{step}" / "shards"
        inner.mkdir(parents=True)
        (inner / "0.bin").write_bytes(bytes([step]))
        (inner.parent / "trainer_state.json").write_text("{}")
    return folder


@pytest.fixture(params=["disk", "memory"])
def store(request, tmp_path) -> str:
    if request.param == "disk":
        return str(tmp_path / "store")
    pytest.importorskip("pyarrow")
    return f"memory://{tmp_path.name}"


def test_a_run_goes_on_elsewhere_from_its_newest_checkpoint(tmp_path, store) -> None:
    here = run_in(tmp_path / "here", 5, 10, 15)
    for step in (5, 10, 15):
        send(here, f"checkpoint-{step}", store)
    assert {name.partition("/")[0] for name in files_under(store)} == {
        *BESIDE, "checkpoint-10", "checkpoint-15",
    }  # fmt: skip
    there = tmp_path / "there"
    assert bring(there, store) == "checkpoint-15"
    assert (there / "checkpoint-15/shards/0.bin").read_bytes() == b"\x0f"
    assert (there / "run.json").read_text() == "run.json of the run"
    assert bring(there, store) is None  # it is here


def test_a_checkpoint_that_was_cut_short_is_not_brought(tmp_path, store) -> None:
    send(run_in(tmp_path / "here", 5), "checkpoint-5", store)
    write_bytes(joined(store, "checkpoint-9/shards/0.bin"), b"half") if "://" in store else run_in(
        Path(store), 9
    ).joinpath("checkpoint-9/trainer_state.json").unlink()
    assert bring(tmp_path / "there", store) == "checkpoint-5"
    assert bring(tmp_path / "other", f"{store}-of-nobody") is None


def test_several_processes_of_a_machine_restore_once(tmp_path, store) -> None:
    send(run_in(tmp_path / "here", 5), "checkpoint-5", store)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: bring(tmp_path / "there", store), range(4)))
    assert sorted(found, key=str) == [None, None, None, "checkpoint-5"]


def test_a_machine_without_checkpoints_of_its_own_follows_the_first(tmp_path, store) -> None:
    here, other = run_in(tmp_path / "here", 5, 10), run_in(tmp_path / "other")
    send(here, "checkpoint-5", store)
    assert bring(other, store) == "checkpoint-5"
    send(here, "checkpoint-10", store)
    (here / "checkpoint-10/trainer_state.json").write_text("{")  # cut short
    assert bring(other, store) == "checkpoint-10"
    assert bring(here, store) == "checkpoint-10"
    assert last_checkpoint(here) == here / "checkpoint-10"
    assert bring(run_in(tmp_path / "ahead", 15), store) is None


def test_a_checkpoint_that_was_just_sent_stays(tmp_path, store) -> None:
    here = run_in(tmp_path / "here", 5, 10, 20)
    for step in (10, 20, 5):
        send(here, f"checkpoint-{step}", store)
    there = {name.partition("/")[0] for name in files_under(store)} - {*BESIDE}
    assert there == {"checkpoint-5", "checkpoint-10", "checkpoint-20"}
