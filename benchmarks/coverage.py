"""How often mene's 95 % intervals hold the truth, as Markdown tables; `docs/intervals.md` has them.

    python benchmarks/coverage.py [--runs 2000]

Shares of rows that stand alone, and of copies (five rows, one text), are counted over all outcomes there can be, so these
cells are exact; the rest is simulated, with a fixed seed. 93 to 97 is as it should be. Where few errors are likely, a
count is so coarse that the next narrower interval would hold the truth too seldom; there it is above 97.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from mene.stats import correlation, intervals
from mene.stats.intervals import FEWEST, Figure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SIZES = (5, 10, 20, 30, 50, 100, 200, 500)
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
TOGETHER = 5  # rows of a cluster
ALIKE = 0.3  # correlation of two rows of a cluster
UNEQUAL = (1, 1, 2, 3, 5, 8, 15)  # rows of clusters, in turn: 5 on average


def exact(n: int, p: float, copies: int = 1) -> float | None:
    """Coverage of the interval of a share of ``n`` rows, ``copies`` of which are always alike; None: no interval."""
    units = n // copies
    if units < FEWEST:
        return None
    groups = np.repeat(np.arange(units), copies)
    held = 0.0
    for right in range(units + 1):
        found = intervals.mean(np.repeat(np.arange(units) < right, copies), groups)
        held += _holds(found, p) * float(stats.binom.pmf(right, units, p))
    return held


def clustered(n: int, p: float, runs: int, seed: int = 0, *, unequal: bool = False) -> float | None:
    """Coverage of the interval of a share where each cluster has its own share (beta distributed, mean ``p``)."""
    if n // TOGETHER < FEWEST:
        return None
    rng = np.random.default_rng(seed)
    return _share_held(lambda: intervals.mean(*_rows(rng, n, p, unequal)), p, runs)


def _rows(
    rng: np.random.Generator, n: int, p: float, unequal: bool = False
) -> tuple[npt.NDArray[np.bool_], Ints]:
    sizes = np.resize(UNEQUAL if unequal else TOGETHER, n // TOGETHER)
    groups = np.repeat(np.arange(n // TOGETHER), sizes)
    size = 1 / ALIKE - 1
    own = rng.beta(p * size, (1 - p) * size, n // TOGETHER)
    return rng.random(len(groups)) < own[groups], groups


def figures(n: int, p: float, runs: int, *, together: bool, seed: int = 0) -> dict[str, float]:
    """Coverage of the other figures of a judge that is right on a share ``p`` of rows, 70 % of which have one label."""
    rng = np.random.default_rng(seed)
    most = 0.7
    said = most * p + (1 - most) * (1 - p)  # share of rows that it gives the common label
    chance = most * said + (1 - most) * (1 - said)
    truths = {
        "balanced accuracy": p,
        "kappa": (p - chance) / (1 - chance),
        "F1": 2 * (1 - most) * p / (2 * (1 - most) * p + 1 - p),
        "above the majority": p - most,
        "another judge": 0.0,
        "both orders": p,
    }
    held, shown = dict.fromkeys(truths, 0), dict.fromkeys(truths, 0)
    for _ in range(runs):
        if together:
            right, groups = _rows(rng, n, p)
            again, _ = _rows(rng, n, p)
        else:
            right, again, groups = rng.random(n) < p, rng.random(n) < p, None
        gold = (rng.random(n) < most).astype(np.int64)
        labels, places = np.unique(gold, return_inverse=True)
        hit = 2.0 * ((gold == 0) & right)
        found = {
            "balanced accuracy": intervals.strata(
                right, places, np.full(len(labels), 1 / len(labels)), groups
            ),
            "kappa": intervals.kappa(gold, np.where(right, gold, 1 - gold), 2, groups),
            "F1": intervals.ratio(hit, hit + ~right, groups),
            "above the majority": intervals.mean(1.0 * right - gold, groups, low=-1),
            "another judge": intervals.mean(1.0 * right - again, groups, low=-1),
            "both orders": intervals.mean((1.0 * right + again) / 2, groups),
        }
        for name, figure in found.items():
            shown[name] += figure.low is not None
            held[name] += _holds(figure, truths[name])
    return {name: held[name] / max(1, shown[name]) for name in truths}


def unbounded(n: int, runs: int, *, together: bool, seed: int = 0) -> dict[str, float | None]:
    """Coverage of correlations (a judge whose score is the gold number and as much noise) and of a log loss."""
    numbers, groups = _normal(n, together, seed)

    def scores() -> tuple[Floats, Floats]:
        gold = numbers()
        return gold + numbers(), gold

    rank = 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2)  # Spearman's rho of normal data (Kruskal 1958)
    drawn: dict[str, tuple[Callable[[], Figure], float]] = {
        "Pearson r": (
            lambda: correlation.coefficient(correlation.pearson(*scores()), groups),
            np.sqrt(0.5),
        ),
        "Spearman ρ": (
            lambda: correlation.coefficient(correlation.spearman(*scores()), groups, ranks=True),
            rank,
        ),
        "log loss": (
            lambda: intervals.unbounded(-stats.norm.logcdf(numbers()), groups),
            1.0,  # each probability of the right label is as likely as any other
        ),
    }
    return {name: _share_held(one, truth, runs) for name, (one, truth) in drawn.items()}


def _normal(n: int, together: bool, seed: int) -> tuple[Callable[[], Floats], Ints | None]:
    """Standard normal numbers, one per row, and the clusters in which they are alike."""
    rng = np.random.default_rng(seed)
    if not together:
        return lambda: rng.normal(size=n), None

    def numbers() -> Floats:
        alone = rng.normal(size=n)
        each = np.repeat(rng.normal(size=n // TOGETHER), TOGETHER)
        return np.sqrt(ALIKE) * each + np.sqrt(1 - ALIKE) * alone

    return numbers, np.repeat(np.arange(n // TOGETHER), TOGETHER)


def others(n: int, runs: int, *, together: bool, seed: int = 0) -> dict[str, float | None]:
    """Coverage of a precision, a Brier score, a quadratic kappa, and the difference of two judges' correlations."""
    numbers, groups = _normal(n, together, seed)

    def precision() -> Figure:  # of the 40 % of rows that are called Yes, 85 % are one
        said, right = (stats.norm.cdf(numbers()) < p for p in (0.4, 0.85))
        return intervals.ratio((said & right).astype(np.float64), said.astype(np.float64), groups)

    def brier() -> Figure:  # each probability of Yes is as likely as any other, and right
        p, yes = stats.norm.cdf(numbers()), stats.norm.cdf(numbers())
        return intervals.mean(2 * np.where(yes < p, 1 - p, p) ** 2, groups, high=2.0)

    def apart() -> Figure:  # two judges whose scores are the gold number and as much noise
        gold = numbers()
        one, two = (correlation.pearson(gold + numbers(), gold) for _ in range(2))
        return correlation.difference(one - two, groups)[0]

    return {
        "precision": _share_held(precision, 0.85, runs),
        "Brier": _share_held(brier, 1 / 3, runs),
        "quadratic kappa": _share_held(
            lambda: _five_labels(numbers(), numbers(), groups), _true_kappa(), runs
        ),
        "two correlations": _share_held(apart, 0.0, runs),
    }


