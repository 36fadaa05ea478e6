"""Which judge is used when nobody names one."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest

from mene import Judge, Sample, default
from mene.default import default_judge, lacking
from mene.errors import UsageError
from mene.preset import load_preset

BASE = load_preset("base")


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine with room for everything, and an empty cache."""
    monkeypatch.delenv("MENE_JUDGE", raising=False)
    monkeypatch.setenv("MENE_CACHE", str(tmp_path / "not" / "there" / "yet"))
    monkeypatch.setattr(default, "free_memory", lambda: 8 << 30)
    disk(monkeypatch, 10**11)


def disk(monkeypatch, free: int) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, free))


def test_base_where_there_is_room() -> None:
    assert default_judge() == ("base", "")


def test_nano_where_memory_is_short(monkeypatch) -> None:
    monkeypatch.setattr(default, "free_memory", lambda: 10**9)
    name, why = default_judge()
    assert name == "nano"
    assert "base needs 2.8 GB of memory, and 1.0 GB are free" in why


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
    assert lacking(BASE) == ""


def test_unknown_memory_is_no_lack(monkeypatch) -> None:
    monkeypatch.setattr(default, "free_memory", lambda: None)
    assert default_judge()[0] == "base"


def test_another_one_by_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("MENE_JUDGE", "nano-base")
    assert default_judge() == ("nano-base", "")
    monkeypatch.setenv("MENE_JUDGE", "nanoo")
    with pytest.raises(UsageError, match='MENE_JUDGE: no judge "nanoo"; did you mean "nano"'):
        default_judge()


def test_python_uses_it_too_and_says_why(monkeypatch, capsys, toy) -> None:
    monkeypatch.setattr(default, "free_memory", lambda: 10**9)
    judge = Judge(engine=toy)
    assert judge.name == "nano"
    assert "nano judges instead" in capsys.readouterr().err
    assert judge(Sample(context="a", response="b"), criterion="faithfulness").label


def test_a_containers_limit_counts(tmp_path) -> None:
    assert default._of_container(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 600\ninactive_file 300\n")
    assert default._of_container(tmp_path) is None
    (tmp_path / "memory.max").write_text("5000\n")
    assert default._of_container(tmp_path) == 4300


def test_this_machine_has_memory() -> None:
    found = default._of_machine()
    assert found is None or found > 10**8
