"""Which row of a table a verdict is about.

A row is identified by its position and content. Ids are for people: they may repeat, be missing, or differ in type (2 and
"2"). They are used only where a verdict has nothing else (in an earlier version), or where the table has labels for other texts
than those judged, or is read with another ``--map``.
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
    """Joins verdicts to the rows of a table. ``add`` all verdicts first, then look up their rows by ``place``.

    Attributes:
        samples: position in the table -> row.
        by_id: verdicts joined by id only: the table has another text than was judged.
        lost: verdicts on no row of the table, or on one of several with the same id.
    """

    samples: dict[int, Sample]
    by_id: int = 0
    lost: int = 0
    # (content, id, or None for any) -> positions
    _alike: dict[tuple[str, str | None], list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _ids: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    # Per criterion and judge, each of which may have read the table with another ``--map``: contents of their verdicts; and,
    # also by id, positions with none of these contents.
    _judged: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    _unjudged: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    # Per criterion and judge: positions that have their verdict, and where to search for the next free one.
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
        """Register a verdict, in the order of the file."""
        if verdict.content:
            self._judged[verdict.scope, verdict.judge].add(verdict.content)
        elif verdict.row is None:
            self._told[verdict.scope, verdict.judge].append(verdict.id)

    def place(self, verdict: Verdict) -> int | None:
        """Return the position, from 0, of the row that a verdict is about; None where there is none, or it is ambiguous.

        Call it once per verdict of a file, in order.
        """
        found = self._place(verdict)
        self.lost += found is None and verdict.error is None
        return found

    def _place(self, verdict: Verdict) -> int | None:
        if (verdict.content, None) in self._alike:
            return self._place_by_content(verdict)
        places = self._ids.get(verdict.id, [])
        if verdict.content:
            # A row whose own text was judged is not matched by id to another verdict.
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
        if verdict.row is not None:  # an unreadable row, without content
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
        """Return its own position, else the next one with its id, else any. Each is used once, since identical texts may have
        different labels.
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
        """Return whether an earlier version's verdicts follow the table's order, with one per row of a repeated id."""
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
    """Joins verdicts to the rows of a table, read for each verdict with its run's ``columns``.

    A row's key is (columns, position), since a column may be a label for one criterion and a response for another.

    Args:
        path: the table.
        names: columns under other names, with precedence over those of the verdicts.
        verdicts: all verdicts of a file.

    Attributes:
        samples: row key -> row.
        broken: position -> why that row cannot be read.

    Raises:
        UsageError: as for ``tables.read_rows``.
    """

    def __init__(self, path: str, names: Mapping[str, str], verdicts: Iterable[Verdict]) -> None:
        self._path, self._names = path, names
        self._joins: dict[_Columns, Join] = {}
        self.samples: dict[tuple[_Columns, int], Sample] = {}
        self.broken: dict[int, str] = {}
        for verdict in verdicts:
            self._of(verdict).add(verdict)

    def place(self, verdict: Verdict) -> tuple[_Columns, int] | None:
        """Return the key of the row that a verdict is about; see ``Join.place``."""
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
        # The table may hold only labels, without the judged columns; missing columns are looked up in the usual way.
        lacks = lacking(self._path, tuple(columns), columns)[0] if columns else []
        names = {**{f: c for f, c in columns.items() if f not in lacks}, **self._names}
        # Fields that the criterion did not show were not checked when the rows were judged.
        for row in read_rows(self._path, names, fields=()):
            if row.sample is None:
                self.broken[row.number] = str(row.error)
            else:
                yield row.number, row.sample
