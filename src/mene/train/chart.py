"""A chart of values by step, as SVG with a caption. Numbers and names in, safe markup out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, inf, log10
from typing import Any

from markupsafe import Markup, escape

Point = tuple[float, float]  # step and value
WIDE, HIGH, LEFT, RIGHT, TOP, FOOT = 500, 250, 46, 440, 14, 206
FEW = 13  # fewer values are drawn without smoothing, with dots


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


def figure(
    name: str,
    why: str,
    curves: Sequence[Curve],
    end: float,
    mark: float | None = None,
    span: tuple[float, float] | None = None,
    least: float | None = None,
) -> Markup:
    """Return a chart with its caption; empty where no curve has a point.

    Args:
        end: last step of the axis.
        mark: value of a dashed line.
        span: ends of the value axis; default: fitted to the values, including ``least``.
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
    for curve in named:  # labels must not overlap
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
    # `parts` holds only numbers and texts escaped in `_text`.
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
    """Return three to seven round numbers; the first is not above ``low``, the last not below ``high``."""
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
