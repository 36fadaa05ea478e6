"""Ratings of the arena: how fast, how right, and the same as LMArena's.

    python benchmarks/arena.py                          a million votes, planted ratings, honest and dishonest voters
    python benchmarks/arena.py --arena-rank PYTHON      the same votes by arena-rank, in an environment of its own
    python benchmarks/arena.py --votes FILE             a published set (LMArena's or Judge Arena's form), by both

An environment with ``arena-rank``: ``python -m venv E && E/bin/pip install arena-rank==0.1.1``; PYTHON is ``E/bin/python``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from mene.arena.ballots import SCORE, Ballots
from mene.arena.exchange import read
from mene.arena.fairness import suspects
from mene.arena.words import CHOICES
from mene.stats.intervals import share_ends
from mene.stats.ratings import CENTRE, SCALE, Ratings, bootstrap, rate, tally
from mene.stats.ratings_elo import elo
from mene.stats.ratings_ranks import ranks
from mene.stats.ratings_style import rate_styled

SIMULATIONS = 200
BOOTSTRAPS = 50  # of them; each fits 100 resamples
PLANTED = ((4, 100, 3000), (8, 1000, 200), (20, 5000, 200))  # judges, votes, simulations
Votes = tuple[np.ndarray, np.ndarray, np.ndarray]

# What runs in the other environment: votes in, ratings and ends of intervals out.
ARENA_RANK = """
import sys, time, numpy as np, pandas as pd
from arena_rank.models.bradley_terry import BradleyTerry
from arena_rank.utils.data_utils import PairDataset
votes = np.load(sys.argv[1])
winner = np.where(votes["score"] == 1, "model_a", np.where(votes["score"] == 0, "model_b", "tie"))
frame = pd.DataFrame({"model_a": votes["a"], "model_b": votes["b"], "winner": winner})
start = time.process_time()
data = PairDataset.from_pandas(frame)
found = BradleyTerry(len(data.competitors)).compute_ratings_and_cis(data)
assert data.competitors == sorted(data.competitors)
np.savez(sys.argv[2], seconds=time.process_time() - start,
         **{name: np.asarray(found[name]) for name in ("ratings", "rating_lower", "rating_upper")})
"""


def main() -> None:
    """Everything that was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--arena-rank", metavar="PYTHON", help="interpreter of an environment with arena-rank"
    )
    parser.add_argument("--votes", metavar="FILE", help="a published set of votes")
    asked = parser.parse_args()
    if asked.votes:
        published(asked.votes, asked.arena_rank)
        return
    votes = drawn(np.random.default_rng(0).normal(0, 0.7, 50), 1_000_000, np.random.default_rng(1))
    speed(votes)
    if asked.arena_rank:
        compare("1,000,000 votes, 50 judges", votes, 50, asked.arena_rank)
        few = drawn(np.random.default_rng(2).normal(0, 1, 8), 1500, np.random.default_rng(3))
        compare("1,500 votes, 8 judges", few, 8, asked.arena_rank)
    recovery()
    tastes()
    habits()


def drawn(truth: np.ndarray, votes: int, rng: np.random.Generator, ties: float = 0.15) -> Votes:
    """Votes of people who judge by these strengths, with some ties."""
    n = len(truth)
    a = rng.integers(0, n, votes)
    b = (a + rng.integers(1, n, votes)) % n
    score = (rng.random(votes) < expit(truth[a] - truth[b])).astype(float)
    return a, b, np.where(rng.random(votes) < ties, 0.5, score)


def speed(votes: Votes) -> None:
    """CPU seconds of each step on a million votes."""
    a, b, score = votes
    print("1,000,000 votes over 50 judges, CPU seconds:")
    clock = time.process_time()

    def lap(what: str) -> None:
        nonlocal clock
        print(f"  {what:<44} {time.process_time() - clock:6.2f}")
        clock = time.process_time()

    counts = tally(a, b, score, 50)
    found = rate(counts)
    ranks(found)
    lap("counted, rated, sandwich, simultaneous ranks")
    bootstrap(counts, 500)
    lap("bootstrap, 500 resamples")
    voter = np.random.default_rng(0).integers(0, 20_000, len(a))
    rate(counts, (voter, a, b, score))
    lap("sandwich over 20,000 voters")
    elo(a, b, score, 50)
    lap("Elo, replayed")
    rate_styled(a, b, score, np.random.default_rng(0).normal(size=(len(a), 5)), 50)
    lap("style control, 5 features")


