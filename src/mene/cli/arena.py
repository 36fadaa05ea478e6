"""``mene arena`` and its commands."""

from __future__ import annotations

import typer

from mene.cli.arena_board import board
from mene.cli.arena_serve import arena_serve
from mene.cli.arena_voters import delete, moderate, voters
from mene.cli.arena_votes import export, import_
from mene.cli.command import OnceEach, unfolded

app = typer.Typer(
    help="Let people vote, blind, on which judge is right.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve", cls=OnceEach)(unfolded(arena_serve))
app.command("board", cls=OnceEach)(unfolded(board))
app.command("voters", cls=OnceEach)(unfolded(voters))
app.command("moderate", cls=OnceEach)(unfolded(moderate))
app.command("export", cls=OnceEach)(unfolded(export))
app.command("import", cls=OnceEach)(unfolded(import_))
app.command("delete", cls=OnceEach)(unfolded(delete))
