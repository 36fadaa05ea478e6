"""The database of all ``mene arena`` commands, and what else they share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mene.errors import UsageError

if TYPE_CHECKING:
    from mene.arena.store import Store

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


def there(database: str) -> Store:
    """Return an existing store: a misspelt name must not create an empty one."""
    from mene.arena.store import Store

    if "://" not in database and not Path(database).is_file():
        raise UsageError(
            f"{database}: no such arena; name it with --database, start one with `mene arena serve`, or fill one with "
            "`mene arena import FILE`"
        )
    return Store(database)