def compare(name: str, votes: Votes, players: int, python: str) -> None:
    """Largest differences from arena-rank, in points."""
    a, b, score = votes
    found = rate(tally(a, b, score, players))
    with tempfile.TemporaryDirectory() as folder:
        given, got = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(given, a=a, b=b, score=score)
        subprocess.run([python, "-c", ARENA_RANK, str(given), str(got)], check=True)
        theirs = np.load(got)
        apart = [
            float(np.abs(theirs[one] - ours).max())
            for one, ours in (
                ("ratings", found.value),
                ("rating_lower", found.low),
                ("rating_upper", found.high),
            )
        ]
        print(
            f"arena-rank, {name}: largest difference of a rating {apart[0]:.4f} points, of a lower end {apart[1]:.4f}, of an "
            f"upper end {apart[2]:.4f}; it took {float(theirs['seconds']):.2f} CPU seconds"
        )


def recovery() -> None:
    """How often planted ratings lie in their intervals, and planted ranks in their ranges."""
    print("\nPlanted ratings:")
    for judges, votes, simulations in PLANTED:
        rng = np.random.default_rng(judges)
        inside = {"sandwich": 0, "bootstrap": 0}
        placed = 0
        for simulation in range(simulations):
            truth = rng.normal(0, 0.7, judges)
            truth -= truth.mean()
            # Ties pull ratings together: without them the planted ones are the true ones.
            counts = tally(*drawn(truth, votes, rng, ties=0), judges)
            found = rate(counts)
            inside["sandwich"] += _within(found, truth)
            if simulation < BOOTSTRAPS:
                inside["bootstrap"] += _within(bootstrap(counts, 100), truth)
            if simulation < SIMULATIONS:
                rank, range_ = (-truth).argsort().argsort() + 1, ranks(found)
                placed += bool(((range_.best <= rank) & (rank <= range_.worst)).all())
        print(f"  {judges} judges, {votes} votes")
        for name, times in (("sandwich", simulations), ("bootstrap", BOOTSTRAPS)):
            print(f"    in the {name} interval {_share(inside[name], judges * times)}")
        print(f"    all ranks in their ranges {_share(placed, SIMULATIONS)}")


def tastes() -> None:
    """How often the ratings of all people lie in the intervals of a few, who differ in whom they like."""
    print(
        "\nVoters with tastes of their own (a spread of 0.7 in log-odds), 20 votes each, 4 judges:"
    )
    for voters in (10, 20, 40):
        rng, inside, of = np.random.default_rng(voters), 0, 0
        for _ in range(20):
            truth = rng.normal(0, 0.7, 4)
            everyone = rate(tally(*tasted(truth, 20_000, 20, rng)[1:], 4)).value
            for _ in range(50):
                voter, a, b, score = tasted(truth, voters, 20, rng)
                found = rate(tally(a, b, score, 4), (voter, a, b, score))
                inside += int(((found.low <= everyone) & (everyone <= found.high)).sum())
                of += 4
        print(f"  {voters} voters: {_share(inside, of)}")


