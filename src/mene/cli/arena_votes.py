"""``mene arena export`` and ``import``: votes out of one arena, and into another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn

from mene.cli.arena_database import DEFAULT, DatabaseOption, there
from mene.cli.console import Screen, hand_on, many, note, progress_bar, say, show_json, words
from mene.cli.options import JsonOption, QuietOption
from mene.cli.paths import check_input
from mene.errors import UsageError
from mene.events import Advance, Event, Warn
from mene.files import whole


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of ``mene arena export``."""

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
    """Options of ``mene arena import``."""

    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Of `mene arena export`, LMArena or Judge Arena: JSONL, JSON, CSV or Parquet; - = standard input.",
        ),
    ]
    database: DatabaseOption = DEFAULT
    quiet: QuietOption = False
    json_: JsonOption = False


def export(options: ExportOptions) -> None:
    """Write all battles and votes as JSON lines, or those that may be published."""
    from mene.arena import exchange

    with there(options.database) as store:
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
    say(f"{many(count, 'battle')} in {options.file}")


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
