"""Options on gates that `mene gate` and `mene judge` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RuleOption = Annotated[
    list[str] | None,
    typer.Option("--rule", help='A rule: "faithfulness: share(Yes) >= 0.95"; repeatable.'),
]
ConfidenceOption = Annotated[
    float | None,
    typer.Option(
        "--confidence", min=0.5, max=0.9999, help="With which each rule is decided. [0.95]"
    ),
]
TogetherOption = Annotated[
    bool,
    typer.Option("--together", help="The confidence is that of all rules at once (Bonferroni)."),
]
CannotTellOption = Annotated[
    str | None,
    typer.Option(
        "--cannot-tell", help="What an undecided rule counts as: pass or fail. [exit code 4]"
    ),
]
ErrorsOption = Annotated[
    float | None,
    typer.Option(
        "--errors", min=0, max=1, help="Share of rows that may fail, where no rule says it. [0.01]"
    ),
]
JunitOption = Annotated[
    Path | None, typer.Option("--junit", help="Write the rules as JUnit XML to this file.")
]
MarkdownOption = Annotated[
    Path | None, typer.Option("--markdown", help="Write a table for a comment to this file.")
]
