"""The cells of the leaderboard: figures with intervals and caveats."""

from __future__ import annotations

from typing import Any

from mene.bench.leaderboard.results import Entry, figure_of, row_sets
from mene.bench.sets import BenchSet


def cell(entry: dict[str, Any] | None, one: BenchSet, other_rows: bool = False) -> str:
    """Return ``48.4 [42.1, 55.2]``; correlations as fractions; for a sample, with its size.

    Args:
        other_rows: the judges were asked different rows, so say how many.
    """
    figure = figure_of(entry)
    if entry is None or figure is None:
        return "not run"
    if figure.value is None:
        return "undefined"
    text = figure_cell(entry["figure"], not one.is_accuracy)
    if not entry["complete"]:
        together = ", parts together" if entry.get("thin") else ""  # see `sampled.py`
        text += f" (sample of {entry['rows']:,}{together})"
    elif other_rows:
        text += f" ({entry['rows']:,} rows)"
    if entry["failed"]:
        text += f" ({entry['failed']} failed)"
    return text


def figure_cell(figure: dict[str, Any] | None, correlation: bool = False) -> str:
    """Return ``48.4 [42.1, 55.2]``; correlations as fractions."""
    if not figure or figure["value"] is None:
        return ""
    size, digits = (1, 2) if correlation else (100, 1)
    text = f"{figure['value'] * size:.{digits}f}"
    if figure["low"] is None or figure["high"] is None:
        return text
    return f"{text} [{figure['low'] * size:.{digits}f}, {figure['high'] * size:.{digits}f}]"


def spread_cells(found: dict[str, Any], one: BenchSet) -> list[str]:
    """Return mean, standard deviation and range of a set's figures under all formats; empty where undefined."""
    size, digits = (100, 1) if one.is_accuracy else (1, 2)
    numbers = (found["mean"], found["sd"], found["widest"])
    return ["" if n is None else f"{n * size:.{digits}f}" for n in numbers]


def trivial_cell(entries: list[Entry], one: BenchSet) -> str:
    """Return chance and baselines, for each selection of rows that judges were asked."""
    ran = row_sets(entries, one)
    texts = []
    for said in ran:
        rows = f"; {said['rows']:,} rows" if len(ran) > 1 else ""
        values = [said["chance"], *said["baselines"].values()]
        if one.is_accuracy:
            text = " / ".join(f"{100 * v:.1f}" for v in values)
            texts.append(f"{text} ({' / '.join(['chance', *said['baselines']])}{rows})")
        else:
            texts.append(f"0 / {values[1]:.2f} (chance / length{rows})")
    return ", ".join(texts)


def beside(entry: dict[str, Any]) -> str:
    """Return ``ECE 0.20, orders agree 40 %``; empty where a judge gives no probabilities."""
    ece, consistency = figure_of(entry, "ece"), figure_of(entry, "consistency")
    if ece is None or ece.value is None:
        return ""
    agree = consistency and consistency.value
    return f"ECE {ece.value:.2f}" + ("" if agree is None else f", orders agree {100 * agree:.0f} %")


def mean_text(mean: tuple[float, int, int]) -> str:
    """Return ``mean 0.600 of 2 of 6 sets…``, worded so that it cannot be taken for a published mean."""
    value, have, every = mean
    return f"mean {value:.3f} of the {have} of {every} sets that are whole, by mene's protocols; not a published mean"
