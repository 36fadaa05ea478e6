"""The first words of the rows of a run, so that a verdict on the screen says what it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from mene.runs.tables import Row
from mene.sample import Sample
from mene.text.visible import visible
from mene.values.fields import FORM
from mene.verdict import Verdict

WORDS = 48  # characters of a row's text beside its verdict
KEPT = 20_000  # maximum number of rows whose first words are in memory
WHOLE = 1_000  # maximum number of rows whose whole responses are, until their verdict is shown


class FewWords:
    """The first words of the rows of a run and their places, so that a verdict on the screen says what it is about.

    Args:
        tell: receives one message for each column that is read as a field with another name.
        whole: store whole responses, since their claims will be shown.
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
        """Yield the rows unchanged, and store their first words; not for rows that share an id, which cannot be distinguished."""
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
        # Positions in lists differ from row to row, and are not informative.
        pairs = [(re.sub(r"\.-?\d+(?=\.|$)", ".…", column), field) for column, field in row.read_as]
        if new := [pair for pair in pairs if pair not in self._told]:
            self._told.update(new)
            taken = [f"taken for {name}" for name, field in pairs if field == FORM]
            read = ", ".join(f'"{column}" as {field}' for column, field in new if field != FORM)
            said = ": ".join([*taken, *([f"read {read}"] if read else [])])
            self._tell(f"Note: {said} (--map FIELD=COLUMN for another column)")

    def place(self, verdict: Verdict) -> str:
        """Return the place of a verdict's row, if it is known and the error does not contain it."""
        place = self._places.get(verdict.row or 0, "")
        return "" if (verdict.error or "").startswith(place) else place

    def response(self, verdict: Verdict) -> str:
        """Return and forget the response of the verdict's row; empty if it was not stored."""
        return self._responses.pop(verdict.row or 0, "")

    def of(self, verdict: Verdict) -> str:
        """Return the first words of the verdict's row; empty if they are not known."""
        return self._words.get(verdict.id, "")


def first_words(sample: Sample) -> str:
    """Return the first words of the response, or of a pair's instruction, on one line."""
    if sample.response is not None:  # an empty one stays empty
        text = sample.response
    else:
        text = sample.instruction or sample.response_a or sample.context or ""
    text = visible(" ".join(text[: 4 * WORDS].split()))
    return text if len(text) <= WORDS else text[:WORDS].rsplit(" ", 1)[0] + " ..."
