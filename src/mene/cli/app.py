"""The command line: the list of commands. Each is a file here, which is imported when the command is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mene.cli.ending import run_to_its_end

# Name, which is that of its file, and the first sentence of its help: `mene --help` imports no command.
COMMANDS = {
    "judge": "Judge every row of FILE.",
    "prompt": "Print the prompt of the first row, and its length.",
    "table": "Turn verdicts into a table with a row per sample.",
    "report": "Write an HTML page about a file of verdicts.",
    "gate": "Pass or fail a run by rules on its verdicts.",
    "compare": "Compare two runs on the same rows.",
    "judges": "List the built-in judges, and which are here.",
    "pull": "Download a judge's model, to work offline later.",
    "bench": "Measure judges on benchmarks that people labelled.",
    "align": "Measure judges on your own labels, and calibrate.",
    "tune": "Train a judge further on your own labels.",
    "leaderboard": "Show all judges of a results folder.",
    "curate": "Make training pairs from raw sets.",
    "train": "Train a judge on the pairs of `mene curate`.",
    "ablate": "Train without each source, stage or loss in turn.",
    "export": "Write a trained judge's files, and its card.",
    "serve": "Serve judges over HTTP, with a playground.",
    "arena": "Let people vote, blind, on which judge is right.",
    "mcp": "Serve judges to an agent on standard input and output (MCP).",
    "criteria": "List the built-in criteria, or show one.",
}


class Files(Mapping[str, Any]):
    """The commands by name, each imported when it is looked up."""

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        from mene.cli.command import click_command

        return click_command(import_module(f"mene.cli.{name}"), name)


class Commands(TyperGroup):
    """A group that imports no command to list it."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.commands = Files()  # type: ignore[assignment]

    def list_commands(self, ctx: Any) -> list[str]:
        """See ``TyperGroup``."""
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """See ``TyperGroup``."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=Commands,
    help="Judge the output of language models with a small model you own.",
    epilog="""\b
First steps:
  mene judge rows.jsonl -c faithfulness              a built-in criterion (mene criteria)
  mene judge rows.csv -c "Is the answer polite?"     or a question of your own
  mene report rows.verdicts.jsonl --data rows.jsonl  a page about the verdicts""",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from mene import __version__

        print(f"mene {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Judge the output of language models with a small model you own."""


def main() -> None:
    """Entry point: errors become one line and an exit code, never a traceback."""
    run_to_its_end(app)
