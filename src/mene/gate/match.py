"""Which verdicts of two runs are about the same row.

By default rows are matched by id, since two prompts or two models produce different texts for a row. A repeated id is resolved
by the judged text and then by the position in the table, where these agree in both runs; otherwise it is left out.
``content`` matches by the judged text only (two judges on the same texts, with different ids), ``row`` by the position.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mene.errors import UsageError
from mene.gate.sections import Said

By = Literal["id", "content", "instruction", "row"]
SHOWN = 5  # maximum number of ids in a message


@dataclass
class Matched:
    """The matched rows of two runs.

    Attributes:
        by: what they were matched by.
        pairs: rows in both runs.
        only_a, only_b: ids of rows in one run only.
        repeated: ids that occur several times in a run and could not be resolved.
        by_place: whether the ids are only numbers of rows, of tables without ids.
        elsewhere: pairs of ``by_place`` that differ in their text, while the text is at another place of the other run.
    """

    by: By
    pairs: list[tuple[Said, Said]] = field(default_factory=list)
    only_a: list[str] = field(default_factory=list)
    only_b: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    by_place: bool = False
    elsewhere: int = 0


def match(
    a: list[Said],
    b: list[Said],
    by: By | None = None,
    instructions: Callable[[int, Said], str | None] | None = None,
) -> Matched:
    """Match the rows of two runs on one criterion.

    Args:
        by: None: by id, or by the judged text where no ids but some texts agree.
        instructions: returns the instruction of a row of run 0 or 1; needed for ``instruction``.

    Raises:
        UsageError: no row is in both, or rows without ids are at other places.
    """
    if by is None:
        by = "id"
        if not {row.id for row in a} & {row.id for row in b}:
            shared = {row.content for row in a} & {row.content for row in b} - {""}
            by = "content" if shared else "id"
    keys: Callable[[int, Said], Hashable]
    match by:
        case "id":
            keys = lambda _, row: row.id  # noqa: E731
        case "content":
            keys = lambda _, row: row.content or None  # noqa: E731
        case "row":
            keys = lambda _, row: row.row or None  # noqa: E731
        case "instruction":
            assert instructions is not None
            keys = instructions
    found = Matched(by)
    left, right = _by_key(0, a, keys), _by_key(1, b, keys)
    for key, ours in left.items():
        theirs = right.get(key, []) if key is not None else []
        if len(ours) == 1 and len(theirs) == 1:
            found.pairs.append((ours[0], theirs[0]))
            continue
        pairs = _told_apart(ours, theirs)
        found.pairs += pairs
        if theirs and len(pairs) < max(len(ours), len(theirs)):
            found.repeated += [ours[0].id]
        elif not theirs:
            found.only_a += [row.id for row in ours]
    found.only_b = [
        row.id for key, rows in right.items() if key is None or key not in left for row in rows
    ]
    if not found.pairs:
        raise UsageError(_nothing(found, a, b))
    if by == "id" and all(row.id == str(row.row) for run in (a, b) for row in run):
        found.by_place = True
        texts = {row.content for row in b if row.content}
        found.elsewhere = sum(
            one.content != other.content and one.content in texts for one, other in found.pairs
        )
        if 2 * found.elsewhere > len(found.pairs):
            raise UsageError(
                f"the rows have no ids and are matched by their place, but {found.elsewhere:,} of {len(found.pairs):,} texts "
                "are at another place in the other run; give each row an id, or say --match content"
            )
    return found


def _by_key(
    run: int, rows: list[Said], keys: Callable[[int, Said], Hashable]
) -> Mapping[Hashable, list[Said]]:
    found: dict[Hashable, list[Said]] = defaultdict(list)
    for row in rows:
        found[keys(run, row)].append(row)
    return found


def _told_apart(ours: list[Said], theirs: list[Said]) -> list[tuple[Said, Said]]:
    """Pair rows of one key: those with equal text (and position), then those with equal position."""
    pairs: list[tuple[Said, Said]] = []
    rest_a, rest_b = list(ours), list(theirs)
    taken: set[int] = set()
    for same in (
        lambda row: (row.content, row.row) if row.content else None,
        lambda row: row.content or None,
        lambda row: row.row or None,
    ):
        known: dict[Hashable, deque[Said]] = defaultdict(deque)
        for row in rest_b:
            known[same(row)].append(row)
        again = []
        for row in rest_a:
            key = same(row)
            if key is not None and known[key]:
                other = known[key].popleft()
                pairs.append((row, other))
                taken.add(id(other))
            else:
                again.append(row)
        rest_a = again
        rest_b = [row for row in rest_b if id(row) not in taken]
    return pairs


def _nothing(found: Matched, a: list[Said], b: list[Said]) -> str:
    if found.repeated:
        return (
            f"all ids repeat within a run ({_some(found.repeated)}), and nobody can tell which rows belong together; "
            "give each row an id of its own"
        )
    return (
        f"no row of one run is in the other (matched by {found.by}): {_some([row.id for row in a])} and "
        f"{_some([row.id for row in b])}; judge both with the same ids, or name "
        "what they share: --match content, row or instruction"
    )


def _some(ids: list[str]) -> str:
    shown = ", ".join(dict.fromkeys(ids[:SHOWN]))
    return f"{shown}, …" if len(ids) > SHOWN else shown or "none"


def unmatched(found: Matched, a: str, b: str) -> list[str]:
    """Return notes on the rows that are not compared.

    Args:
        a, b: names of the runs.
    """
    lines = []
    if found.elsewhere:
        lines.append(
            f"the rows have no ids and were matched by their place, but {found.elsewhere:,} of {len(found.pairs):,} texts of "
            f"{a} are at another place in {b}: give each row an id, or say --match content"
        )
    elif found.by_place:
        lines.append("the rows have no ids and were matched by their place in the table")
    for ids, here, there in ((found.only_a, a, b), (found.only_b, b, a)):
        if ids:
            are = "row of" if len(ids) == 1 else "rows of"
            lines.append(f"{len(ids):,} {are} {here} not in {there}, and left out: {_some(ids)}")
    if found.repeated:
        s = "id stands" if len(found.repeated) == 1 else "ids stand"
        lines.append(
            f"{len(found.repeated):,} {s} several times in a run and cannot be told apart; left out where they differ: "
            f"{_some(found.repeated)}"
        )
    return lines
