"""From votes to the rows of a leaderboard: filter, rate, rank, count."""

from __future__ import annotations

from collections.abc import Mapping
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
from mene.errors import UsageError, nearest
from mene.stats.columns import Floats, Ints
from mene.stats.intervals import Figure, mean
from mene.stats.ratings import Ratings, bootstrap, rate, tally
from mene.stats.ratings_elo import elo
from mene.stats.ratings_ranks import ranks
from mene.stats.ratings_style import rate_styled, relative


def make_board(
    ballots: Ballots,
    filters: Filters,
    fair: Counted,
    asked: Mapping[str, tuple[int, int]] | None = None,
) -> Board:
    """Count, rate and rank.

    Args:
        fair: which votes count (``fairness.counted``).
        asked: of each judge, how often it was asked, and how often it failed (``Store.asked``).

    Raises:
        UsageError: a filter that there is not.
    """
    if filters.intervals not in ("sandwich", "bootstrap"):
        raise UsageError(f"intervals {filters.intervals}: sandwich or bootstrap")
    rows = np.flatnonzero(fair.mask & _wanted(ballots, filters))
    judges, both = np.unique(
        np.concatenate([ballots.a[rows], ballots.b[rows]]), return_inverse=True
    )
    a, b = both[: len(rows)], both[len(rows) :]
    score, voter = ballots.score[rows], ballots.voter[rows]
    _, voter = np.unique(voter, return_inverse=True)
    names = [ballots.judges[number] for number in judges]
    effects: dict[str, Measured] = {}
    styled: Ratings | None = None
    notes: list[str] = []
    if not names:
        empty = Measured(value=None, low=None, high=None, n=0)
        return Board(
            rows=[], met=[], won=[], votes=0, voters=0, left_out=fair.left_out, left=empty,
            agreement=empty, effects={}, notes=["no votes yet"],
        )  # fmt: skip
    counts = tally(a, b, score, len(names))
    if filters.intervals == "bootstrap":
        ratings = bootstrap(counts)
    else:
        ratings = rate(counts, (voter, a, b, score))
    placed = ranks(ratings)
    replayed = elo(a, b, score, len(names))
    if filters.style:
        styling = rate_styled(a, b, score, features(ballots, rows), len(names))
        styled = styling.ratings
        effects = dict(zip(FEATURES, map(Measured.of, styling.effect), strict=True))
    if len(set(ratings.group.tolist())) > 1:
        notes.append(
            "some judges never met, not even through others: their ratings cannot be compared"
        )
    choice = ballots.choice[rows]
    order = np.argsort(-ratings.value, kind="stable")
    made = []
    for place in order:
        on_a, on_b = a == place, b == place
        counts_ = _counts(ballots, rows, on_a, on_b)
        begun, failed = (asked or {}).get(names[place], (counts_["votes"], 0))
        made.append(
            Row(
                judge=names[place],
                best=int(placed.best[place]),
                worst=int(placed.worst[place]),
                rating=float(ratings.value[place]),
                low=float(ratings.low[place]),
                high=float(ratings.high[place]),
                styled=None if styled is None else _points(styled, place, counts_["votes"]),
                elo=float(replayed.value[place]),
                elo_half=float(replayed.half[place]),
                begun=begun,
                failed=failed,
                preliminary=counts_["votes"] < PRELIMINARY,
                note=_note(ratings.prior, counts_["wins"], counts_["losses"]),
                **counts_,
            )
        )
    return Board(
        rows=made,
        met=counts.met()[np.ix_(order, order)].astype(int).tolist(),
        won=counts.won()[np.ix_(order, order)].tolist(),
        votes=len(rows),
        voters=len(np.unique(voter)),
        left_out=fair.left_out,
        left=Measured.of(mean((choice == 0)[choice < 2], voter[choice < 2])),
        agreement=Measured.of(_agreement(ballots, rows)),
        effects=effects,
        notes=notes,
    )


def make_history(
    ballots: Ballots,
    points: int,
    filters: Filters,
    fair: Counted,
) -> list[Moment]:
    """The ratings at ``points`` times."""
    mask = fair.mask & _wanted(ballots, filters)
    rows = np.flatnonzero(mask)
    if not len(rows):
        return []
    at = ballots.at[rows]  # in order
    found = []
    for time in np.linspace(at[0], at[-1], max(2, points)).astype(np.int64):
        until = rows[: np.searchsorted(at, time, side="right")]
        judges, both = np.unique(
            np.concatenate([ballots.a[until], ballots.b[until]]), return_inverse=True
        )
        counts = tally(both[: len(until)], both[len(until) :], ballots.score[until], len(judges))
        value = rate(counts).value
        names = [ballots.judges[number] for number in judges]
        ratings = dict(zip(names, map(float, value), strict=True))
        found.append(Moment(at=moment(int(time)), votes=len(until), ratings=ratings))
    return found


def features(ballots: Ballots, rows: Ints) -> Floats:
    """How differently the two critiques of each vote are written, shape (votes, features), seat a less seat b."""
    style = ballots.style[rows].astype(np.float64)
    one, other = style[:, 0], style[:, 1]
    sure = (style[..., 5] - style[..., 4]) / (style[..., 5] + style[..., 4] + 1)
    counted_ = [relative(one[:, place], other[:, place]) for place in range(4)]
    return np.stack([*counted_, (sure[:, 0] - sure[:, 1]) / 2], axis=1)


def _counts(ballots: Ballots, rows: Ints, on_a: Mask, on_b: Mask) -> dict[str, Any]:
    """What is counted of one judge: ``on_a`` and ``on_b`` say in which of the rows it sat where."""
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
    """The votes that the filters ask for."""
    mask = np.ones(len(ballots), bool)
    for name, value, names, column in (
        ("criterion", filters.criterion, ballots.criteria, ballots.criterion),
        ("kind", filters.kind, ballots.kinds, ballots.kind),
    ):
        if value is not None:
            if value not in names:
                raise UsageError(f'no votes with {name} "{value}"{nearest(value, names)}')
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
    """Whether votes go to the verdict with the voter's own label, where just one of the two has it."""
    own = ballots.own[rows]
    one = (own >= 0).all(axis=1) & (own[:, 0] != own[:, 1])
    got = ballots.score[rows][one]
    return mean(np.where(own[one, 0] == 1, got, 1 - got), ballots.voter[rows][one])
