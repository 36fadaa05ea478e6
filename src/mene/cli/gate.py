"""``mene gate``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

import typer

from mene.cli.console import say, show_json
from mene.cli.gate_options import (
    CannotTellOption,
    ConfidenceOption,
    ErrorsOption,
    JunitOption,
    MarkdownOption,
    RuleOption,
    TogetherOption,
)
from mene.cli.gate_shown import check_stdout, is_stdout, rules_of, show_gate, terms_of
from mene.cli.left_out import left_out_lines
from mene.cli.piped import ledger_file
from mene.errors import UsageError
from mene.gate.gate import judge_rules, settle
from mene.gate.match import By
from mene.gate.outputs import as_json
from mene.gate.sections import Section, read_sections
from mene.runs.read_ledger import LeftOut
from mene.runs.source import shown

MatchOption = Annotated[
    str | None,
    typer.Option("--match", help="How rows of two runs are matched: id, content or row. [id]"),
]


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """Options of ``mene gate``."""

    verdicts: Annotated[
        str, typer.Argument(help="A file that `mene judge` wrote; - = standard input.")
    ]
    rules: Annotated[Path | None, typer.Argument(help="Rules as YAML; see docs/gate.md.")] = None
    rule: RuleOption = None
    judge: Annotated[
        str | None,
        typer.Option("--judge", "-j", help="Judge whose verdicts count. [all in the file]"),
    ] = None
    confidence: ConfidenceOption = None
    together: TogetherOption = False
    sequential: Annotated[
        bool,
        typer.Option(
            "--sequential", help="Intervals that hold however often you look while rows come in."
        ),
    ] = False
    cannot_tell: CannotTellOption = None
    errors: ErrorsOption = None
    match: MatchOption = None
    junit: JunitOption = None
    markdown: MarkdownOption = None
    json_: Annotated[bool, typer.Option("--json", help="Print the rules and figures as JSON.")] = (
        False
    )
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print what did not pass, and the last line.")
    ] = False


def gate(options: GateOptions) -> int:
    """Pass or fail a run by rules on its verdicts.

    Exit code: 0 passed, 3 failed, 4 undecided, 2 could not run.
    """
    check_stdout(
        json=options.json_, junit=is_stdout(options.junit), markdown=is_stdout(options.markdown)
    )
    rules, terms = rules_of(options.rules, options.rule)
    terms = settle(
        terms,
        terms_of(options.confidence, options.together, options.cannot_tell, options.errors),
    )
    if options.match not in (None, "id", "content", "row"):
        raise UsageError(f"--match {options.match}: it is id, content or row")
    sections = _sections(options)
    found = judge_rules(
        sections,
        rules,
        terms,
        anytime=options.sequential,
        match_by=cast("By | None", options.match),
    )
    if options.json_:
        show_json(as_json(found), indent=1)
    return show_gate(
        found,
        options.verdicts,
        json=options.json_,
        quiet=options.quiet,
        junit=options.junit,
        markdown=options.markdown,
    )


def _sections(options: GateOptions) -> list[Section]:
    left_out = LeftOut()
    with ledger_file(options.verdicts) as path:
        sections = read_sections(path, left_out)
    for line in left_out_lines(shown(options.verdicts), left_out):
        say(f"mene: {line}")
    if options.judge is None:
        return sections
    chosen = [section for section in sections if section.judge == options.judge]
    if not chosen:
        judges = ", ".join(dict.fromkeys(s.judge for s in sections))
        raise UsageError(
            f"{shown(options.verdicts)}: no verdict by {options.judge}; there are verdicts by: {judges}"
        )
    return chosen
