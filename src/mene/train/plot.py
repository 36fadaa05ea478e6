"""A training run as a page, from its ``log.jsonl``: loss, margin, accuracy, calibration.

One file without scripts or links, in the looks of ``mene report``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from math import floor, inf, isfinite, log10
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from mene.errors import UsageError
from mene.files import write_whole
from mene.stats import intervals

Point = tuple[float, float]
Line = dict[str, Any]
WIDE, HIGH, LEFT, RIGHT, TOP, FOOT = 500, 250, 46, 440, 14, 206
SMOOTH = 0.2  # weight of a new value in the running mean
PARTS = (
    ("sft", "SFT", "second"),
    ("dpo", "DPO", "third"),
    ("bradley_terry", "choice", "fourth"),
)  # of a loss
FEW = 13  # fewer values are drawn as they are, with dots


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes:
        points: step and value.
        look: CSS class: ``main``, ``second``, ``third``, ``fourth`` or ``faint``.
        band: step, lower and upper end of the interval of each point.
    """

    name: str
    points: Sequence[Point]
    look: str = "main"
    band: Sequence[tuple[float, float, float]] = ()


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
    """Lines of training and lines of judging, by step.

    Torn lines, which a run that is killed leaves, are left out. A run that was resumed repeats the
    steps since its checkpoint: the later ones count.

    Raises:
        UsageError: not there, or nothing in it yet.
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
        for known in (steps, judged):
            while known and (known[-1]["step"], known is kind) >= (step, True):
                known.pop()
        kind.append(line)
    if not steps and not judged:
        raise UsageError(f"{path}: nothing in it yet; wait for the first steps")
    return steps, judged


def interval(share: float, rows: int) -> tuple[float, float]:
    """95 % interval of a share of ``rows``; from 0 to 1 where they are too few for one."""
    found = intervals.share(share, rows)
    return (0.0, 1.0) if found.low is None or found.high is None else (found.low, found.high)


def page(steps: Sequence[Line], judged: Sequence[Line], title: str) -> str:
    """The page as HTML; arguments as ``read_log`` gives them."""
    end = max((line.get("steps", line["step"]) for line in [*steps, *judged]), default=1)
    preferring = any(line.get("dpo") for line in steps)  # where beta is 0 there are no rewards
    losses = _mean(steps, "loss")
    margins = _mean(steps, "margin") if preferring else []
    parts = [part for part in PARTS if any(line.get(part[0]) for line in steps)]
    if len(parts) > 1:
        losses += [curve for part in parts for curve in _mean(steps, *part)]
    band = [(x["step"], *interval(x["dev_accuracy"], x.get("dev_rows", 0))) for x in judged]
    accuracy = Curve("accuracy", _of(judged, "dev_accuracy"), band=band)
    before = judged[0]["dev_accuracy"] if judged and judged[0]["step"] == 0 else None
    ece = Curve("ECE", _of(judged, "dev_ece"))
    loss = Curve("log loss", _of(judged, "dev_log_loss"))
    share = _mean(steps, "preferred")
    figures = (
        _figure("Loss", "of the training", losses, end),
        _figure("Margin", "reward of the chosen minus that of the rejected", margins, end, 0),
        _figure("Preferred", "chosen likelier than rejected", share, end, 0.5, (0, 1)),
        _figure("Development accuracy", "95 % interval; dashed: before", [accuracy], end, before),
        _figure("Calibration error", "of the development rows", [ece], end, least=0),
        _figure("Log loss", "of the development rows, nats", [loss], end, least=0),
    )
    css = (resources.files("mene.report") / "page.css").read_text("utf-8") + _CSS
    return _PAGE.format(
        title=escape(title),
        css=Markup(css),
        lead=escape(lead(steps, judged, end)),
        figures=Markup("\n").join(f for f in figures if f),
    )


def lead(steps: Sequence[Line], judged: Sequence[Line], end: int) -> str:
    """How far the run is, and whether it has learned anything that shows."""
    last = max(line["step"] for line in [*steps[-1:], *judged[-1:]])
    said = f"{last:,} of {end:,} steps"
    if steps and isfinite(rate := steps[-1].get("tokens_per_second", inf)):
        said += f", {rate:,.0f} tokens a second"
    if not judged:
        return f"{said}. The development rows have not been judged yet."
    first, now = judged[0], judged[-1]
    rows = now.get("dev_rows", 0)
    low, high = interval(now["dev_accuracy"], rows)
    said += f". {now['dev_accuracy']:.1%} of {rows:,} development rows are judged right"
    said += f" (95 % interval {low:.0%} to {high:.0%})"
    if first["step"] or now is first:
        return f"{said}."
    said += f", {first['dev_accuracy']:.1%} before training"
    chance = low <= first["dev_accuracy"] <= high
    return f"{said}: a difference that chance may have made." if chance else f"{said}."


def _mean(steps: Sequence[Line], key: str, name: str = "", look: str = "main") -> list[Curve]:
    """A value's running mean, and of the main ones faintly the value; few values as they are."""
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


