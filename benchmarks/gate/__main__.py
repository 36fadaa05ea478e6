"""Does a gate find a real regression, and how often does it see one in noise? `docs/gate.md` has the output.

    python benchmarks/gate [--seeds 100]

On kept verdicts of `nano` on faithfulness, so it takes seconds: real rows that people found faithful (`good.jsonl`), and twins
of some of them with another row's response (`swapped.jsonl`) or with one fact changed (`broken.jsonl`); `make.py` says how they
were made.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mene.gate.gate import Gate, judge_rules
from mene.gate.rules import parse_rule
from mene.gate.sections import Said, Section, read_sections
from mene.gate.words import found_words, why
from mene.stats import intervals
from mene.stats.intervals import share
from mene.stats.needed import side_of
from mene.stats.sequential import first_decided

HERE = Path(__file__).parent
ROWS, PLANTED = 200, 0.2  # of a run; the share of them that is broken
LOOKS = 1000  # rows of a run that is looked at after each
MANY = 30  # times as many runs where they are quick


class Kept:
    """The kept verdicts: ``good`` and ``broken`` are rows with a twin, in the same order; ``all_good`` has the others too."""

    def __init__(self, twins: str) -> None:
        self.all_good = read_sections(HERE / "good.jsonl")[0]
        bad = {row.id: row for row in read_sections(HERE / twins)[0].rows}
        self.good = [row for row in self.all_good.rows if row.id in bad]
        self.broken = [bad[row.id] for row in self.good]


def run_of(rows: list[Said]) -> list[Section]:
    return [Section("faithfulness", "nano", rows=rows)]


def judged(run: list[Section], rule: str, baseline: list[Section] | None = None) -> Gate:
    return judge_rules(
        run, [parse_rule(f"faithfulness: {rule}")], baselines={"old": baseline or []}
    )


def planted(kept: Kept, rule: str, seed: int) -> Gate:
    """A fifth of the rows of a run are broken; the baseline has the same rows as they were."""
    rng = np.random.default_rng(seed)
    spoilt = rng.permutation(len(kept.good))[: round(PLANTED * ROWS)].tolist()
    names = {kept.good[i].id for i in spoilt}
    rest = [row for row in kept.all_good.rows if row.id not in names]
    others = [rest[i] for i in rng.permutation(len(rest))[: ROWS - len(spoilt)].tolist()]
    assert (len(spoilt), len(others)) == (PLANTED * ROWS, ROWS - PLANTED * ROWS)
    run = [*others, *(kept.broken[i] for i in spoilt)]
    return judged(run_of(run), rule, run_of([*others, *(kept.good[i] for i in spoilt)]))


def swapped(kept: Kept, rule: str, seed: int) -> Gate:
    """Two runs of one distribution: which of a row's two responses either has, a coin says."""
    coins = np.random.default_rng(seed).random(len(kept.good)) < 0.5
    pairs = [
        (a, b) if coin else (b, a) for a, b, coin in zip(kept.good, kept.broken, coins, strict=True)
    ]
    return judged(run_of([b for _, b in pairs]), rule, run_of([a for a, _ in pairs]))


def coin(kept: Kept, seed: int) -> str:
    """``swapped`` by its interval alone, which is quick enough for thousands of runs."""
    changes = np.array(
        [
            (x.label == "Yes") - (y.label == "Yes")
            for x, y in zip(kept.good, kept.broken, strict=True)
        ]
    )
    signs = np.where(np.random.default_rng(seed).random(len(changes)) < 0.5, 1, -1)
    side = side_of(intervals.mean(signs * changes, low=-1, high=1), 0.0)
    return {"above": "pass", "below": "fail", None: "cannot tell"}[side]


def halves(kept: Kept, rule: str, seed: int) -> Gate:
    """Two random halves of one run, whose rows are held against each other."""
    order = np.random.default_rng(seed).permutation(len(kept.all_good.rows)).tolist()
    rows = [kept.all_good.rows[i] for i in order]
    half = len(rows) // 2
    named = [
        [row._replace(id=str(n)) for n, row in enumerate(part)]
        for part in (rows[:half], rows[half : 2 * half])
    ]
    return judged(run_of(named[0]), rule, run_of(named[1]))


