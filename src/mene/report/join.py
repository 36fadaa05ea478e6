"""Which row of a table a verdict is about.

A row is known by its place and its content; ids are for people, who repeat them, leave them out, and write 2 beside
"2". They count only where a verdict has nothing else (one of an earlier version), or where the table holds labels for
other texts than those that were judged, or is read with another ``--map``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mene.runs.columns import lacking
from mene.runs.tables import read_rows
from mene.sample import Sample
from mene.verdict import Verdict

_Columns = tuple[tuple[str, str], ...]


@dataclass
class Join:
    """Verdicts and the rows of a table. ``add`` all verdicts, then ask for their rows with ``place``.

    Attributes:
        samples: place in the table -> row.
        by_id: verdicts whose row was found by its id alone: what was judged is not what stands there.
        lost: verdicts about no row of the table, or one of several with the same id.
    """

    samples: dict[int, Sample]
    by_id: int = 0
    lost: int = 0
    # (content, id, or None where any will do) -> places
    _alike: dict[tuple[str, str | None], list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _ids: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    # By criterion and judge, each of which may have read the table with another ``--map``: contents that a verdict is about,
    # and by the id too: places of no such content
    _judged: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    _unjudged: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    # By criterion and judge: the places that have their verdict, and where to look for the next one without
    _taken: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    _free: dict[tuple[str, str, str, str | None], Iterator[int]] = field(default_factory=dict)
    _told: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    _next: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _in_order: dict[tuple[str, str], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for place, sample in self.samples.items():
            self._alike[sample.content, None].append(place)
            self._alike[sample.content, sample.id].append(place)
            self._ids[sample.id].append(place)

    def add(self, verdict: Verdict) -> None:
        """Take note of a verdict, in the order of the file."""
        if verdict.content:
            self._judged[verdict.scope, verdict.judge].add(verdict.content)
        elif verdict.row is None:
            self._told[verdict.scope, verdict.judge].append(verdict.id)

    def place(self, verdict: Verdict) -> int | None:
        """The row that a verdict is about, by its place from 0; None where none is, or nobody can tell which.

        Ask for the verdicts of a file in its order, each once.
        """
        found = self._place(verdict)
        self.lost += found is None and verdict.error is None
        return found

    def _place(self, verdict: Verdict) -> int | None:
        if (verdict.content, None) in self._alike:
            return self._place_by_content(verdict)
        places = self._ids.get(verdict.id, [])
        if verdict.content:
            # A row that was judged as it stands is no other row, whatever its id.
            section = verdict.scope, verdict.judge
            if (*section, verdict.id) not in self._unjudged:
                judged = self._judged[section]
                others = [p for p in places if self.samples[p].content not in judged]
                self._unjudged[*section, verdict.id] = others
            places = self._unjudged[*section, verdict.id]
            if len(places) != 1:
                return None
            self.by_id += _has_texts(self.samples[places[0]])
            return places[0]
        if verdict.row is not None:  # a row that could not be read has no content
            own = self.samples.get(verdict.row - 1)
            return verdict.row - 1 if own is not None and own.id == verdict.id else None
        if len(places) < 2:
            return places[0] if places else None
        section = verdict.scope, verdict.judge
        if not self._is_in_order(section):
            return None
        turn = self._next[*section, verdict.id]
        self._next[*section, verdict.id] += 1
        return places[turn]

    def _place_by_content(self, verdict: Verdict) -> int | None:
        """Its own place, else the next one with its id, else any; each is taken once, for labels of texts that are alike may
        differ.
        """
        section = verdict.scope, verdict.judge
        taken = self._taken[section]
        place: int | None = (verdict.row or 0) - 1
        own = self.samples.get(place)
        if own is None or own.content != verdict.content or place in taken:
            named = self._next_free(section, verdict.content, verdict.id)
            place = self._next_free(section, verdict.content, None) if named is None else named
        if place is not None:
            taken.add(place)
        return place

    def _next_free(
        self, section: tuple[str, str], content: str, sample_id: str | None
    ) -> int | None:
        key = *section, content, sample_id
        if key not in self._free:
            self._free[key] = iter(self._alike.get((content, sample_id), []))
        taken = self._taken[section]
        return next((place for place in self._free[key] if place not in taken), None)

    def _is_in_order(self, section: tuple[str, str]) -> bool:
        """Do the verdicts of an earlier version stand in the order of the table, one for each row of a repeated id?"""
        if section not in self._in_order:
            told = [i for i in self._told[section] if i in self._ids]
            judged = set(told)
            wanted = [s.id for s in self.samples.values() if s.id in judged]
            self._in_order[section] = told == wanted
        return self._in_order[section]


def _has_texts(sample: Sample) -> bool:
    return any((sample.response, sample.response_a, sample.response_b))


def _sorted(columns: Mapping[str, str]) -> _Columns:
    return tuple(sorted(columns.items()))


class Joins:
    """Verdicts and the rows of a table, read as every verdict's run read it: with its ``columns``.

    A row is called by (columns, place), since a column may be a label for one criterion and a response for another.

    Args:
        path: the table.
        names: columns under other names, which go before those of the verdicts.
        verdicts: all of a file.

    Attributes:
        samples: what the rows are called -> row.
        broken: place -> why that row cannot be read.

    Raises:
        UsageError: as of ``tables.read_rows``.
    """

    def __init__(self, path: str, names: Mapping[str, str], verdicts: Iterable[Verdict]) -> None:
        self._path, self._names = path, names
        self._joins: dict[_Columns, Join] = {}
        self.samples: dict[tuple[_Columns, int], Sample] = {}
        self.broken: dict[int, str] = {}
        for verdict in verdicts:
            self._of(verdict).add(verdict)

    def place(self, verdict: Verdict) -> tuple[_Columns, int] | None:
        """What the row is called that a verdict is about; see ``Join.place``."""
        place = self._of(verdict).place(verdict)
        return None if place is None else (_sorted(verdict.columns), place)

    @property
    def by_id(self) -> int:
        return sum(join.by_id for join in self._joins.values())

    @property
    def lost(self) -> int:
        return sum(join.lost for join in self._joins.values())

    def _of(self, verdict: Verdict) -> Join:
        columns = _sorted(verdict.columns)
        if columns not in self._joins:
            self._joins[columns] = join = Join(dict(self._rows(verdict.columns)))
            self.samples |= {(columns, place): row for place, row in join.samples.items()}
        return self._joins[columns]

    def _rows(self, columns: Mapping[str, str]) -> Iterator[tuple[int, Sample]]:
        # The table may be another one than was judged, with labels alone: what it has not is looked for as ever.
        lacks = lacking(self._path, tuple(columns), columns)[0] if columns else []
        names = {**{f: c for f, c in columns.items() if f not in lacks}, **self._names}
        # What the criterion did not show could be anything when the rows were judged.
        for row in read_rows(self._path, names, fields=()):
            if row.sample is None:
                self.broken[row.number] = str(row.error)
            else:
                yield row.number, row.sample
