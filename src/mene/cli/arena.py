"""``mene arena`` and its commands on the votes; the pages are served by ``mene arena serve``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import MofNCompleteColumn
from rich.table import Table

from mene.cli.arena_database import DEFAULT, DatabaseOption
from mene.cli.arena_serve import arena_serve
from mene.cli.command import OnceEach, unfolded
from mene.cli.console import Screen, hand_on, note, plain, progress_bar, say, show_json, words
from mene.cli.paths import check_input
from mene.errors import UsageError
from mene.events import Advance, Event, Warn
from mene.files import whole

if TYPE_CHECKING:
    from mene.arena.board import Board, Measured
    from mene.arena.fairness import Suspect
    from mene.arena.store import Store

app = typer.Typer(
    help="Let people vote, blind, on which judge is right.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]


@dataclass(frozen=True, kw_only=True)
class BoardOptions:
    """What can be asked of ``mene arena board``."""

    database: DatabaseOption = DEFAULT
    criterion: Annotated[
        str | None, typer.Option("--criterion", "-c", help="Votes on this criterion alone.")
    ] = None
    kind: Annotated[
        str | None, typer.Option("--kind", help="Of its scale: ordinal, nominal or pairwise.")
    ] = None
    group: Annotated[
        str | None,
        typer.Option("--voters", help="frequent (20 votes or more), occasional, or labelling."),
    ] = None
    since: Annotated[
        str | None, typer.Option("--since", help="Votes from this time on: 2026-01-31.")
    ] = None
    until: Annotated[str | None, typer.Option("--until", help="Votes up to this time.")] = None
    style: Annotated[
        bool, typer.Option("--style", help="Also ratings with the style of critiques taken out.")
    ] = False
    intervals: Annotated[str, typer.Option("--intervals", help="sandwich or bootstrap.")] = (
        "sandwich"
    )
    json_: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What can be asked of ``mene arena export``."""

    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON lines to write; - = standard output.")
    ]
    database: DatabaseOption = DEFAULT
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Only votes whose voters agreed to it, under numbers of this file; nothing that moderation left out.",
        ),
    ] = False
    no_samples: Annotated[
        bool,
        typer.Option("--no-samples", help="Without samples, critiques, reasons and own criteria."),
    ] = False


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What can be asked of ``mene arena import``."""

    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Of `mene arena export`, LMArena or Judge Arena: JSONL, JSON, CSV or Parquet; - = standard input.",
        ),
    ]
    database: DatabaseOption = DEFAULT
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False
    json_: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class VotersOptions:
    """What can be asked of ``mene arena voters``."""

    database: DatabaseOption = DEFAULT
    json_: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class ModerateOptions:
    """What can be asked of ``mene arena moderate``."""

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
    """What can be asked of ``mene arena delete``."""

    voter: Annotated[str, typer.Argument(help="The voter, as the voter's page shows it.")]
    database: DatabaseOption = DEFAULT
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False


def board(options: BoardOptions) -> None:
    """Show the leaderboard: ratings with intervals, rank ranges, votes."""
    from mene.arena.board import Boards, Filters

    filters = Filters(
        criterion=options.criterion,
        kind=options.kind,
        group=options.group,
        since=_time("--since", options.since),
        until=_time("--until", options.until),
        style=options.style,
        intervals=options.intervals,
    )
    with _there(options.database) as store:
        found = Boards(store).board(filters)
    if options.json_:
        show_json(found.model_dump(mode="json"))
        return
    _show_board(found, options)


def export(options: ExportOptions) -> None:
    """Write all battles and votes as JSON lines, or those that may be published."""
    from mene.arena import exchange

    with _there(options.database) as store:
        found = exchange.export(store, published=options.published, samples=not options.no_samples)
        if options.file == "-":
            for line in found:
                hand_on(line)
            return
        count = 0
        try:
            with whole(Path(options.file)) as file:
                for line in found:
                    file.write(line.encode("utf-8") + b"\n")
                    count += 1
        except OSError as error:
            raise UsageError(f"{options.file}: cannot write: {error.strerror}") from None
    say(f"{count:,} battles in {options.file}")


def import_(options: ImportOptions) -> int:
    """Keep the battles and votes of a file too; the same file twice changes nothing. Exits with 1 if lines were damaged."""
    from mene.arena import exchange
    from mene.arena.store import Store

    check_input(options.file)
    console = Screen(stderr=True)
    bar = progress_bar(words("import"), MofNCompleteColumn(), console=console, hidden=options.quiet)
    with Store(options.database) as store, bar:
        task = bar.add_task("import", total=None)

        def tell(event: Event) -> None:
            if isinstance(event, Advance):
                bar.advance(task, event.by)
            elif isinstance(event, Warn):
                note(console, event.text)

        done = exchange.load(store, exchange.read(options.file), tell)
    if options.json_:
        show_json(vars(done))
    else:
        say(
            f"{done.new:,} new battles, {done.votes:,} new votes on battles that were here, {done.here:,} lines here already, "
            f"{done.conflicts:,} with another vote, {done.damaged:,} damaged"
        )
    return 1 if done.damaged else 0


def voters(options: VotersOptions) -> None:
    """Show voters with a habit: always one side, one judge, or the longer critique."""
    from mene.arena.board import Boards

    with _there(options.database) as store:
        boards = Boards(store)
        found, votes = boards.suspects(), boards.board()
    if options.json_:
        show_json([_said(one) for one in found])
        return
    screen = Screen()
    if not found:
        screen.print(f"no habits in {votes.votes:,} votes of {votes.voters:,} voters")
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
    from mene.arena.words import Moderation, NoSuchBattle

    with _there(options.database) as store:
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
            store.moderate(line)
        except NoSuchBattle:
            raise UsageError(f"{options.target}: no battle and no voter has this name") from None
    say(f"{kind} {options.target}: {'counts again' if options.take_back else 'left out'}")


def delete(options: DeleteOptions) -> int:
    """Delete all that a voter left, as they wish; nothing of it can be had back."""
    with _there(options.database) as store:
        votes = sum(1 for _ in store.votes(voter=options.voter))
        begun = sum(1 for _ in store.battles(voter=options.voter))
        if not votes and not begun:
            raise UsageError(f"{options.voter}: no voter here has this name")
        what = f"{votes:,} votes and {begun:,} battles of voter {options.voter}"
        if not options.yes:
            if not sys.stdin.isatty():
                raise UsageError(f"this deletes {what} for ever; say --yes")
            if not typer.confirm(f"Delete {what} for ever?", err=True):
                return 1
        store.delete_votes(options.voter)
    say(f"deleted {what}")
    return 0


app.command("serve", cls=OnceEach)(unfolded(arena_serve))
app.command("board", cls=OnceEach)(unfolded(board))
app.command("voters", cls=OnceEach)(unfolded(voters))
app.command("moderate", cls=OnceEach)(unfolded(moderate))
app.command("export", cls=OnceEach)(unfolded(export))
app.command("import", cls=OnceEach)(unfolded(import_))
app.command("delete", cls=OnceEach)(unfolded(delete))


def _there(database: str) -> Store:
    """A store that exists: reading must not make an empty one where a name is misspelt."""
    from mene.arena.store import Store

    if "://" not in database and not Path(database).is_file():
        raise UsageError(
            f"{database}: no such arena; name it with --database, start one with `mene arena serve`, or fill one with "
            "`mene arena import FILE`"
        )
    return Store(database)


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: write it like 2026-01-31 or 2026-01-31T12:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _show_board(found: Board, options: BoardOptions) -> None:
    from mene.arena.board import PRELIMINARY

    table = Table(box=None, pad_edge=False)
    table.add_column("rank", no_wrap=True)
    table.add_column("judge", overflow="fold", min_width=12)
    names = [
        "rating (95 %)",
        *(["without style"] if options.style else []),
        "votes",
        "won-lost-tie-bad",
        *([] if options.style else ["Elo"]),
    ]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for row in found.rows:
        rank = str(row.best) if row.best == row.worst else f"{row.best}-{row.worst}"
        rating = f"{row.rating:.0f} ({row.low:.0f}-{row.high:.0f})"
        cells = [rating] if row.styled is None else [rating, _points(row.styled)]
        last = [f"{row.elo:.0f}"] if row.styled is None else []
        counts = "-".join(map(str, (row.wins, row.losses, row.ties, row.both_bad)))
        mark = "*" if row.preliminary else ""
        table.add_row(rank, plain(row.judge) + mark, *cells, f"{row.votes:,}", counts, *last)
    screen = Screen()
    screen.print(table)
    left = found.left
    lines = [f"{found.votes:,} votes of {found.voters:,} voters count."]
    lines += [f"Left out: {count:,} ({why})." for why, count in found.left_out.items()]
    if left.value is not None:
        lines.append(f"Of votes for one seat the left one got {_share(left)}.")
    if found.agreement.n:
        lines.append(
            f"Votes went to the verdict with the voter's own label in {_share(found.agreement)}."
        )
    for name, effect in found.effects.items():
        if effect.value is not None:
            lines.append(
                f"Style: one standard deviation more of {name} brings {effect.value:+.2f} in log-odds "
                f"({effect.low:+.2f} to {effect.high:+.2f})."
            )
    lines += [
        f"{row.judge} gave the voter's own label in {_share(row.agreement)}."
        for row in found.rows
        if row.agreement.n
    ]
    if any(row.preliminary for row in found.rows):
        lines.append(f"* preliminary: fewer than {PRELIMINARY} votes.")
    lines += [f"{row.judge}: {row.note}." for row in found.rows if row.note]
    lines += [f"{text[0].upper()}{text[1:]}." for text in found.notes]
    screen.print()
    for line in lines:
        screen.print(plain(line), soft_wrap=not screen.is_terminal)


def _points(figure: Measured) -> str:
    return f"{figure.value:.0f} ({figure.low:.0f}-{figure.high:.0f})"


def _share(figure: Measured) -> str:
    """A share as percent with its interval and its number."""
    if figure.value is None:
        return ""
    ends = (
        ""
        if figure.low is None or figure.high is None
        else f" ({100 * figure.low:.0f} to {100 * figure.high:.0f})"
    )
    return f"{100 * figure.value:.0f} %{ends} of {figure.n:,}"


def _show_log(store: Store, as_json: bool) -> None:
    lines = store.moderations()
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


def _said(one: Suspect) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__slots__}
