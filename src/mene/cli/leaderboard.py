"""``mene leaderboard``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mene.bench.leaderboard.markdown import markdown
from mene.bench.leaderboard.page import page
from mene.bench.leaderboard.results import read_results
from mene.cli.console import say, show
from mene.cli.paths import PAGE, check_own
from mene.files import write_whole


@dataclass(frozen=True, kw_only=True)
class LeaderboardOptions:
    """Options of ``mene leaderboard``."""

    results: Annotated[Path, typer.Argument(help="A folder that `mene bench` wrote.")] = Path(
        "results"
    )
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page. [RESULTS/leaderboard.html]")
    ] = None


def leaderboard(options: LeaderboardOptions) -> None:
    """Show all judges of a results folder.

    Prints them as Markdown, and writes a page with plots.
    """
    entries = read_results(options.results)
    target = options.output or options.results / "leaderboard.html"
    check_own(target, PAGE, "a page")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, page(entries))
    show(markdown(entries))
    say(f"- page: {target}")
