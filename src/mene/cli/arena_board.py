"""``mene arena board``: the leaderboard on a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from mene.cli.arena_database import DEFAULT, DatabaseOption, there
from mene.cli.console import Screen, many, plain, show_json
from mene.cli.options import JsonOption
from mene.errors import UsageError

if TYPE_CHECKING:
    from mene.arena.board import Board, Measured, Row


@dataclass(frozen=True, kw_only=True)
class BoardOptions:
    """Options of ``mene arena board``."""

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
    with there(options.database) as store:
        found = Boards(store).board(filters)
    if options.json_:
        show_json(found.model_dump(mode="json"))
        return
    _show(found, options.style)


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: write it like 2026-01-31 or 2026-01-31T12:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _show(found: Board, style: bool) -> None:
    screen = Screen()
    screen.print(_table(found.rows, style))
    screen.print()
    for line in _lines(found):
        screen.print(plain(line), soft_wrap=not screen.is_terminal)


def _table(rows: list[Row], style: bool) -> Table:
    """Return a table of the judges; if ratings are adjusted for style, they replace Elo."""
    table = Table(box=None, pad_edge=False)
    table.add_column("rank", no_wrap=True)
    table.add_column("judge", overflow="fold", min_width=12)
    counts, more = ["votes", "won-lost-tie-bad"], [] if style else ["Elo"]
    for name in ("rating (95 %)", *(["without style"] if style else []), *counts, *more):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        rank = str(row.best) if row.best == row.worst else f"{row.best}-{row.worst}"
        rating = f"{row.rating:.0f} ({row.low:.0f}-{row.high:.0f})"
        cells = [rating] if row.styled is None else [rating, _points(row.styled)]
        last = [f"{row.elo:.0f}"] if row.styled is None else []
        outcomes = "-".join(map(str, (row.wins, row.losses, row.ties, row.both_bad)))
        mark = "*" if row.preliminary else ""
        table.add_row(rank, plain(row.judge) + mark, *cells, f"{row.votes:,}", outcomes, *last)
    return table


def _lines(found: Board) -> list[str]:
    """Return the lines under the table."""
    from mene.arena.board import PRELIMINARY

    lines = [f"Counted: {many(found.votes, 'vote')} of {many(found.voters, 'voter')}."]
    lines += [f"Left out: {count:,} ({why})." for why, count in found.left_out.items()]
    if found.left.value is not None:
        lines.append(f"Of votes for one seat the left one got {_share(found.left)}.")
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
    return lines


def _points(figure: Measured) -> str:
    return f"{figure.value:.0f} ({figure.low:.0f}-{figure.high:.0f})"


def _share(figure: Measured) -> str:
    """Return a share in percent with its interval and number of samples."""
    if figure.value is None:
        return ""
    ends = (
        ""
        if figure.low is None or figure.high is None
        else f" ({100 * figure.low:.0f} to {100 * figure.high:.0f})"
    )
    return f"{100 * figure.value:.0f} %{ends} of {figure.n:,}"
