"""The database that all commands of ``mene arena`` work on."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT = "arena.db"

DatabaseOption = Annotated[
    str,
    typer.Option(
        "--database",
        "-d",
        envvar="MENE_ARENA",
        show_default=False,
        help="The votes: a file (SQLite) or postgresql://USER:PASSWORD@HOST/NAME. [MENE_ARENA, or arena.db]",
    ),
]
