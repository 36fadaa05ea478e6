"""How a verdict and the end of a run look on a screen, in words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mene.cli.console import note, plain
from mene.criterion import Criterion
from mene.engines.base import best
from mene.judge.any_judge import AnyJudge
from mene.judge.combine import SAME_TEXT
from mene.judge.judge import Judge
from mene.judge.jury import whose_reasons
from mene.judge.preset import Explain, preset_names
from mene.runs.summary import Summary, is_empty_response, whole
from mene.runs.tables import Row
from mene.runs.wide import Passed
from mene.sample import Sample
from mene.text.visible import visible
from mene.values.fields import FORM
from mene.verdict import Verdict

WORDS = 48  # characters of a row's text beside its verdict
ID = 40  # characters of an id
CLAIM = 160  # characters of a claim
KEPT = 20_000  # rows whose first words are at hand
WHOLE = 1_000  # rows whose responses are, until their verdict is shown


class FewWords:
    """The first words of the rows of a run and their places, so that a verdict on the screen says what it is about.

    Args:
        tell: told once of each column that is read as a field with another name.
        whole: keep the responses whole, of which claims will be shown.
    """

    def __init__(
        self, tell: Callable[[str], None] = lambda text: None, *, whole: bool = False
    ) -> None:
        self._whole = whole
        self._responses: dict[int, str] = {}  # number of the row -> its response, until its verdict
        self._words: dict[str, str] = {}
        self._places: dict[int, str] = {}  # number of the row -> ``file, line 7``
        self._tell = tell
        self._told: set[tuple[str, str]] = set()

    def noting(self, rows: Iterable[Row | None]) -> Iterator[Row | None]:
        """The rows, as they pass. Of rows with one id nobody could tell whose words they are: none are kept."""
        for row in rows:
            if row is not None and row.sample is not None:
                self._tell_of(row)
                if len(self._places) < KEPT and row.number + 1 not in self._places:
                    known = row.sample.id in self._words
                    self._words[row.sample.id] = "" if known else first_words(row.sample)
                    self._places[row.number + 1] = row.where
            keeps = self._whole and len(self._responses) < WHOLE
            if keeps and row is not None and row.sample is not None:
                self._responses[row.number + 1] = row.sample.response or ""
            yield row

    def _tell_of(self, row: Row) -> None:
        # Places in lists differ from row to row, and say nothing new.
        pairs = [(re.sub(r"\.-?\d+(?=\.|$)", ".…", column), field) for column, field in row.read_as]
        if new := [pair for pair in pairs if pair not in self._told]:
            self._told.update(new)
            taken = [f"taken for {name}" for name, field in pairs if field == FORM]
            read = ", ".join(f'"{column}" as {field}' for column, field in new if field != FORM)
            said = ": ".join([*taken, *([f"read {read}"] if read else [])])
            self._tell(f"Note: {said} (--map FIELD=COLUMN for another column)")

    def place(self, verdict: Verdict) -> str:
        """Where the row of a verdict stands, if that is known, and its error does not say so itself."""
        place = self._places.get(verdict.row or 0, "")
        return "" if (verdict.error or "").startswith(place) else place

    def response(self, verdict: Verdict) -> str:
        """The response of the verdict's row, once; empty where it was not kept."""
        return self._responses.pop(verdict.row or 0, "")

    def of(self, verdict: Verdict) -> str:
        """Those of the verdict's row; empty where they are not known."""
        return self._words.get(verdict.id, "")


def first_words(sample: Sample) -> str:
    """What is judged, or of a pair what was asked: its first words, on one line."""
    if sample.response is not None:  # an empty one has no words, and no others stand for them
        text = sample.response
    else:
        text = sample.instruction or sample.response_a or sample.context or ""
    text = visible(" ".join(text[: 4 * WORDS].split()))
    return text if len(text) <= WORDS else text[:WORDS].rsplit(" ", 1)[0] + " ..."


