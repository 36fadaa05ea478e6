"""The launch lines of docs/scale.md are lines that `accelerate` takes."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from mene.library.load import LIBRARY

launch = pytest.importorskip("accelerate.commands.launch")
PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


def test_accelerate_takes_the_lines() -> None:
    lines = [
        line.partition("  #")[0]
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("accelerate launch")
    ]
    assert len(lines) == 4
    for line in lines:
        words = shlex.split(line.replace("$RANK", "1").replace("$HEAD", "node-1"))
        found = launch.launch_command_parser().parse_args(words[2:])
        assert found.training_script == "mene"
        assert found.module
        assert found.training_script_args[0] == "train"
        assert found.num_processes == (64 if found.num_machines == 8 else 8)
        assert found.use_fsdp == ("selene-mini" in line)


def test_there_is_a_line_for_every_recipe() -> None:
    page = PAGE.read_text("utf-8").partition("## Training on many GPUs")[2]
    named = {word for line in page.splitlines() if line[:2] == "| " for word in line.split("`")}
    assert {path.stem for path in (LIBRARY / "recipes").glob("*.yaml")} <= named
