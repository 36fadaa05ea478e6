"""A plan as JSON and as a table."""

from __future__ import annotations

from dataclasses import asdict
from math import inf
from typing import TYPE_CHECKING, Any

from mene.train.plan.forecast import UTILISATION, Plan

if TYPE_CHECKING:
    from rich.table import Table


def to_dict(plan: Plan) -> dict[str, Any]:
    """For ``--json``; with ``memory.total`` and the utilisation that hours are reckoned with."""
    hard = plan.hardware
    return {
        **asdict(plan),
        "hardware": {**asdict(hard), "memory": None if hard.memory == inf else hard.memory},
        "memory": {**asdict(plan.memory), "total": plan.memory.total},
        "utilisation": UTILISATION,
    }


def plan_table(plan: Plan) -> Table:
    """What a person reads: name, figure, remark."""
    from rich.table import Table

    hard, tokens, m = plan.hardware, plan.tokens, plan.memory
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()

    def section(name: str, *rows: tuple[str, str, str]) -> None:
        table.add_row(name)
        for row in rows:
            table.add_row(f"  {row[0]}", *row[1:], style="not bold")

    part = "all" if plan.trained == plan.parameters else f"{plan.trained / plan.parameters:.1%}"
    spread = ", sharded" if plan.sharded else ", each with all weights" if hard.gpus > 1 else ""
    section(
        plan.base or "a base",
        ("weights", f"{plan.parameters / 1e6:,.0f} M", f"{part} of them trained"),
        ("on", f"{hard.gpus} x", hard.name + spread),
    )
    rows = [(k, f"{v / 1e9:.1f} GB", "") for k, v in asdict(m).items() if v >= 5e7]
    verdict = "fits" if plan.fits else "DOES NOT FIT"
    rows.append(("total", f"{m.total / 1e9:.1f} GB", f"of {hard.memory / 1e9:.0f} GB: {verdict}"))
    section("memory of each", *rows)
    for remedy in plan.remedies:
        table.add_row("  fits with", "", remedy, style="not bold")
    times = tokens.plain / max(1, tokens.tree)
    section(
        f"one epoch ({tokens.how})",
        ("pairs", f"{tokens.pairs:,}", f"in {tokens.packs:,} packs, {plan.steps:,} steps in all"),
        ("tokens", f"{tokens.tree:,}", "nodes of prefix trees"),
        ("", f"{tokens.plain:,}", f"as chosen + rejected sequences: {times:.1f} times as many"),
    )
    hours = plan.hours
    rows = [
        (k, f"{v:.2e} FLOP", _time(hours[k]) if hours else "") for k, v in plan.flops.items() if v
    ]
    speed = (
        f"at {UTILISATION:.0%} of {hard.tflops} TFLOPS" if hard.tflops else "unknown: measure it"
    )
    if hard.tflops and plan.parameters < 1e9:
        speed += ", which a small model does not reach: measure it"
    if hard.tokens_per_second:
        speed = f"as measured: {hard.tokens_per_second:,.0f} tokens/s"
    rows.append(("in all", _time(sum(hours.values())) if hours else "", speed))
    section("time", *rows)
    return table


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.0f} min" if hours >= 1 / 60 else f"{hours * 3600:.0f} s"
