"""Output of a gate: on the screen, in files, and for GitHub; and its rules and terms from the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from mene.cli.console import Screen, plain, say, show
from mene.errors import MeneError, UsageError
from mene.files import write_whole
from mene.gate import outputs
from mene.gate.gate import Gate
from mene.gate.rules import Rule, parse_rule
from mene.gate.rules_file import Terms, read_rules
from mene.gate.words import found_words, gate_words, why
from mene.runs.source import STDIN

CODES = {"pass": 0, "fail": 3, "cannot tell": 4}
_COLOURS = {"pass": "green", "fail": "bold red", "cannot tell": "yellow"}


def rules_of(path: Path | None, inline: Sequence[str] | None) -> tuple[list[Rule], Terms]:
    """Return the rules of a file and those given on the command line.

    Raises:
        UsageError: there is none, or one is wrong.
    """
    rules, terms = read_rules(path) if path is not None else ([], Terms())
    rules = rules + [parse_rule(text) for text in inline or ()]
    if not rules:
        raise UsageError(
            'no rule to judge by: name a file of rules, or give one with --rule "faithfulness: share(Yes) >= 0.95"'
        )
    return rules, terms


def terms_of(
    confidence: float | None, together: bool, cannot_tell: str | None, errors: float | None
) -> Terms:
    """Return the terms by which rules are judged, from the command line."""
    if cannot_tell not in (None, "pass", "fail"):
        raise UsageError(f"--cannot-tell {cannot_tell}: it is pass or fail")
    said = cast("Literal['pass', 'fail'] | None", cannot_tell)
    return Terms(confidence=confidence, together=together or None, cannot_tell=said, errors=errors)


def check_stdout(**taken: bool) -> None:
    """Check that only one output for other programs goes to standard output.

    Args:
        taken: option -> whether it writes there.

    Raises:
        UsageError: two of them do.
    """
    there = [option for option, is_there in taken.items() if is_there]
    if len(there) > 1:
        names = " and ".join(f"--{option}" for option in there)
        raise UsageError(f"{names} cannot both go to standard output; give one of them a file")


def is_stdout(path: Path | None) -> bool:
    """Return whether an output file is standard output."""
    return path is not None and str(path) == STDIN


def show_gate(
    gate: Gate,
    title: str,
    *,
    json: bool,
    quiet: bool = False,
    junit: Path | None = None,
    markdown: Path | None = None,
    screen: Screen | None = None,
) -> int:
    """Show a gate, write its files, and report to GitHub when it runs there. Return the exit code.

    Args:
        title: what was judged.
        json: the caller prints the gate as part of JSON: print nothing to standard output.
        screen: for people; None: standard output.
    """
    if is_stdout(junit) or is_stdout(markdown):  # standard output is for a program
        screen = Screen(stderr=True)
    for line in gate.said:
        say(f"mene: {line}")
    if not json:
        _print(gate, screen or Screen(), quiet)
    _write(gate, title, junit, markdown)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        # If standard output is data, write to standard error: GitHub reads it, too.
        _tell_github(gate, title, json or screen is not None)
    return CODES[gate.outcome]


def _print(gate: Gate, console: Screen, quiet: bool) -> None:
    section = None
    for d in gate.decisions:
        if quiet and d.outcome == "pass":
            continue
        if section != (d.criterion, d.judge):
            section = d.criterion, d.judge
            console.print(f"[bold]{plain(d.criterion)}[/bold] by {plain(d.judge)}")
        rest = why(d)
        console.print(
            f"  [{_COLOURS[d.outcome]}]{d.outcome:<11}[/] {plain(d.rule.text)}: {plain(found_words(d))}"
            f"{'; ' if rest else ''}{plain(rest)}",
            soft_wrap=not console.is_terminal,
        )
    console.print(
        f"[{_COLOURS[gate.outcome]}]{plain(gate_words(gate))}[/]", soft_wrap=not console.is_terminal
    )


def _write(gate: Gate, title: str, junit: Path | None, markdown: Path | None) -> None:
    for path, text in ((junit, outputs.junit), (markdown, lambda g: outputs.markdown(g, title))):
        if path is None:
            continue
        if is_stdout(path):
            show(text(gate).rstrip())
            continue
        try:
            write_whole(path, text(gate))
        except OSError as error:
            raise MeneError(f"{path}: cannot write: {error.strerror}; name another file") from None


def _tell_github(gate: Gate, title: str, aside: bool) -> None:
    for line in outputs.github_annotations(gate):
        (say if aside else show)(line)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(outputs.markdown(gate, title))
        except OSError as error:
            say(f"mene: {summary}: cannot write the job summary: {error.strerror}")
