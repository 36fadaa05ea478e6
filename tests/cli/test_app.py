"""The commands: each a file that is imported when it is asked for, with the options that its dataclass names."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer.main
from typer.testing import CliRunner

from mene.cli.app import COMMANDS, app
from mene.cli.command import click_command
from mene.cli.options import File, JudgeOption, MapOption, settings_of
from mene.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class ShoutOptions:
    file: File
    judge: JudgeOption = None
    map_: MapOption = None


def shout(options: ShoutOptions) -> int:
    """Say it."""
    print(options)
    return 3 if options.map_ else 0


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.help.startswith(COMMANDS[name])
    assert Path(import_module(f"mene.cli.{name}").__file__ or "").stem == name


def test_the_list_of_commands_imports_none() -> None:
    code = (
        "import sys; from mene.cli.app import main\n"
        "try: main()\n"
        "finally: print(sorted({'rich', 'pydantic', 'numpy', 'mene.cli.judge'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=60
    )
    assert all(f"  {name}" in done.stdout for name in COMMANDS)
    assert done.stdout.endswith("[]\n"), done.stderr


def test_a_command_takes_its_options_as_one_dataclass() -> None:
    command = click_command(SimpleNamespace(shout=shout), "shout")  # type: ignore[arg-type]
    with pytest.raises(SystemExit) as ended:
        command.main(["x.jsonl", "--map", "a=b", "--map", "c=d"], standalone_mode=False)
    assert ended.value.code == 3
    with pytest.raises(UsageError, match="--judge is given 2 times"):
        command.main(["x.jsonl", "-j", "a", "-j", "b"], standalone_mode=False)


def test_an_unknown_command_is_one_line() -> None:
    found = CliRunner().invoke(app, ["juge"])
    assert found.exit_code == 2 and "Did you mean 'judge', 'judges'?" in found.output


def test_a_flag_that_is_not_given_leaves_what_the_preset_says() -> None:
    asked = typer.main.get_command(app).commands["judge"]  # type: ignore[attr-defined]
    judge = import_module("mene.cli.judge")
    given = asked.make_context("judge", ["x.jsonl", "-c", "tone", "--temperature", "0"]).params
    settings = settings_of(judge.JudgeOptions(**given))
    assert settings.get("abstain") is None and settings.get("temperature") == 0
