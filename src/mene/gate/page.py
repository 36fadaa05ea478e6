"""The HTML page of a comparison: one self-contained file in the style of the report.

Judged texts and critiques are untrusted: the template escapes them, and the page's policy forbids all requests and
scripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from mene.gate.compare import Compared, Comparison
from mene.gate.sections import Said
from mene.gate.words import figure_words
from mene.report import charts
from mene.report.page import cut
from mene.sample import FIELDS, Sample

ROWS = 50  # maximum number of rows in each table
Texts = Mapping[tuple[int, str, str, int, str], Sample]


def key_of(run: int, criterion: str, judge: str, row: Said) -> tuple[int, str, str, int, str]:
    """Return the key of a row's texts: run 0 or 1, criterion, judge, position and id."""
    return run, criterion, judge, row.row, row.id


def page_of(
    found: Comparison,
    names: tuple[str, str],
    texts: Texts | None = None,
    *,
    when: datetime | None = None,
) -> str:
    """Return the page.

    Args:
        names: of the runs.
        texts: texts of the rows, where known; see ``key_of``.
        when: date on the page; default: now.
    """
    when = when or datetime.now()
    text = _template().render(
        names=names,
        found=found,
        when=f"{when.day} {when:%B %Y, %H:%M}",
        style=Markup((resources.files("mene.report") / "page.css").read_text("utf-8")),
        texts_of=lambda run, one, row: _texts(texts or {}, run, one, row),
    )
    # Lone surrogates cannot be encoded.
    return text.encode("utf-8", "replace").decode("utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"cut": cut, "p": p_words}
    environment.globals |= {
        "figure": figure_words,
        "lead": lead,
        "lists": lists,
        "charts": charts,
        "span": span,
    }
    source = (resources.files("mene.gate") / "page.html").read_text("utf-8")
    return environment.from_string(source)


def p_words(p: float) -> str:
    """Return ``p = 0.03``, or only an upper bound for very small values."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def span(one: Compared) -> float:
    """Return the half-width of the axis on which a difference is drawn."""
    d = one.difference
    return 1.5 * max([0.02, *(abs(end) for end in (d.value, d.low, d.high) if end is not None)])


def lead(one: Compared, names: tuple[str, str]) -> str:
    """Return the key sentence about a criterion."""
    d = one.difference
    rows = f"{one.a.n:,} row{'s' * (one.a.n != 1)}"
    if not one.a.n:
        return "No row has a label in both runs."
    if not one.figure:
        changed = sum(n for (x, y), n in one.flips.items() if x != y)
        way = "differ" if one.p_holm < 0.05 else "may be the same"
        return (
            f"{changed:,} of {rows} have another label; the shares of the labels {way} "
            f"({one.test}, {p_words(one.p_holm)}). Nobody knows which labels are good."
        )
    said = figure_words(d, one.percent, signed=True)
    if d.low is None or d.high is None:
        return f"{one.figure}: {said} on {rows}, too few for an interval."
    if d.low > 0 or d.high < 0:
        higher = (d.value or 0) > 0
        how = (
            ("better" if higher else "worse") if one.directed else ("higher" if higher else "lower")
        )
        return f"{names[1]} is {how} than {names[0]}: {one.figure} {said} on {rows}."
    return f"No difference is shown: {one.figure} {said} on {rows}."


def lists(one: Compared) -> list[dict[str, Any]]:
    """Return the non-empty tables of rows."""
    if not one.directed:
        return [_table("Rows that changed most", one.rows)] if one.rows else []
    worse = tuple(row for row in one.rows if row.way < 0)
    better = tuple(row for row in reversed(one.rows) if row.way > 0)
    every = (("Regressions", worse), ("Improvements", better))
    return [_table(name, rows) for name, rows in every if rows]


def _table(name: str, rows: tuple[Any, ...]) -> dict[str, Any]:
    of = f"the largest {ROWS} of {len(rows):,}" if len(rows) > ROWS else "largest first"
    return {"name": name, "why": of, "rows": rows[:ROWS]}


def _texts(texts: Texts, run: int, one: Compared, row: Said) -> list[tuple[str, str]]:
    sample = texts.get(key_of(run, one.criterion, one.judges[run], row))
    if sample is None:
        return []
    both = ((name, getattr(sample, name)) for name in FIELDS)
    return [(name.replace("_", " ").capitalize(), text) for name, text in both if text]
