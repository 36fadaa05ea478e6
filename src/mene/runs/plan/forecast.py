"""Tokens, hours and money to judge many rows: on this machine, on several, on GPUs, and by API.

* This machine: measured seconds per row, times the rows.
* Several machines: the same, divided by their number and by the efficiency that each keeps.
* A GPU: reading takes 2 N FLOPs per token (N weights; Kaplan et al. 2020, arXiv 2001.08361, section 2.1), at a stated share
  of the peak. For each step of writing, all weights are read once from memory (memory-bound; Pope et al. 2022, arXiv
  2211.05102, section 2), at a stated share of the bandwidth; where computing the step takes longer, that counts. Attention and
  other work per row are not counted, so small models and short prompts may be slower than forecast.
* An API: tokens times prices. Its tokeniser differs, and cached prompts may cost less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mene.runs.plan.measure import Mean, Measured, spread
from mene.runs.plan.prices import API, GPU, Agreement, Assumptions, Prices


@dataclass(frozen=True)
class Way:
    """One way to judge all rows.

    Attributes:
        hours: with the interval of the measurement; None where unknown (an API's limits).
        dollars: None where no price is stated.
        how: what the figures are based on.
    """

    name: str
    hours: Mean | None
    dollars: Mean | None
    how: str


@dataclass(frozen=True)
class Choice:
    """A judge that was measured on all criteria, and its cost.

    Attributes:
        agreement: by criterion.
        enough: whether the lower end of the interval (or the share, without an interval) reaches the wanted agreement on
            every criterion.
        hours: on this machine, scaled by model size: a model with twice the weights takes twice as long. None where the weights
            of the judge that was measured are not known.
    """

    judge: str
    agreement: dict[str, Agreement]
    enough: bool
    hours: float | None


def machines(measured: Measured, rows: int, count: int, prices: Prices) -> Way:
    """Return the forecast for this machine (``count`` = 1), or several like it."""
    speed = count * (prices.assumptions.machines if count > 1 else 1.0)
    hours = measured.seconds.times(rows / 3600 / speed)
    dollars = hours.times(prices.machine.hour * count) if prices.machine.hour else None
    name = "this machine" if count == 1 else f"{count} machines like this"
    kept = f", each at {prices.assumptions.machines:.0%} of its speed" if count > 1 else ""
    return Way(name, hours, dollars, f"measured: {measured.seconds.value:.3g} s a row{kept}")


def on_gpu(
    measured: Measured, rows: int, gpu: GPU, count: int, weights: int, by: Assumptions
) -> Way | None:
    """Return the forecast for GPUs of one kind; None where the weights do not fit into one."""
    if weights * by.bytes > 0.9 * gpu.memory * 1e9:
        return None
    flops = gpu.tflops * 1e12 * by.compute
    reading = 2 * weights * measured.read / flops
    moved = weights * by.bytes / (gpu.bandwidth * 1e9 * by.bandwidth) / by.together
    writing = measured.written.value * max(moved, 2 * weights / flops)
    seconds = reading + writing
    hours = rows * seconds / 3600 / count / (by.machines if count > 1 else 1.0)
    span = spread(hours, measured.seconds.share)
    name = gpu.name if count == 1 else f"{count} x {gpu.name}"
    how = f"reckoned: {seconds * 1e3:.3g} ms a row, ${gpu.hour:.2f} an hour ({gpu.seen})"
    return Way(name, span, span.times(gpu.hour * count), how)


def by_api(measured: Measured, rows: int, name: str, api: API) -> Way:
    """Return the forecast for a model behind an API. A judge that only chooses labels writes one token for each."""

    def dollars(read: float, written: float) -> float:
        return rows * (read * api.read + max(written, measured.labels) * api.written) / 1e6

    read, written = measured.prompt, measured.written
    ends = [(read.low, written.low), (read.high, written.high)]
    low, high = (None if r is None or w is None else dollars(r, w) for r, w in ends)
    spent = Mean(dollars(read.value, written.value), low, high)
    how = f"${api.read:g} and ${api.written:g} for a million tokens read and written ({api.seen})"
    return Way(name, None, spent, how)


def choices(
    measured: Measured,
    rows: int,
    judge: str,
    criteria: Sequence[str],
    wanted: float | None,
    prices: Prices,
) -> list[Choice]:
    """Return the judges that were measured on all criteria: first those that are good enough, the cheapest first."""
    own = prices.judges.get(judge)
    found: list[Choice] = []
    for name, known in prices.judges.items():
        if not known.agreement.keys() >= set(criteria):
            continue
        agreement = {criterion: known.agreement[criterion] for criterion in criteria}
        sure = min(a.value if a.low is None else a.low for a in agreement.values())
        here = measured.seconds.value * rows / 3600
        hours = here * known.weights / own.weights if own else None
        found.append(Choice(name, agreement, wanted is None or sure >= wanted, hours))
    return sorted(found, key=lambda one: (not one.enough, prices.judges[one.judge].weights))