def print_verdict(
    console: Console, verdict: Verdict, words: str = "", place: str = "", criterion: str = ""
) -> None:
    """One verdict for people: id, label, how sure, a few words of the row, and the critique below.

    Args:
        criterion: its name, where there are several.
        place: where the row stands (``file, line 7``), for one that failed.
    """
    name = visible(verdict.id)
    line = Text(f"{name if len(name) <= ID else name[: ID - 3] + '...':>6}  ")
    if criterion:
        line.append(f"{visible(criterion)}  ", style="dim")
    if verdict.error is not None:
        place = f"{place}: " if place else ""
        error = visible(" ".join(f"{place}{verdict.error}".split()))
        console.print(line.append(f"error: {error}", style="red"), soft_wrap=True)
        return
    label = visible(verdict.label or verdict.likeliest)
    sure = "" if verdict.confidence is None else f"p={verdict.confidence:.2f}"
    if verdict.abstained:
        line.append("ask a person", style="yellow").append(f"  (likeliest {label}")
        line.append(f", {sure})" if sure else ")")
    elif verdict.score is not None and sure:
        # The likeliest label of a scale and the mean over all of them often differ, so both are named.
        line.append("likeliest ").append(label, style="bold")
        line.append(f" ({sure}), mean {verdict.score:.2f}")
    else:
        line.append(label, style="bold").append(f"  {sure}" if sure else "")
    for wanted, at in (verdict.threshold or {}).items():
        if verdict.label == best(verdict.probabilities or {wanted: 1.0}):
            continue  # it would be the label without a threshold, too
        from_on = f"from p={at:.2f} on" if at > 0 else "always"
        line.append(f"  ({visible(wanted)} {from_on})", style="dim")
    if verdict.first is not None:
        line.append(f"  (before its critique: {visible(verdict.first.label)})", style="dim")
    if verdict.consistent is False:
        line.append("  the two orders disagree", style="yellow")
    if SAME_TEXT in verdict.notes:
        line.append(f"  {SAME_TEXT}", style="yellow")
    for empty in filter(is_empty_response, verdict.notes):
        line.append(f"  {visible(empty)}", style="yellow")
    if words:
        line.append(f"  {words}", style="dim")
    console.print(line, soft_wrap=True)
    if verdict.critique:
        said = visible(" ".join(verdict.critique.split()))
        console.print(Text(said, style="dim"), width=min(96, console.width))


def print_claims(
    console: Console, failing: Sequence[Verdict], of: int, response: str, most: int = 5
) -> None:
    """The claims of a response that fail, in its own words.

    Args:
        failing: parts of the verdict, each with its ``span``.
        of: number of the claims of the response.
        most: claims shown.
    """
    head = f"{len(failing)} of {of} claims fail:" if of > 1 else ""
    if not head:  # it is the response itself, whose words stand above
        return
    console.print(Text(f"        {head}", style="dim"), soft_wrap=True)
    for part in failing[:most]:
        start, end = part.span or (0, 0)
        said = visible(" ".join(response[start:end].split()))
        said = said if len(said) <= CLAIM else said[: CLAIM - 4].rsplit(" ", 1)[0] + " ..."
        sure = "" if part.confidence is None else f"p={part.confidence:.2f}  "
        said = said or f"characters {start} to {end}"
        console.print(Text(f"        ✗ {sure}").append(said, style="red"), soft_wrap=True)
    if len(failing) > most:
        console.print(Text(f"        and {len(failing) - most} more", style="dim"), soft_wrap=True)


