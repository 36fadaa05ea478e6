"""``mene criteria`` and ``mene criteria show``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from mene.cli.command import OnceEach
from mene.cli.console import Screen, plain, show, show_json
from mene.cli.options import JsonOption
from mene.criterion import criterion_names, load_criterion

app = typer.Typer(
    help="List the built-in criteria, or show one.", add_completion=False, rich_markup_mode=None
)


@app.callback(invoke_without_command=True)
def criteria(
    context: typer.Context,
    json_: JsonOption = False,
) -> None:
    """List the built-in criteria."""
    if context.invoked_subcommand is not None:
        return
    found = [load_criterion(name) for name in criterion_names()]
    if json_:
        show_json([c.model_dump(mode="json") for c in found], indent=1)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "scale", "needs", "question"):
        table.add_column(column, overflow="fold", no_wrap=column == "name")
    for criterion in found:
        table.add_row(
            criterion.name,
            str(criterion.scale),
            ", ".join(criterion.needs),
            plain(" ".join(criterion.question.split())),
        )
    screen = Screen()
    screen.print(table)
    screen.print(
        "\nAny other: a question in quotes, or a YAML file; `mene criteria show NAME` prints one to copy."
    )


@app.command("show", cls=OnceEach)
def criteria_show(
    name: Annotated[str, typer.Argument(help="A name from `mene criteria`.")],
) -> None:
    """Print a criterion as YAML; copy it into a file and edit it."""
    show(load_criterion(name).to_yaml().rstrip("\n"))
