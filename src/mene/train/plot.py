"""A training run as an HTML page, from its ``log.jsonl``: loss, margin, accuracy, calibration.

One file without scripts or links, in the style of ``mene report``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib import resources
from math import inf, isfinite
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from mene.errors import UsageError
from mene.files import write_whole
from mene.stats.intervals import share_ends
from mene.train.chart import FEW, Curve, Point, figure

Line = dict[str, Any]
SMOOTH = 0.2  # weight of a new value in the running mean
PARTS = (
    ("sft", "SFT", "second"),
    ("dpo", "DPO", "third"),
    ("bradley_terry", "choice", "fourth"),
)  # of a loss


def plot(run: Path) -> Path:
    """Draw a run, finished or not.

    Args:
        run: folder with ``log.jsonl``.

    Returns:
        ``run/run.html``, replaced whole.

    Raises:
        UsageError: no log, an empty or damaged one, or the folder cannot be written to.
    """
    steps, judged = read_log(run / "log.jsonl")
    target = run / "run.html"
    try:
        write_whole(target, page(steps, judged, run.resolve().name))
    except OSError as error:
        raise UsageError(f"{target}: cannot write: {error.strerror}; check its rights") from None
    return target


def read_log(path: Path) -> tuple[list[Line], list[Line]]:
    """Return the log's training lines and evaluation lines, by step.

    Incomplete lines of a killed run are left out. A resumed run repeats the steps since its checkpoint; the later lines count.

    Raises:
        UsageError: the log does not exist, or is still empty.
    """
    try:
        rows = path.read_text("utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"{path}: no log ({error.strerror}); give the folder of a run") from None
    steps: list[Line] = []
    judged: list[Line] = []
    for row in rows:
        try:
            line = json.loads(row)
            step, kind = line["step"], judged if "dev_accuracy" in line else steps
        except (ValueError, KeyError, TypeError):
            continue
        if type(step) is not int:
            continue
        for known in (steps, judged):
            while known and (known[-1]["step"], known is kind) >= (step, True):
                known.pop()
        kind.append(line)
    if not steps and not judged:
        raise UsageError(f"{path}: nothing in it yet; wait for the first steps")
    return steps, judged


def page(steps: Sequence[Line], judged: Sequence[Line], title: str) -> str:
    """Return the page as HTML; arguments as from ``read_log``."""
    end = max((line.get("steps", line["step"]) for line in [*steps, *judged]), default=1)
    preferring = any(line.get("dpo") for line in steps)  # with beta 0 there are no rewards
    losses = _mean(steps, "loss")
    margins = _mean(steps, "margin") if preferring else []
    parts = [part for part in PARTS if any(line.get(part[0]) for line in steps)]
    if len(parts) > 1:
        losses += [curve for part in parts for curve in _mean(steps, *part)]
    band = [(x["step"], *share_ends(x["dev_accuracy"], x.get("dev_rows", 0))) for x in judged]
    accuracy = Curve("accuracy", _of(judged, "dev_accuracy"), band=band)
    before = judged[0]["dev_accuracy"] if judged and judged[0]["step"] == 0 else None
    ece = Curve("ECE", _of(judged, "dev_ece"))
    loss = Curve("log loss", _of(judged, "dev_log_loss"))
    share = _mean(steps, "preferred")
    figures = (
        figure("Loss", "of the training", losses, end),
        figure("Margin", "reward of the chosen minus that of the rejected", margins, end, 0),
        figure("Preferred", "chosen likelier than rejected", share, end, 0.5, (0, 1)),
        figure("Development accuracy", "95 % interval; dashed: before", [accuracy], end, before),
        figure("Calibration error", "of the development rows", [ece], end, least=0),
        figure("Log loss", "of the development rows, nats", [loss], end, least=0),
    )
    css = (resources.files("mene.report") / "page.css").read_text("utf-8") + _CSS
    return _PAGE.format(
        title=escape(title),
        css=Markup(css),
        lead=escape(lead(steps, judged, end)),
        figures=Markup("\n").join(f for f in figures if f),
    )


def lead(steps: Sequence[Line], judged: Sequence[Line], end: int) -> str:
    """Return how far the run is, and whether there is a visible effect."""
    last = max(line["step"] for line in [*steps[-1:], *judged[-1:]])
    said = f"{last:,} of {end:,} steps"
    if steps and isfinite(rate := steps[-1].get("tokens_per_second", inf)):
        said += f", {rate:,.0f} tokens a second"
    if not judged:
        return f"{said}. The development rows have not been judged yet."
    first, now = judged[0], judged[-1]
    rows = now.get("dev_rows", 0)
    low, high = share_ends(now["dev_accuracy"], rows)
    said += f". {now['dev_accuracy']:.1%} of {rows:,} development rows are judged right"
    said += f" (95 % interval {low:.0%} to {high:.0%})"
    if first["step"] or now is first:
        return f"{said}."
    said += f", {first['dev_accuracy']:.1%} before training"
    chance = low <= first["dev_accuracy"] <= high
    return f"{said}: a difference that chance may have made." if chance else f"{said}."


def _mean(steps: Sequence[Line], key: str, name: str = "", look: str = "main") -> list[Curve]:
    """Return a value's running mean, for main values with the raw value in a faint colour; few values without smoothing."""
    points = _of(steps, key)
    if len(points) < FEW:
        return [Curve(name or key, points, look)]
    faint = [Curve("", points, "faint")] if look == "main" else []
    return [*faint, Curve(name or key, _running(points), look)]


def _of(lines: Iterable[Line], key: str) -> list[Point]:
    found = ((line["step"], line.get(key)) for line in lines)
    return [(step, value) for step, value in found if value is not None and isfinite(value)]


def _running(points: Sequence[Point]) -> list[Point]:
    """Running mean, each new value with the weight ``SMOOTH``, the first values by plain mean."""
    found: list[Point] = []
    mean = 0.0
    for count, (step, value) in enumerate(points, start=1):
        mean += max(SMOOTH, 1 / count) * (value - mean)
        found.append((step, mean))
    return found


_CSS = """
.curves { display: grid; gap: 36px 40px; margin-top: 32px; }
.curves { grid-template-columns: repeat(auto-fill, minmax(min(400px, 100%), 1fr)); }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
path.main { stroke: var(--accent); } path.second { stroke: var(--wrong); }
path.third { stroke: var(--soft); } path.fourth { stroke: var(--ink); stroke-dasharray: 5 4; }
.faint { stroke: var(--accent); stroke-width: 1; opacity: 0.4; }
.band { fill: var(--accent); opacity: 0.16; }
svg text.main { fill: var(--accent); } svg text.second { fill: var(--wrong); }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<header class="page"><h1>{title}</h1><p class="lead">{lead}</p></header>
<div class="curves">
{figures}
</div>
</body>
</html>
"""
