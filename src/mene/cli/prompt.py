"""``mene prompt``."""

from __future__ import annotations

from dataclasses import dataclass

from mene.cli.console import say, show
from mene.cli.opening import judge_named, open_one
from mene.cli.options import (
    CriterionOption,
    RowsOptions,
    settings_of,
)
from mene.criterion import load_criterion
from mene.errors import SampleError
from mene.judge.comparison import comparison_for
from mene.runs.tables import read_rows

# Requests in addition to the prompt that is shown.
SECOND = {
    "both-orders": "the pair is also judged in the other order, and the probabilities are averaged",
    "pointwise": "response B is also judged alone, with the same prompt, and the two answers are compared",
}


@dataclass(frozen=True, kw_only=True)
class PromptOptions(RowsOptions):
    """Options of ``mene prompt``."""

    criterion: CriterionOption


def prompt(options: PromptOptions) -> None:
    """Print the prompt of the first row, and its length.

    Control characters in it are written out (as \\u001b), so that none reaches the terminal.
    """
    columns = options.columns
    criterion = load_criterion(options.criterion, options.scale)
    row = next(iter(read_rows(options.file, columns, criterion)))
    if row.sample is None:
        raise SampleError(str(row.error))
    settings = settings_of(options, concurrency=1)
    with open_one(judge_named(options.judge), settings) as judge:
        text, tokens = judge.prompt(row.sample, criterion)
    show(text, ours=False)
    say(f"- {row.where}: {tokens if tokens is not None else 'unknown number of'} tokens")
    found = comparison_for(criterion, judge.compare)
    if found.name != "together":
        say(f"- {SECOND[found.name]}")