def _five_labels(gold: Floats, noise: Floats, groups: Ints | None = None) -> Figure:
    at = np.array([-1.2, -0.4, 0.4, 1.2])
    given = np.digitize((gold + noise) / np.sqrt(2), at)
    return intervals.kappa(np.digitize(gold, at), given, 5, groups, quadratic=True)


@cache
def _true_kappa() -> float:
    """Of very many rows."""
    value = _five_labels(*np.random.default_rng(0).normal(size=(2, 1_000_000))).value
    assert value is not None
    return value


def _share_held(draw: Callable[[], Figure], truth: float, runs: int) -> float | None:
    found = [figure for figure in (draw() for _ in range(runs)) if figure.low is not None]
    return sum(_holds(figure, truth) for figure in found) / len(found) if found else None


def _holds(figure: Figure, truth: float) -> bool:
    if figure.low is None or figure.high is None:
        return False
    return figure.low - 1e-9 <= truth <= figure.high + 1e-9


def cell(share: float | None) -> str:
    """A percentage, bold where it is too small, and a dash where mene gives no interval."""
    if share is None:
        return "–"
    return f"**{100 * share:.1f}**" if share < 0.93 else f"{100 * share:.1f}"


def _table(head: list[str], rows: list[list[str]]) -> None:
    for row in [head, ["---"] * len(head), *rows]:
        print(f"| {' | '.join(row)} |")
    print()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=2000)
    runs = options.parse_args().runs
    head = ["rows", *(f"{p:g}" for p in SHARES)]
    for title, coverage in (
        ("A share, every row alone (exact)", lambda n, p: exact(n, p)),
        (f"A share, {TOGETHER} copies of every row (exact)", lambda n, p: exact(n, p, TOGETHER)),
        (
            f"A share, clusters of {TOGETHER} rows, correlated {ALIKE:g} ({runs:,} runs)",
            lambda n, p: clustered(n, p, runs),
        ),
        (
            f"A share, clusters of {', '.join(map(str, UNEQUAL))} rows in turn, correlated {ALIKE:g} ({runs:,} runs)",
            lambda n, p: clustered(n, p, runs, unequal=True),
        ),
    ):
        print(f"{title}; columns: the true share\n")
        _table(head, [[str(n), *(cell(coverage(n, p)) for p in SHARES)] for n in SIZES])
    for together in (False, True):
        print(f"Other figures, {'clusters' if together else 'rows alone'} ({runs:,} runs)\n")
        found = {
            (n, p): figures(n, p, runs, together=together)
            for n in ((50, 100, 200) if together else (20, 50, 200))
            for p in (0.6, 0.8, 0.95)
        }
        head = ["rows", "true share", *next(iter(found.values()))]
        _table(head, [[f"{n}", f"{p:g}", *map(cell, c.values())] for (n, p), c in found.items()])
        for more in (unbounded, others):
            rows = [(n, more(n, runs, together=together)) for n in (20, 50, 100, 200)]
            _table(["rows", *rows[0][1]], [[str(n), *map(cell, one.values())] for n, one in rows])


if __name__ == "__main__":
    main()
