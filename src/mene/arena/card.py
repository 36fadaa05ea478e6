"""The leaderboard as an image to share: a self-contained SVG file."""

from __future__ import annotations

from xml.sax.saxutils import escape

from mene.arena.board import Board, Row
from mene.text.visible import visible

MOST = 8  # judges
LONGEST = 30  # characters of a name
LEFT, RIGHT, TOP, STEP = 300, 560, 92, 34
FONT = 'font-family="system-ui, -apple-system, Segoe UI, sans-serif"'


def card(board: Board) -> str:
    """Return an SVG image, 640 pixels wide."""
    rows = board.rows[:MOST]
    height = TOP + STEP * max(len(rows), 1) + 40
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {height}" width="640" height="{height}" role="img" {FONT}>',
        f"<title>{escape(_title(board))}</title>",
        f'<rect width="640" height="{height}" rx="14" fill="#fff" stroke="#d9dae0"/>',
        '<text x="24" y="40" font-size="22" font-weight="700" fill="#1d2130">mene arena</text>',
        f'<text x="24" y="64" font-size="13" fill="#5b6172">{escape(_counts(board))}</text>',
    ]
    if rows:
        low, high = min(row.low for row in rows), max(row.high for row in rows)
        for place, row in enumerate(rows):
            lines += _row(row, TOP + STEP * place, low, max(high, low + 1))
    else:
        lines.append(
            f'<text x="24" y="{TOP + 8}" font-size="14" fill="#5b6172">No votes yet.</text>'
        )
    lines.append(
        f'<text x="24" y="{height - 16}" font-size="12" fill="#5b6172">'
        "Rank range, rating and its 95 % interval; votes are blind.</text></svg>"
    )
    return "\n".join(lines)


def _title(board: Board) -> str:
    said = "; ".join(
        f"{_rank(row)} {_name(row.judge)} {row.rating:.0f}" for row in board.rows[:MOST]
    )
    return f"Leaderboard of judges: {said or 'no votes yet'}"


def _counts(board: Board) -> str:
    votes = f"{board.votes:,} vote{'' if board.votes == 1 else 's'}"
    return f"Judges of language models, ranked by {votes} of {board.voters:,} voter{'' if board.voters == 1 else 's'}"


def _row(row: Row, y: int, low: float, high: float) -> list[str]:
    def at(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - low) / (high - low)

    mark = " *" if row.preliminary else ""
    middle = y - 5
    return [
        f'<text x="24" y="{y}" font-size="14" fill="#5b6172">{escape(_rank(row))}</text>',
        f'<text x="74" y="{y}" font-size="15" font-weight="600" fill="#1d2130">{escape(_name(row.judge))}{mark}</text>',
        f'<line x1="{at(row.low):.1f}" x2="{at(row.high):.1f}" y1="{middle}" y2="{middle}" stroke="#8fa9de" '
        'stroke-width="6" stroke-linecap="round"/>',
        f'<circle cx="{at(row.rating):.1f}" cy="{middle}" r="5" fill="#2b4a8b"/>',
        f'<text x="616" y="{y}" font-size="14" text-anchor="end" fill="#1d2130">{row.rating:.0f}</text>',
    ]


def _rank(row: Row) -> str:
    return str(row.best) if row.best == row.worst else f"{row.best}–{row.worst}"


def _name(name: str) -> str:
    name = visible(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
