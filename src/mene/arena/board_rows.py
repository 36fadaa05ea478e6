"""From votes to the rows of a leaderboard: filter, rate, rank, count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mene.arena.ballots import Ballots
from mene.arena.board_words import (
    FEATURES,
    GROUPS,
    OFTEN,
    PRELIMINARY,
    Board,
    Filters,
    Measured,
    Moment,
    Row,
)
from mene.arena.fairness import Counted, Mask
from mene.arena.tables import micros, moment
from mene.criterion import criterion_names
from mene.errors import UsageError, nearest
from mene.stats.columns import Floats, Ints
from mene.stats.intervals import Figure, mean
from mene.stats.ratings import Ratings, Tally, bootstrap, rate, tally
from mene.stats.ratings_elo import elo
from mene.stats.ratings_ranks import ranks
from mene.stats.ratings_style import Styled, rate_styled, relative

_APART = "some judges never met, not even through others: their ratings cannot be compared"


@dataclass(frozen=True)
class Chosen:
    """The votes of one leaderboard, with its judges renumbered.

    Attributes:
        rows: indices of the ballots.
        names: the judges.
        a, b: the judge of each seat, an index of ``names``.
        score: points of seat a.
    """

    rows: Ints
    names: list[str]
    a: Ints
    b: Ints
    score: Floats

    @property
    def tally(self) -> Tally:
        """Return the votes counted by pair and outcome."""
        return tally(self.a, self.b, self.score, len(self.names))


def make_board(
    ballots: Ballots,
    filters: Filters,
    fair: Counted,
    asked: Mapping[str, tuple[int, int]] | None = None,
) -> Board:
    """Return a leaderboard.

    Args:
        fair: which votes count (``fairness.counted``).
        asked: judge -> number of battles and of failures (``asked.asked``).

    Raises:
        UsageError: an unknown filter value.
    """
    if filters.intervals not in ("sandwich", "bootstrap"):
        raise UsageError(f"intervals {filters.intervals}: sandwich or bootstrap")
    chosen = _choose(ballots, np.flatnonzero(fair.mask & _wanted(ballots, filters)))
    if not chosen.names:
        return _empty(fair)
    _, voter = np.unique(ballots.voter[chosen.rows], return_inverse=True)
    counts = chosen.tally
    if filters.intervals == "bootstrap":
        ratings = bootstrap(counts)
    else:
        ratings = rate(counts, (voter, chosen.a, chosen.b, chosen.score))
    styled = _style_out(ballots, chosen) if filters.style else None
    made = _rows(ballots, chosen, ratings, styled.ratings if styled else None, asked or {})
    order = np.argsort(-ratings.value, kind="stable")
    choice = ballots.choice[chosen.rows]
    return Board(
        rows=[made[place] for place in order],
        met=counts.met()[np.ix_(order, order)].astype(int).tolist(),
        won=counts.won()[np.ix_(order, order)].tolist(),
        votes=len(chosen.rows),
        voters=len(np.unique(voter)),
        left_out=fair.left_out,
        left=Measured.of(mean((choice == 0)[choice < 2], voter[choice < 2])),
        agreement=Measured.of(_agreement(ballots, chosen.rows)),
        effects=dict(zip(FEATURES, map(Measured.of, styled.effect), strict=True)) if styled else {},
        notes=[_APART] if len(set(ratings.group.tolist())) > 1 else [],
    )


def _choose(ballots: Ballots, rows: Ints) -> Chosen:
    judges, both = np.unique(
        np.concatenate([ballots.a[rows], ballots.b[rows]]), return_inverse=True
    )
    names = [ballots.judges[number] for number in judges]
    return Chosen(rows, names, both[: len(rows)], both[len(rows) :], ballots.score[rows])


def _empty(fair: Counted) -> Board:
    none = Measured(value=None, low=None, high=None, n=0)
    return Board(
        rows=[], met=[], won=[], votes=0, voters=0, left_out=fair.left_out, left=none,
        agreement=none, effects={}, notes=["no votes yet"],
    )  # fmt: skip


def _style_out(ballots: Ballots, chosen: Chosen) -> Styled:
    differ = features(ballots, chosen.rows)
    return rate_styled(chosen.a, chosen.b, chosen.score, differ, len(chosen.names))


def _rows(
    ballots: Ballots,
    chosen: Chosen,
    ratings: Ratings,
    styled: Ratings | None,
    asked: Mapping[str, tuple[int, int]],
) -> list[Row]:
    """Return a row per judge, in the order of ``chosen.names``."""
    placed = ranks(ratings)
    replayed = elo(chosen.a, chosen.b, chosen.score, len(chosen.names))
    made = []
    for place, name in enumerate(chosen.names):
        counts = _counts(ballots, chosen.rows, chosen.a == place, chosen.b == place)
        begun, failed = asked.get(name, (counts["votes"], 0))
        made.append(
            Row(
                judge=name,
                best=int(placed.best[place]),
                worst=int(placed.worst[place]),
                rating=float(ratings.value[place]),
                low=float(ratings.low[place]),
                high=float(ratings.high[place]),
                styled=None if styled is None else _points(styled, place, counts["votes"]),
                elo=float(replayed.value[place]),
                elo_half=float(replayed.half[place]),
                begun=begun,
                failed=failed,
                preliminary=counts["votes"] < PRELIMINARY,
                note=_note(ratings.prior, counts["wins"], counts["losses"]),
                **counts,
            )
        )
    return made


def make_history(ballots: Ballots, points: int, filters: Filters, fair: Counted) -> list[Moment]:
    """Return the ratings at ``points`` times."""
    rows = np.flatnonzero(fair.mask & _wanted(ballots, filters))
    if not len(rows):
        return []
    at = ballots.at[rows]  # ascending
    found = []
    for time in np.linspace(at[0], at[-1], max(2, points)).astype(np.int64):
        until = _choose(ballots, rows[: np.searchsorted(at, time, side="right")])
        value = rate(until.tally).value
        ratings = dict(zip(until.names, map(float, value), strict=True))
        found.append(Moment(at=moment(int(time)), votes=len(until.rows), ratings=ratings))
    return found


def features(ballots: Ballots, rows: Ints) -> Floats:
    """Return the style differences of each vote's critiques, shape (votes, features), seat a minus seat b."""
    style = ballots.style[rows].astype(np.float64)
    one, other = style[:, 0], style[:, 1]
    sure = (style[..., 5] - style[..., 4]) / (style[..., 5] + style[..., 4] + 1)
    counted_ = [relative(one[:, place], other[:, place]) for place in range(4)]
    return np.stack([*counted_, (sure[:, 0] - sure[:, 1]) / 2], axis=1)


