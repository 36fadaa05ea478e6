"""How a verdict looks on a screen, and a few words of what it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from rich.console import Console
from rich.text import Text

from mene.engines.base import best
from mene.judge.combine import SAME_TEXT
from mene.runs.summary import is_empty_response
from mene.runs.tables import Row
from mene.sample import Sample
from mene.text.visible import visible
from mene.verdict import Verdict

WORDS = 48  # characters of a row's text beside its verdict
ID = 40  # characters of an id
KEPT = 20_000  # rows whose first words are at hand


class FewWords:
    """The first words of the rows of a run and their places, so that a verdict on the screen says what it is about.

    Args:
        tell: told once of each column that is read as a field with another name.
    """

    def __init__(self, tell: Callable[[str], None] = lambda text: None) -> None:
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
            yield row

    def _tell_of(self, row: Row) -> None:
        if new := [pair for pair in row.read_as if pair not in self._told]:
            self._told.update(new)
            read = ", ".join(f'"{column}" as {field}' for column, field in new)
            self._tell(f"Note: read {read} (--map FIELD=COLUMN for another column)")

    def place(self, verdict: Verdict) -> str:
        """Where the row of a verdict stands, if that is known, and its error does not say so itself."""
        place = self._places.get(verdict.row or 0, "")
        return "" if (verdict.error or "").startswith(place) else place

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
