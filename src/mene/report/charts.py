"""Small inline SVG charts, drawn with the page's CSS colours. Numbers in, safe markup out.

Every important number is also given as text; the drawings have a description for screen readers. No scripts, fonts or
links.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from markupsafe import Markup, escape

from mene.report.summary import Box
from mene.stats.agreement import Bin
from mene.stats.intervals import Figure


def interval(figure: Figure, low: float, high: float, mark: float | None = None) -> Markup:
    """Draw a dot with its interval on a line from ``low`` to ``high``; ``mark`` is the chance level."""
    if figure.value is None:
        return Markup("")

    def x(value: float) -> float:
        return 4 + 172 * (min(max(value, low), high) - low) / (high - low)

    parts = ['<line class="axis" x1="4" x2="176" y1="9" y2="9"/>']
    if mark is not None:
        parts.append(f'<line class="mark" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="2" y2="16"/>')
    if figure.low is not None and figure.high is not None:
        ends = x(figure.low), x(figure.high)
        parts.append(f'<line class="span" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="9" y2="9"/>')
    parts.append(f'<circle class="dot" cx="{x(figure.value):.1f}" cy="9" r="4"/>')
    return _svg(180, 18, "whisker", "", parts)


def strip(values: Sequence[float], low: float, high: float, said: str) -> Markup:
    """Draw dots on a line from ``low`` to ``high``, with a bar from the smallest to the largest."""
    if not values:
        return Markup("")
    places = [4 + 172 * (min(max(v, low), high) - low) / (high - low) for v in values]
    parts = ['<line class="axis" x1="4" x2="176" y1="9" y2="9"/>']
    parts.append(
        f'<line class="span" x1="{min(places):.1f}" x2="{max(places):.1f}" y1="9" y2="9"/>'
    )
    parts += [
        f'<circle class="dot" cx="{x:.1f}" cy="9" r="3" fill-opacity="0.55"/>' for x in places
    ]
    return _svg(180, 18, "whisker", said, parts)


def histogram(boxes: Sequence[Box]) -> Markup:
    """Draw a histogram of confidence; with gold labels, right verdicts below and wrong ones above."""
    if not boxes:
        return Markup("")
    wide, high, top, left = 440, 210, 20, 14
    first = boxes[0].low
    most = max(b.right + b.wrong + b.open for b in boxes) or 1

    def x(value: float) -> float:
        return left + (wide - 2 * left) * (value - first) / (1 - first)

    foot = high - 34
    parts = []
    scored = any(b.right + b.wrong for b in boxes)
    for box in boxes:
        y = float(foot)
        rest = "open" if scored else "right"  # one colour without gold labels
        for name, count in (("right", box.right), ("wrong", box.wrong), (rest, box.open)):
            size = (foot - top) * count / most
            if count:
                y -= size
                parts.append(
                    f'<rect class="{name}" x="{x(box.low) + 1:.1f}" y="{y:.1f}" '
                    f'width="{x(box.high) - x(box.low) - 2:.1f}" height="{size:.1f}"/>'
                )
        total = box.right + box.wrong + box.open
        if total:
            middle = (x(box.low) + x(box.high)) / 2
            small = ' class="tiny"' if len(boxes) > 14 or total > 9999 else ""
            parts.append(_text(middle, y - 5, _count(total), small))
    parts.append(f'<line class="axis" x1="{left}" x2="{wide - left}" y1="{foot}" y2="{foot}"/>')
    marks = [t / 10 for t in range(0, 11, 2 if first < 0.45 else 1) if t / 10 >= first - 1e-9]
    parts += [_text(x(t), foot + 16, f"{t:g}") for t in marks]
    parts.append(_text(wide / 2, foot + 31, "confidence", ' class="name"'))
    said = f"Histogram of confidence, {sum(b.right + b.wrong + b.open for b in boxes)} verdicts"
    return _svg(wide, high, "chart", said, parts)


def reliability(bins: Sequence[Bin]) -> Markup:
    """Draw the share of right verdicts against confidence; a calibrated judge is on the diagonal."""
    full = [b for b in bins if b.count]
    if not full:
        return Markup("")
    wide, high, left, top, right, foot = 440, 340, 44, 28, 426, 276

    def x(value: float) -> float:
        return left + (right - left) * value

    def y(value: float) -> float:
        return foot - (foot - top) * value

    parts = []
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        parts.append(
            f'<line class="grid" x1="{left}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        )
        parts.append(_text(left - 8, y(tick) + 4, f"{tick:g}", ' class="end"'))
        parts.append(_text(x(tick), foot + 16, f"{tick:g}"))
    parts.append(f'<line class="mark" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>')
    most = max(b.count for b in full)
    for b in full:
        px, py = x(b.confidence or 0), y(b.accuracy or 0)
        gap = f'x1="{px:.1f}" x2="{px:.1f}" y1="{py:.1f}" y2="{y(b.confidence or 0):.1f}"'
        parts.append(f'<line class="gap" {gap}/>')
        radius = 3 + 9 * sqrt(b.count / most)
        parts.append(f'<circle class="dot" cx="{px:.1f}" cy="{py:.1f}" r="{radius:.1f}"/>')
    for b in full:
        parts.append(_text(x((b.low + b.high) / 2), foot + 35, _count(b.count), ' class="name"'))
    parts.append(_text(left - 8, foot + 35, "rows", ' class="name end"'))
    parts.append(_text((left + right) / 2, foot + 54, "confidence", ' class="name"'))
    parts.append(_text(left - 30, 12, "share right", ' class="name start"'))
    said = "Reliability diagram. " + "; ".join(
        f"confidence {b.confidence:.2f}: {b.accuracy:.2f} right of {b.count}" for b in full
    )
    return _svg(wide, high, "chart", said, parts)


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(text)}</text>'


def _count(n: int) -> str:
    return f"{n:,}" if n < 10_000 else f"{n / 1000:.0f}k"


def _svg(wide: int, high: int, name: str, said: str, parts: Sequence[str]) -> Markup:
    role = f'role="img" aria-label="{escape(said)}"' if said else 'aria-hidden="true"'
    # `parts` holds only numbers and escaped texts.
    return Markup(f'<svg class="{name}" viewBox="0 0 {wide} {high}" {role}>{"".join(parts)}</svg>')
