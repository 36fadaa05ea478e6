"""The commands: each a file that is imported when it is asked for, with the options that its dataclass names."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from inspect import get_annotations
from pathlib import Path
from types import SimpleNamespace
from typing import get_type_hints

import pytest
import typer.main
from typer.testing import CliRunner

from mene.cli import options
from mene.cli.align import AlignOptions
from mene.cli.app import COMMANDS, app
from mene.cli.command import click_command
from mene.cli.judge_options import JudgeOptions
from mene.cli.options import File, JudgeOption, MapOption, settings_of
from mene.cli.prompt import PromptOptions
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


def test_a_help_text_is_written_once() -> None:
    """Options of several commands are one object, so that help, names and checks cannot differ."""
    known: dict[str, object] = {}
    for path in sorted(Path(options.__file__ or "").parent.glob("*.py")):
        module = import_module(f"mene.cli.{path.stem}")
        own = [x for x in vars(module).values() if getattr(x, "__module__", "") == module.__name__]
        for given in own:
            if is_dataclass(given) and getattr(given, "__name__", "").endswith("Options"):
                for hint in get_type_hints(given, include_extras=True).values():
                    for option in getattr(hint, "__metadata__", ()):
                        assert known.setdefault(option.help, option) is option, (given, option.help)
    assert len(known) > 100


def test_the_commands_on_rows_share_their_options() -> None:
    shared = {field.name for field in fields(options.RowsOptions)} - {"judge"}
    for command in (JudgeOptions, AlignOptions, PromptOptions):
        own = set(get_annotations(command))
        assert issubclass(command, options.RowsOptions)
        assert not own & shared


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
