"""A gate's outcome in words: one sentence per rule, and one for the whole. Plain text only."""

from __future__ import annotations

from collections import Counter
from math import ceil

from mene.gate.decide import Decision
from mene.gate.gate import Gate
from mene.stats.intervals import FEWEST, Figure
from mene.stats.needed import MOST


def figure_words(figure: Figure, percent: bool, signed: bool = False) -> str:
    """Return ``79.5 % [68.5, 87.4]``, or for scores ``3.52 [3.40, 3.63]``."""
    if figure.value is None:
        return "–"
    times, digits, unit = (100, 1, " %") if percent else (1, 2, "")
    if signed and percent:
        unit = " points"

    def number(value: float | None) -> str:
        text = f"{(value or 0.0) * times:{'+' if signed else ''}.{digits}f}"
        return text.replace("-", "−")

    span = "" if figure.low is None else f" [{number(figure.low)}, {number(figure.high)}]"
    return f"{number(figure.value)}{unit}{span}"


def found_words(d: Decision) -> str:
    """Return what was measured."""
    if d.fact and d.percent:
        return f"{d.failed:,} of {d.rows:,} rows without a verdict"
    if d.fact:
        return f"{d.figure.value or 0:,.0f} of {d.rows:,} rows have a verdict"
    text = figure_words(d.figure, d.percent, signed=d.rule.baseline is not None)
    return f"{text}, n = {d.figure.n:,}"


def why(d: Decision) -> str:
    """Return what decides the rule, or would decide it; empty where the figure says enough."""
    parts = []
    if d.outcome == "cannot tell":
        parts.append(_more(d))
    if d.decided is not None:
        parts.append(f"decided after {d.decided:,} rows")
    if not d.fact and d.left_out:
        parts.append(_left_out(d))
    if d.copies:
        parts.append(f"{d.copies:,} rows with a text that stood before count once")
    if not d.must:
        parts.append("need not pass")
    if d.rule.usual:
        parts.append("usual rule")
    return "; ".join(parts)


def _more(d: Decision) -> str:
    figure = d.figure
    if not figure.n:
        return "no row has a label"
    if d.more is not None:
        s = "s" * (d.more != 1)
        return f"about {d.more:,} more row{s} would tell"
    if figure.low is None or figure.high is None:
        return f"too few rows for an interval: {FEWEST} texts that differ are needed"
    if d.rule.baseline is not None:
        least, way = d.rule.least, "drop" if d.rule.least else "rise"
        far = -figure.low if least else figure.high
        size = f"{100 * far:.1f} %" if d.percent else f"{far:.2f}"
        margin = f"{ceil(100 * far)} %" if d.percent else f"{ceil(10 * far) / 10:g}"
        return f"a {way} of up to {size} cannot be ruled out; allow a margin, as in no {way} over {margin} against …"
    return f"the figure is too near to the threshold: even {MOST:,} rows would not tell"


def _left_out(d: Decision) -> str:
    rest = d.left_out
    said = []
    if d.rule.baseline is not None:
        return f"{rest:,} row{'s' * (rest != 1)} left out (in one run only, or without a label)"
    if failed := min(rest, d.failed) if "errors" not in d.rule.counting else 0:
        said.append(f"{failed:,} error{'s' * (failed != 1)}")
    abstained = d.abstained if "abstained" not in d.rule.counting else 0
    if abstained and d.measured != "abstained":
        said.append(f"{abstained:,} left to a person")
    return f"left out: {', '.join(said)}" if said else f"{rest:,} left out"


def sentence(d: Decision) -> str:
    """Return figure and reason on one line, without the outcome."""
    rest = why(d)
    return f"{found_words(d)}{'; ' if rest else ''}{rest}"


def gate_words(gate: Gate) -> str:
    """Return the last line: the gate's outcome and its guarantee."""
    counts = Counter(d.outcome for d in gate.decisions)
    names = (("pass", "passed"), ("fail", "failed"), ("cannot tell", "undecided"))
    rules = ", ".join(f"{counts[key]} {name}" for key, name in names if counts[key])
    if how := counted(gate):
        rules += f", which counts {how}"
    return f"gate: {gate.outcome} ({rules}); {promise(gate)}"


def counted(gate: Gate) -> str:
    """Return as what undecided rules count, where there are some and that was chosen; else an empty text."""
    undecided = any(d.outcome == "cannot tell" and d.must for d in gate.decisions)
    if gate.cannot_tell is None or not undecided:
        return ""
    done = {"pass": "passed", "fail": "failed"}[gate.cannot_tell]
    return f"as {done} (--cannot-tell {gate.cannot_tell})"


def promise(gate: Gate) -> str:
    """Return the confidence of the decisions, in words."""
    whole = f"{100 * gate.confidence:g} %"
    when = ", at every moment of the run" if gate.anytime else ""
    if gate.together:
        return f"all decisions together hold at {whole}{when}"
    return f"each decision holds at {whole}{when}"