def _figure(
    name: str,
    why: str,
    curves: Sequence[Curve],
    end: float,
    mark: float | None = None,
    span: tuple[float, float] | None = None,
    least: float | None = None,
) -> Markup:
    """A chart with its caption; nothing where no curve has a point.

    Args:
        end: last step of the axis.
        mark: value of a dashed line.
        span: ends of the axis of values; default: what the values need, with ``least`` in it.
    """
    values = [v for c in curves for found in (c.points, c.band) for _, *vs in found for v in vs]
    if not values:
        return Markup("")
    values += [v for v in (mark, least) if v is not None]
    ticks = _ticks(*(span or (min(values), max(values))))
    low, high = ticks[0], ticks[-1]

    def x(step: float) -> float:
        return LEFT + (RIGHT - LEFT) * step / max(end, 1)

    def y(value: float) -> float:
        return FOOT - (FOOT - TOP) * (value - low) / (high - low)

    def across(look: str, value: float) -> str:
        at = f"{y(value):.1f}"
        return f'<line class="{look}" x1="{LEFT}" x2="{RIGHT}" y1="{at}" y2="{at}"/>'

    parts = [across("grid", tick) for tick in ticks]
    parts += [_text(LEFT - 8, y(t) + 4, f"{t:g}".replace("-", "−"), "end") for t in ticks]
    parts += [_text(x(t), FOOT + 18, f"{t:,.0f}") for t in _ticks(0, end) if t <= end]
    parts.append(_text((LEFT + RIGHT) / 2, FOOT + 36, "step", "name"))
    if mark is not None:
        parts.append(across("mark", mark))
    drawn = [curve for curve in curves if curve.points]
    for curve in drawn:
        parts += _draw(curve, x, y)
    named = sorted((c for c in drawn if c.name), key=lambda c: y(c.points[-1][1]))
    lowest = -inf
    for curve in named:  # names must not lie on each other
        step, value = curve.points[-1]
        lowest = max(y(value) + 4, lowest + 14)
        label = f"{curve.name if len(named) > 1 else ''} {value:.2f}".strip().replace("-", "−")
        parts.append(_text(x(step) + 8, lowest, label, f"start {curve.look}"))
    said = f"{name}: " + "; ".join(
        f"{c.name} from {c.points[0][1]:.3f} to {c.points[-1][1]:.3f}" for c in named
    )
    role = f'role="img" aria-label="{escape(said)}"'
    drawing = f'<svg class="chart" viewBox="0 0 {WIDE} {HIGH}" {role}>'
    caption = f"<figcaption><h4>{escape(name)} <small>{escape(why)}</small></h4></figcaption>"
    # Everything in `parts` is made of numbers and of texts escaped in `_text`.
    return Markup(f"<figure>{caption}{drawing}{''.join(parts)}</svg></figure>")


def _draw(curve: Curve, x: Any, y: Any) -> Iterator[str]:
    if curve.band:
        edge = [(s, b) for s, _, b in curve.band] + [(s, a) for s, a, _ in reversed(curve.band)]
        yield f'<path class="band" d="{_path(edge, x, y)}Z"/>'
        for s, a, b in curve.band:
            yield f'<path class="faint" d="{_path([(s, a), (s, b)], x, y)}"/>'
    yield f'<path class="curve {curve.look}" d="{_path(curve.points, x, y)}"/>'
    if len(curve.points) < FEW and curve.look == "main":
        for s, v in curve.points:
            yield f'<circle class="dot" cx="{x(s):.1f}" cy="{y(v):.1f}" r="3.5"/>'


def _ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers; the first is not above ``low``, the last not below ``high``."""
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / 5
    size = 10 ** floor(log10(raw))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= raw * (1 - 1e-9))
    first = floor(low / step + 1e-9)
    found = [first * step]
    while found[-1] < high - step * 1e-6:
        found.append((first + len(found)) * step)
    return [round(t, 10) for t in found]


def _path(points: Sequence[Point], x: Any, y: Any) -> str:
    return "M" + "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in points)


def _text(x: float, y: float, text: str, look: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{look}">{escape(text)}</text>'


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