def drawn(kept: Kept, rule: str, seed: int) -> Gate:
    """New rows from the distribution of the good ones, held against its own share: every decision is a coin's."""
    rows = kept.all_good.rows
    at = np.random.default_rng(seed).integers(0, len(rows), ROWS).tolist()
    run = [rows[i]._replace(content=str(n)) for n, i in enumerate(at)]
    return judged(run_of(run), rule)


def watched(kept: Kept, seed: int) -> str:
    """The same, looked at after every row."""
    rows = np.array([row.label == "Yes" for row in kept.all_good.rows], float)
    found = first_decided(np.random.default_rng(seed).choice(rows, LOOKS), float(rows.mean()))
    return "cannot tell" if found is None else {"above": "pass", "below": "fail"}[found[0]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    seeds = range(parser.parse_args().seeds)
    swaps, facts = Kept("swapped.jsonl"), Kept("broken.jsonl")
    average = swaps.all_good.shares["Yes"] / len(swaps.all_good.rows)
    print(f"share(Yes): {average:.3f} of {len(swaps.all_good.rows)} good rows", end="")
    for kept, what in ((swaps, "with another row's response"), (facts, "with a fact changed")):
        right = sum(row.label == "Yes" for row in kept.broken) / len(kept.broken)
        print(f", {right:.3f} of {len(kept.broken)} {what}", end="")
    print("\n\nOne run, a fifth of its rows with another row's response:")
    no_drop, margin = "no drop against old", "no drop over 0.02 against old"
    for rule in (no_drop, margin):
        d = planted(swaps, rule, 0).decisions[0]
        print(f"  {d.outcome:<11} {rule}: {found_words(d)}{'; ' * bool(why(d))}{why(d)}")
    print(
        f"\n| {len(seeds)} runs each | fail | pass | cannot tell | wrong, 95 % interval | promised |"
    )
    print("|---|---|---|---|---|---|")
    own = f"share(Yes) >= {average}"
    found = ["regression, swapped responses", "regression, changed facts"]
    _row(f"{found[0]}: no drop", of(planted, swaps, no_drop), seeds, False)
    _row(f"{found[0]}: no drop over 0.02", of(planted, swaps, margin), seeds, False)
    _row(f"{found[1]}: no drop", of(planted, facts, no_drop), seeds, False)
    _row("noise, a coin for each row: no drop", of(swapped, swaps, no_drop), seeds, True)
    many = range(MANY * len(seeds))
    _row(f"the same, {len(many):,} runs", lambda seed: coin(swaps, seed), many, True)
    _row("noise, two random halves: no drop", of(halves, swaps, no_drop), seeds, True)
    _row("noise, new rows: share(Yes) >= its true value", of(drawn, swaps, own), seeds, True)
    looks = f"the same, looked at after each of {LOOKS:,} rows"
    _row(looks, lambda seed: watched(swaps, seed), seeds, True)


def _row(name: str, once: Callable[[int], str], seeds: range, noise: bool) -> None:
    found = Counter(once(seed) for seed in seeds)
    print(f"| {' | '.join((name, *_cells(found, noise)))} |", flush=True)


def of(test: Callable[[Kept, str, int], Gate], kept: Kept, rule: str) -> Callable[[int], str]:
    return lambda seed: test(kept, rule, seed).decisions[0].outcome


def _cells(found: Counter[str], noise: bool) -> Iterator[str]:
    runs = found.total()
    for outcome in ("fail", "pass", "cannot tell"):
        yield str(found[outcome])
    # Nothing has changed in noise, so that whatever is decided is wrong (or right by chance).
    wrong = share((found["fail"] + found["pass"] if noise else found["pass"]) / runs, runs)
    yield f"{100 * (wrong.value or 0):.1f} % [{100 * (wrong.low or 0):.1f}, {100 * (wrong.high or 0):.1f}]"
    yield "at most 5 %"


if __name__ == "__main__":
    main()