def print_summary(
    console: Console,
    parts: Sequence[tuple[Criterion, Summary]],
    judge: AnyJudge,
    output: Path | None,
    table_path: str | None = None,
    reasons: Explain = "none",
    of: int | None = None,
    overall: Passed | None = None,
    wide: Path | None = None,
) -> None:
    """The end of a run, in a few lines.

    Args:
        parts: each criterion with its sums; at least one.
        table_path: the table that was judged, for the next command. Its columns under other names are in the verdicts.
        reasons: which rows were to get one.
        of: rows that the table has, where that is known.
        overall: what a set of criteria comes to.
        wide: the table with a row per sample, where one was written.
    """
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    total = whole(summary for _, summary in parts)
    judges = "judge", plain(", ".join(_judge(each) for each in judge.judges))
    for criterion, summary in parts:
        table.add_row(plain(criterion.name), _rows(summary, of))
        if criterion.own_question:
            table.add_row("question", plain(criterion.question))
        if len(parts) == 1:
            table.add_row(*judges)
        for line in _answers(summary, criterion):
            table.add_row(*line)
        if len(parts) > 1:
            table.add_row()
    if overall is not None:
        table.add_row("overall", _overall(overall))
    if len(parts) > 1:
        table.add_row(*judges)
    for line in (*_work(total), *_odd(total)):
        table.add_row(*line)
    command: list[str] = []
    if output is not None and (total.done or total.rows == total.done):
        table.add_row("verdicts", plain(output))
        if wide is not None and wide.exists():
            table.add_row("table", plain(wide))
        labels = (summary.labels.get(label) for c, summary in parts for label in c.scale.labels)
        if any(labels) or total.abstained:
            command = ["mene", "report", str(output)]
            command += ["--data", table_path] if table_path else []
    console.print()
    console.print(table)
    if command:  # on one line, however narrow the screen: it is there to be pasted
        width = max(len(str(name)) for name in table.columns[0].cells)
        said = f"[dim]{'next':<{width}}[/dim]  {plain(shlex.join(command))}"
        console.print(said, soft_wrap=True, highlight=False)
    taken = sum(total.taken.values())
    if (total.judged or taken) and total.reused == taken:  # a continued run has shown them
        _print_notes(console, [criterion for criterion, _ in parts], judge, reasons)


def _print_notes(
    console: Console, criteria: Sequence[Criterion], judge: AnyJudge, reasons: Explain
) -> None:
    if whose := whose_reasons(judge.judges):
        note(console, f"Note: {whose}")
    about: dict[str, list[str]] = {}  # a note -> the criteria that it is about
    for criterion in criteria:
        if len(judge.judges) == 1 and (said := alone_words(judge.judges[0], criterion)):
            about.setdefault(said, []).append(criterion.name)
        for each in judge.judges:
            for said in notes(each, criterion, reasons):
                about.setdefault(said, []).append(criterion.name)
    for said, names in about.items():
        of = "" if len(names) == len(criteria) else f" ({', '.join(names)})"
        note(console, f"Note{of}: {said}")


def _rows(summary: Summary, of: int | None) -> str:
    """How many rows were judged, and where the others are."""
    whole = f" of {of:,}" if of and of > summary.rows else ""
    rows = f"{so_many_rows(summary.rows)}{whole}: {summary.judged} judged"
    own = summary.reused - sum(summary.taken.values())
    rows += f", {own} found in the file" if own else ""
    rows += "".join(f", {taken_words(n, *whose)}" for whose, n in summary.taken.items())
    rows += f", [red]{summary.errors} failed[/red]" if summary.errors else ""
    left = summary.rows - summary.done
    return rows + (f", {left:,} to go" if left else "")


def _answers(summary: Summary, criterion: Criterion) -> Iterator[tuple[str, str]]:
    """What the judge answered, and how sure it was."""
    counted = [(label, summary.labels.get(label, 0)) for label in criterion.scale.labels]
    if answered := sum(count for _, count in counted):
        each = (
            f"{plain(name)}: {so_many_rows(n)} ({n / answered:.0%})" for name, n in counted if n
        )
        yield "labels", ", ".join(each)
    if summary.abstained:
        yield "ask a person", f"[yellow]{so_many_rows(summary.abstained)}[/yellow]"
    if summary.even:
        yield "no choice", f"{so_many_rows(summary.even)} whose two responses are the same text"
    if summary.mean_score is not None:
        yield "mean score", f"{summary.mean_score:.2f} on the scale {criterion.scale}"
    if summary.mean_confidence is not None:
        unsure = f"; {so_many_rows(summary.unsure)} under 0.6" if summary.unsure else ""
        yield "confidence", f"p={summary.mean_confidence:.2f} on average{unsure}"
    if summary.orders[1]:
        share = summary.orders[0] / summary.orders[1]
        yield "both orders agree", f"{share:.0%} of {summary.orders[1]} pairs"
    if summary.pointwise:
        pairs = f"{summary.pointwise:,} pair{'s' * (summary.pointwise != 1)}"
        yield "order", f"has no influence: each response of {pairs} was judged alone"


