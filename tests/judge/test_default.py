"""Which judge is used when nobody names one."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest

from mene import Judge, Sample
from mene.engines import cores
from mene.engines.cores import memory_size
from mene.errors import UsageError
from mene.judge import default
from mene.judge.default import default_judge, what_is_missing
from mene.judge.preset import load_preset

BASE = load_preset("base")


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine with room for everything, and an empty cache."""
    monkeypatch.delenv("MENE_JUDGE", raising=False)
    monkeypatch.setenv("MENE_CACHE", str(tmp_path / "not" / "there" / "yet"))
    monkeypatch.setattr(default, "memory_size", lambda: 8 << 30)
    disk(monkeypatch, 10**11)


def disk(monkeypatch, free: int) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, free))


def test_base_where_there_is_room() -> None:
    assert default_judge() == ("base", "")


def test_nano_where_memory_is_short(monkeypatch) -> None:
    monkeypatch.setattr(default, "memory_size", lambda: 10**9)
    name, why = default_judge()
    assert name == "nano"
    assert "base wants 3.5 GB of memory, but this machine has 1.0 GB" in why


def test_nano_where_the_disk_is_full_unless_the_weights_are_there(monkeypatch, tmp_path) -> None:
    disk(monkeypatch, 10**9)
    name, why = default_judge()
    assert name == "nano"
    assert "base needs 1.1 GB in" in why
    assert "MENE_CACHE" in why
    weights = BASE.weights
    path = (
        tmp_path
        / "not/there/yet/models"
        / f"{weights.file[:-5]}-{weights.sha256[:8]}"
        / weights.file
    )
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(weights.size)  # is it here? is asked by name and size alone
    assert what_is_missing(BASE) == ""


def test_unknown_memory_is_no_lack(monkeypatch) -> None:
    monkeypatch.setattr(default, "memory_size", lambda: None)
    assert default_judge()[0] == "base"


def test_another_one_by_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("MENE_JUDGE", "nano-base")
    assert default_judge() == ("nano-base", "")
    monkeypatch.setenv("MENE_JUDGE", "nanoo")
    with pytest.raises(UsageError, match='MENE_JUDGE: no judge "nanoo"; did you mean "nano"'):
        default_judge()


def test_python_uses_it_too_and_says_why(monkeypatch, capsys, toy) -> None:
    monkeypatch.setattr(default, "memory_size", lambda: 10**9)
    judge = Judge(engine=toy)
    assert judge.name == "nano"
    assert "nano judges instead" in capsys.readouterr().err
    assert judge(Sample(context="a", response="b"), criterion="faithfulness").label


@pytest.mark.parametrize(
    ("groups", "files", "limits"),
    [
        ("0::/\n", {"sys/fs/cgroup/memory.max": "5000\n"}, [5000]),
        ("0::/\n", {"sys/fs/cgroup/memory.max": "max\n"}, []),
        (
            "0::/user/job\n",
            {
                "sys/fs/cgroup/user/memory.max": "9000\n",
                "sys/fs/cgroup/user/job/memory.max": "700\n",
            },
            [9000, 700],
        ),
        ("4:cpu,memory:/job\n", {"sys/fs/cgroup/memory/job/memory.limit_in_bytes": "123\n"}, [123]),
        ("3:cpu:/job\n", {}, []),
        ("nonsense\n", {}, []),
    ],
)
def test_limits_of_a_container_count(tmp_path, groups, files, limits) -> None:
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert list(cores._limits(tmp_path)) == limits


def test_a_download_that_was_begun_needs_only_the_rest(monkeypatch, tmp_path) -> None:
    weights = BASE.weights
    folder = tmp_path / "not/there/yet/models" / f"{weights.file[:-5]}-{weights.sha256[:8]}"
    folder.mkdir(parents=True)
    with (folder / f"{weights.file}.part").open("wb") as file:
        file.truncate(10**9)
    disk(monkeypatch, 4 * 10**8)
    assert what_is_missing(BASE) == ""


def test_this_machine_has_memory(monkeypatch) -> None:
    monkeypatch.undo()
    found = memory_size()
    assert found is None or found > 10**8
