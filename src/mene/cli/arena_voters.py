"""``mene arena voters``, ``moderate`` and ``delete``: find voters with a habit, leave votes out, delete a voter's data."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from mene.cli.arena_database import DEFAULT, DatabaseOption, there
from mene.cli.console import Screen, many, plain, say, show_json
from mene.cli.options import JsonOption
from mene.errors import UsageError

if TYPE_CHECKING:
    from mene.arena.store import Store


@dataclass(frozen=True, kw_only=True)
class VotersOptions:
    """Options of ``mene arena voters``."""

    database: DatabaseOption = DEFAULT
    json_: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class ModerateOptions:
    """Options of ``mene arena moderate``."""

    target: Annotated[
        str | None, typer.Argument(help="A battle's id, or a voter. [show the log]")
    ] = None
    database: DatabaseOption = DEFAULT
    why: Annotated[str | None, typer.Option("--why", help="The reason, for the log.")] = None
    by: Annotated[str | None, typer.Option("--by", help="Who decides, for the log.")] = None
    take_back: Annotated[
        bool, typer.Option("--take-back", help="Count it again, instead of leaving it out.")
    ] = False
    json_: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class DeleteOptions:
    """Options of ``mene arena delete``."""

    voter: Annotated[str, typer.Argument(help="The voter, as the voter's page shows it.")]
    database: DatabaseOption = DEFAULT
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False


def voters(options: VotersOptions) -> None:
    """Show voters with a habit: always one side, one judge, or the longer critique."""
    from mene.arena.board import Boards

    with there(options.database) as store:
        boards = Boards(store)
        found, votes = boards.suspects(), boards.board()
    if options.json_:
        show_json([dataclasses.asdict(one) for one in found])
        return
    screen = Screen()
    if not found:
        screen.print(f"no habits in {many(votes.votes, 'vote')} of {many(votes.voters, 'voter')}")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("voter", "votes for", "did", "others would", "chance of it"):
        table.add_column(name, no_wrap=name == "voter")
    for one in found:
        what = f"{one.habit} {one.judge}" if one.judge else one.habit
        if one.habit in ("longer", "shorter"):
            what = f"the {one.habit} critique"
        table.add_row(
            plain(one.voter),
            plain(what),
            f"{one.did} of {one.votes}",
            f"{one.expected:.1f}",
            f"{one.p:.1g}",
        )
    screen.print(table)
    screen.print("\nLeave one out with: mene arena moderate VOTER --why REASON --by NAME")


def moderate(options: ModerateOptions) -> None:
    """Leave a battle or a voter out of ratings, or show the log of such decisions."""
    from mene.arena.moderation import moderate as decide
    from mene.arena.words import Moderation, NoSuchBattle

    with there(options.database) as store:
        if options.target is None:
            _show_log(store, options.json_)
            return
        if not options.why or not options.by:
            raise UsageError("say --why and --by: the log keeps both")
        try:
            store.battle(options.target)
            kind = "battle"
        except NoSuchBattle:
            kind = "voter"
        line = Moderation(
            target=options.target,
            kind=kind,
            what="take_back" if options.take_back else "leave_out",
            why=options.why,
            by=options.by,
        )
        try:
            decide(store, line)
        except NoSuchBattle:
            raise UsageError(f"{options.target}: no battle and no voter has this name") from None
    say(f"{kind} {options.target}: {'counts again' if options.take_back else 'left out'}")


def delete(options: DeleteOptions) -> int:
    """Delete all that a voter left, as they wish; nothing of it can be had back."""
    from mene.arena.moderation import delete_all_of

    with there(options.database) as store:
        votes = sum(1 for _ in store.votes(voter=options.voter))
        begun = sum(1 for _ in store.battles(voter=options.voter))
        if not votes and not begun:
            raise UsageError(f"{options.voter}: no voter here has this name")
        what = f"{many(votes, 'vote')} and {many(begun, 'battle')} of voter {options.voter}"
        if not options.yes:
            if not sys.stdin.isatty():
                raise UsageError(f"this deletes {what} for ever; say --yes")
            if not typer.confirm(f"Delete {what} for ever?", err=True):
                return 1
        delete_all_of(store, options.voter)
    say(f"deleted {what}")
    return 0


def _show_log(store: Store, as_json: bool) -> None:
    from mene.arena.moderation import decisions

    lines = [line for _, line in reversed(decisions(store))]
    if as_json:
        show_json([line.model_dump(mode="json") for line in lines])
        return
    table = Table(box=None, pad_edge=False)
    for name in ("at", "what", "kind", "target", "why", "by"):
        table.add_column(name, overflow="fold")
    for line in lines:
        at = line.at.strftime("%Y-%m-%d %H:%M")
        table.add_row(at, line.what, line.kind, plain(line.target), plain(line.why), plain(line.by))
    Screen().print(table if lines else "nothing was moderated")