def _overall(found: Passed) -> str:
    """What a set of criteria comes to."""
    said = []
    if found.passed is not None:
        known = found.samples - found.unknown
        unknown = f" ({so_many_rows(found.unknown)} unknown)" if found.unknown else ""
        said.append(f"{found.passed:,} of {so_many_rows(known)} pass{unknown}")
    if found.score is not None:
        said.append(f"mean score {found.score:.2f} of 1")
    return "; ".join(said) or "nothing is known yet"


def _work(summary: Summary) -> Iterator[tuple[str, str]]:
    """What it took."""
    if summary.judged:
        yield "speed", f"{summary.rate:.2f} judgements/s, {summary.seconds:.1f} s"
    if summary.judged or summary.written:
        used = summary.usage
        yield (
            "tokens",
            f"{used.prompt_tokens - used.cached_tokens:,} read, {used.cached_tokens:,} reused, "
            f"{used.completion_tokens:,} written",
        )
    yield from _reasons(summary)


def _odd(summary: Summary) -> Iterator[tuple[str, str]]:
    """What may be a slip in the table."""
    if summary.duplicates:
        have = "has" if summary.duplicates == 1 else "have"
        said = f"{so_many_rows(summary.duplicates)} {have} the id of an earlier row"
        yield "ids", f"[yellow]{said}[/yellow]"
    if summary.empty:
        have = "has an empty response" if summary.empty == 1 else "have empty responses"
        said = f"{so_many_rows(summary.empty)} {have}, judged like any other"
        yield "empty", f"[yellow]{said}[/yellow]"


def taken_words(rows: int, file: Path, judge: str) -> str:
    """Whose verdicts were asked the same, so that they were taken over."""
    return f"{rows:,} taken from {plain(file)} ({plain(judge)})"


def _judge(judge: Judge) -> str:
    """Its name, and the engine that ran it where the name does not say so."""
    engine = judge.engine.identity.partition(":")[0]
    return judge.name if judge.name.startswith(f"{engine}:") else f"{judge.name} ({engine})"


def _reasons(summary: Summary) -> Iterator[tuple[str, str]]:
    if not (summary.explained or summary.unexplained or summary.unwritten):
        return
    said = f"{summary.written} written in {summary.explaining_s:.1f} s"
    if summary.explained > summary.written:
        said += f", {summary.explained - summary.written} found in the file"
    said += f"; [red]{summary.unwritten} failed[/red]" if summary.unwritten else ""
    if summary.unexplained:
        have = "row has" if summary.unexplained == 1 else "rows have"
        said += f"; {summary.unexplained} more {have} none (--explain-rows 0 for all)"
    yield "reasons", said
    if summary.reconsidered:
        labels = f"label{'s' * (summary.reconsidered != 1)}"
        yield "reconsidered", f"{summary.reconsidered} {labels} changed"


def notes(judge: Judge, criterion: Criterion, reasons: Explain) -> list[str]:
    """What a user should know of these verdicts before trusting them, each in a line or two."""
    preset, found = judge.preset, []
    about = preset.measured
    if preset.warning and (not about or criterion.name in about or criterion.scale.kind in about):
        found.append(" ".join(preset.warning.split()))
    elif preset.warning:  # its figures are about other questions
        found.append(
            f"{judge.name} has not been measured on this question. Measure it with `mene align` on at least 20 rows that you "
            "have labelled. docs/judges.md has its figures on other questions"
        )
    elif preset.name not in preset_names() and (unfit := judge.unfit(criterion)):
        found.append(unfit)
    if reasons == "failing" and not criterion.failing:
        found.append(
            f"no reasons: {criterion.name} has no failing label (--explain all gives all rows one)"
        )
    return found


def alone_words(judge: Judge, criterion: Criterion) -> str | None:
    """The confidence from which the judge may decide alone; None where none was found, or where it abstains already."""
    alone = judge.alone(criterion)
    if alone is None or judge.preset.abstain:
        return None
    may = f"alone where p is {alone.at:.2f} or more" if alone.at > 0 else "all rows alone"
    rest = "--abstain gives other rows no label" if alone.at > 0 else "--abstain changes nothing"
    return (
        f"{judge.name} may decide {may}: with a confidence of {alone.confidence:g} at most {100 * alone.error:g} % of the "
        f"labels of such rows are wrong, if they are drawn like the rows it was aligned on. {rest}"
    )


def so_many_rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"