def _counts(ballots: Ballots, rows: Ints, on_a: Mask, on_b: Mask) -> dict[str, Any]:
    """Return counts for one judge: ``on_a`` and ``on_b`` mark the rows where it had that seat."""
    choice = ballots.choice[rows]
    here = on_a | on_b
    presets = np.concatenate([ballots.preset_a[rows][on_a], ballots.preset_b[rows][on_b]])

    def own(both: Ints) -> Ints:
        return np.concatenate([both[rows][on_a, 0], both[rows][on_b, 1]])

    times, labels = own(ballots.milliseconds), own(ballots.own)
    prompt, tokens = own(ballots.tokens_in), own(ballots.tokens_out)
    return {
        "presets": sorted(filter(None, (ballots.presets[one] for one in np.unique(presets)))),
        "votes": int(here.sum()),
        "wins": int((on_a & (choice == 0)).sum() + (on_b & (choice == 1)).sum()),
        "losses": int((on_a & (choice == 1)).sum() + (on_b & (choice == 0)).sum()),
        "ties": int((here & (choice == 2)).sum()),
        "both_bad": int((here & (choice == 3)).sum()),
        "seconds": float(np.median(times[times > 0])) / 1000 if (times > 0).any() else None,
        "tokens_in": float(prompt.mean()) if (prompt > 0).any() else None,
        "tokens_out": float(tokens.mean()) if (tokens > 0).any() else None,
        "agreement": Measured.of(mean(labels[labels >= 0])),
    }


def _points(ratings: Ratings, place: int, votes: int) -> Measured:
    ends = (float(ratings.low[place]), float(ratings.high[place]))
    return Measured(value=float(ratings.value[place]), low=ends[0], high=ends[1], n=votes)


def _note(prior: bool, wins: int, losses: int) -> str:
    if not prior or (wins and losses):
        return ""
    return f"it never {'lost' if wins else 'won'}: how far it is from the others is a guess"


def _wanted(ballots: Ballots, filters: Filters) -> Mask:
    """Return which votes match the filters."""
    mask = np.ones(len(ballots), bool)
    for name, value, names, column in (
        ("criterion", filters.criterion, ballots.criteria, ballots.criterion),
        ("kind", filters.kind, ballots.kinds, ballots.kind),
    ):
        if value is not None:
            if value not in names:
                # Names of users' own criteria may be private: do not suggest them.
                known = [one for one in names if name == "kind" or one in criterion_names()]
                raise UsageError(f'no votes with {name} "{value}"{nearest(value, known)}')
            mask &= column == names.index(value)
    if filters.group is not None:
        mask &= _group(ballots, filters.group)
    if filters.judges:
        for name in filters.judges:
            if name not in ballots.judges:
                raise UsageError(f'no votes on judge "{name}"{nearest(name, ballots.judges)}')
        numbers = [ballots.judges.index(name) for name in filters.judges]
        mask &= np.isin(ballots.a, numbers) & np.isin(ballots.b, numbers)
    if filters.since is not None:
        mask &= ballots.at >= micros(filters.since)
    if filters.until is not None:
        mask &= ballots.at <= micros(filters.until)
    return mask


def _group(ballots: Ballots, group: str) -> Mask:
    if group not in GROUPS:
        raise UsageError(f"no group of voters {group}; there are {', '.join(GROUPS)}")
    if group == "labelling":
        labelled = np.bincount(ballots.voter, ballots.own[:, 0] >= 0, minlength=len(ballots.voters))
        return (labelled > 0)[ballots.voter]
    often = np.bincount(ballots.voter, minlength=len(ballots.voters)) >= OFTEN
    return often[ballots.voter] == (group == "frequent")


def _agreement(ballots: Ballots, rows: Ints) -> Figure:
    """Return how often votes go to the verdict with the voter's own label, where exactly one of the two has it."""
    own = ballots.own[rows]
    one = (own >= 0).all(axis=1) & (own[:, 0] != own[:, 1])
    got = ballots.score[rows][one]
    return mean(np.where(own[one, 0] == 1, got, 1 - got), ballots.voter[rows][one])
