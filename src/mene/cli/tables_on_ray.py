"""Which tables ``mene judge --on ray`` judges, and in which folder their verdicts go."""

from __future__ import annotations

import os
from collections import Counter

from mene.cli.console import say
from mene.cli.judge_options import JudgeOptions
from mene.criteria_set import CriteriaSet
from mene.errors import UsageError
from mene.runs.beside import stem
from mene.runs.check import check_columns
from mene.runs.formats import FORMATS, table_format
from mene.runs.parts.beginning import beginning
from mene.runs.parts.own import is_own
from mene.runs.parts.remote import WILD
from mene.runs.parts.storage import expand, is_remote
from mene.runs.source import STDIN

ENDINGS = tuple(f".{form}" for form in (*FORMATS, "ndjson", "pq"))


def tables_of(options: JudgeOptions) -> tuple[list[str], list[str]]:
    """Return the tables of the arguments (files, folders, patterns and URLs), and what is left out of them as mene's own.

    Raises:
        UsageError: standard input, no such file, or a file in an unknown format.
    """
    given = [options.file, *(options.more or [])]
    if STDIN in given:
        raise UsageError(
            "--on ray reads files, not standard input; write the rows to a file, or leave --on out"
        )
    both = [_tables(one) for one in given]
    # Compared by their full names: one table may be spelled in two ways.
    found = [_full(path) for tables, _ in both for path in tables]
    if twice := next((path for path, times in Counter(found).items() if times > 1), None):
        raise UsageError(f"{twice} is named twice; name it once")
    for path in found:
        table_format(path)
        if not is_remote(path) and not os.path.getsize(path):
            raise UsageError(f"{path} is empty: nothing to judge")
    return found, [path for _, own in both for path in own]


def _tables(given: str) -> tuple[list[str], list[str]]:
    """Return the tables of one argument, and, in a folder or a pattern, the files that mene wrote itself.

    Raises:
        UsageError: there is no table.
    """
    every = expand(given, ENDINGS)
    if every == [given]:
        return every, []
    own = {path: None for path in every if is_own(path)}
    if len(own) == len(every):
        raise UsageError(
            f"{given}: only verdicts that mene wrote, like {every[0]}; name the tables to judge"
        )
    return [path for path in every if path not in own], list(own)


def say_left_out(own: list[str], folder: str) -> None:
    """Say which files are not judged because mene wrote them; those of this run's own folder are no news."""
    others = [path for path in map(_full, own) if not path.startswith(f"{folder}/")]
    if others:
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        say(f"mene: {others[0]}{more}: verdicts that mene wrote, left out; only tables are judged")


def check_tables(files: list[str], criteria: CriteriaSet, names: dict[str, str]) -> None:
    """Check that all local tables, and the first remote one, have the columns that are needed.

    Raises:
        UsageError: one has not.
    """

    def check(path: str) -> None:
        for criterion in criteria:
            check_columns(path, criterion, names)

    for path in files:
        if not is_remote(path):
            check(path)
    if first := next(filter(is_remote, files), None):
        with beginning(first) as copy:
            try:
                if copy:
                    check(copy)
            except UsageError as error:
                raise UsageError(str(error).replace(copy or "", first)) from None


def _full(path: str) -> str:
    return path if is_remote(path) else os.path.abspath(path)


def folder_of(options: JudgeOptions, files: list[str]) -> str:
    """Return the folder for the parts.

    Raises:
        UsageError: it is not a folder, it contains a table, or none is given and the tables are in an object store.
    """
    given = options.output
    if given == STDIN:
        raise UsageError("--on ray writes a folder of parts; name it with -o")
    if given is None:
        if is_remote(files[0]):
            raise UsageError(
                "name the folder for the verdicts with -o, e.g. -o s3://BUCKET/verdicts"
            )
        given = default_folder(options.file)
    if not is_remote(given) and os.path.isfile(given):
        raise UsageError(f"{given} is a file; --on ray writes a folder of parts: name one with -o")
    folder = given.rstrip("/") if is_remote(given) else os.path.abspath(given)
    if inside := next((path for path in files if path.startswith(f"{folder}/")), None):
        raise UsageError(
            f"{inside} lies in the folder of the verdicts, {folder}; give another with -o"
        )
    return folder


def default_folder(table: str) -> str:
    """Return the folder for the verdicts on a table, a folder or a pattern: beside it, under its name."""
    wild = None if os.path.exists(table) else WILD.search(table)
    named = table[: wild.start()].rstrip("/-_.") if wild else table.rstrip("/")
    if os.path.basename(named) in (".", ".."):  # no name: that of the folder, here
        named = os.path.basename(os.path.abspath(named))
    return f"{stem(named or 'rows')}.verdicts"