def tasted(
    truth: np.ndarray, voters: int, each: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Voter, and vote, of people who each have a taste of their own."""
    n, judges = voters * each, len(truth)
    a = rng.integers(0, judges, n)
    b = (a + rng.integers(1, judges, n)) % judges
    voter = np.repeat(np.arange(voters), each)
    liked = truth + rng.normal(0, 0.7, (voters, judges))
    score = (rng.random(n) < expit(liked[voter, a] - liked[voter, b])).astype(float)
    return voter, a, b, score


def _within(found: Ratings, truth: np.ndarray) -> int:
    planted = CENTRE + SCALE * truth
    return int(((found.low <= planted) & (planted <= found.high)).sum())


def _share(hits: int, of: int) -> str:
    low, high = share_ends(hits / of, of)
    return f"{100 * hits / of:.1f} % ({100 * low:.1f} to {100 * high:.1f}) of {of:,}"


def habits() -> None:
    """How often honest voters are named, and planted habits found."""
    print(f"\nHabits, {SIMULATIONS} arenas of 4 judges and 30 voters with 40 votes each:")
    alarms = sum(bool(suspects(arena(seed))) for seed in range(SIMULATIONS))
    print(
        f"  honest voters alone: an alarm in {_share(alarms, SIMULATIONS)} arenas (promised: at most 1 %)"
    )
    for name in ("left", "longer", "for"):
        for share in (1.0, 0.8):
            hits = wrong = 0
            for seed in range(SIMULATIONS // 4):
                named = {one.voter for one in suspects(arena(seed, name, share))}
                hits += "v0" in named
                wrong += bool(named - {"v0"})
            trials = SIMULATIONS // 4
            print(
                f"  one voter {name} in {100 * share:.0f} % of the votes: found in {_share(hits, trials)}, "
                f"another named in {wrong}"
            )


def arena(seed: int, habit: str = "", share: float = 1.0) -> Ballots:
    """30 voters who judge by strength; the first may have a habit."""
    rng = np.random.default_rng(seed)
    truth, voters, each = np.array([0.8, 0.2, -0.2, -0.8]), 30, 40
    n = voters * each
    a = rng.integers(0, 4, n)
    b = (a + rng.integers(1, 4, n)) % 4
    lengths = rng.integers(50, 500, (n, 2))
    longer = np.sign(lengths[:, 0] - lengths[:, 1])
    choice = (rng.random(n) > expit(truth[a] - truth[b] + 0.5 * longer)).astype(int)
    choice = np.where(rng.random(n) < 0.15, 2, choice)
    for row in range(each):
        if habit and rng.random() < share:
            here = 0 if a[row] == 3 else 1 if b[row] == 3 else choice[row]
            choice[row] = {"left": 0, "longer": int(longer[row] < 0), "for": here}[habit]
    style = np.zeros((n, 2, 6), np.int64)
    style[:, :, 0] = lengths
    zeros, pairs = np.zeros(n, np.int64), np.zeros((n, 2), np.int64)
    names: dict[str, Any] = {
        "presets": [""],
        "criteria": ["c"],
        "kinds": ["nominal"],
        "battles": [str(i) for i in range(n)],
    }
    columns = dict.fromkeys(("preset_a", "preset_b", "criterion", "kind", "leaks"), zeros)
    return Ballots(
        judges=[f"judge {i}" for i in range(4)], samples=[str(i) for i in range(n)], voters=[f"v{i}" for i in range(voters)],
        a=a, b=b, sample=np.arange(n), choice=choice, voter=np.repeat(np.arange(voters), each), at=np.arange(n), own=pairs - 1,
        style=style, milliseconds=pairs, tokens_in=pairs, tokens_out=pairs, **names, **columns,
    )  # fmt: skip


def published(file: str, python: str | None) -> None:
    """Ratings of a published set."""
    found = [one for one in read(file) if not isinstance(one, str)]
    names = sorted({seat.judge for battle, _ in found for seat in (battle.a, battle.b)})
    number = {name: place for place, name in enumerate(names)}
    kept = [(battle, vote) for battle, vote in found if vote is not None]
    a = np.array([number[battle.a.judge] for battle, _ in kept])
    b = np.array([number[battle.b.judge] for battle, _ in kept])
    score = SCORE[[CHOICES.index(vote.choice) for _, vote in kept]]
    voters = {vote.voter: place for place, (_, vote) in enumerate(kept)}
    rated = rate(tally(a, b, score, len(names)))
    placed, replayed = ranks(rated), elo(a, b, score, len(names))
    print(f"{file}: {len(kept):,} votes of {len(voters):,} voters")
    for place in np.argsort(-rated.value):
        print(
            f"  {placed.best[place]}-{placed.worst[place]}  {names[place]:<28} {rated.value[place]:7.1f} "
            f"({rated.low[place]:.1f} to {rated.high[place]:.1f})  {rated.votes[place]:5} votes  Elo {replayed.value[place]:.0f}"
        )
    if python:
        compare("this file", (a, b, score), len(names), python)


if __name__ == "__main__":
    sys.exit(main())
