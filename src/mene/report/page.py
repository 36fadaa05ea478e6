"""The report page: from summaries to one self-contained HTML file.

Only presentation; figures come from ``summary`` and ``agreement``, sentences from ``words``. Judged texts and critiques are
untrusted: the template escapes them, and the page's policy forbids all requests, and all scripts but its own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from mene.report import charts, words
from mene.report.gather import summarise
from mene.report.rows import LONGEST, Rows, as_json, texts_of
from mene.report.summary import Summary
from mene.sample import Sample
from mene.verdict import Verdict


def render(
    verdicts: Iterable[Verdict],
    golds: Mapping[str, Any] | None = None,
    texts: Mapping[str, Sample] | None = None,
    title: str = "Verdicts",
    *,
    when: datetime | None = None,
) -> str:
    """Return the report page.

    Args:
        verdicts: read once; each criterion and judge gets a section.
        golds: sample id -> gold label (or number), to measure agreement.
        texts: sample id -> sample, to show what was judged.
        title: of the page.
        when: date on the page; default: now.
    """
    rows = Rows()
    given, known = golds or {}, texts or {}

    def row_of(verdict: Verdict) -> str:
        rows.add(verdict, None, given.get(verdict.id), known.get(verdict.id))
        return verdict.id

    return page_of(summarise(verdicts, golds, texts, row_of), title, when=when, rows=rows)


def page_of(
    sections: list[Summary],
    title: str = "Verdicts",
    *,
    when: datetime | None = None,
    rows: Rows | None = None,
) -> str:
    """Like ``render``, for sections that are summed up already; with ``rows``, also a table of all rows."""
    when = when or datetime.now()
    script = f"{_file('page.js')}\n{_file('rows.js')}"
    data = rows.data(sections) if rows is not None and sections else None
    text = _template().render(
        title=title,
        sections=sections,
        when=f"{when.day} {when:%B %Y, %H:%M}",
        style=Markup(_file("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=Markup(as_json(data)) if data else "",  # has no "<", and is data, not a script
        without=data["without"] if data else 0,
    )
    # Lone surrogates cannot be encoded.
    return text.encode("utf-8", "replace").decode("utf-8")


def _file(name: str) -> str:
    return (resources.files("mene.report") / name).read_text("utf-8").strip()


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "pct": words.percent,
        "num": words.number,
        "dec": words.decimal,
        "sec": words.seconds,
        "big": words.compact,
        "span": words.span,
        "cut": cut,
    }
    environment.globals |= {
        "lead": words.lead,
        "remarks": words.remarks,
        "measures": words.measures,
        "lists": lists,
        "texts_of": texts_of,
        "charts": charts,
    }
    return environment.from_string(_file("page.html"))


def cut(text: str, most: int = LONGEST) -> str:
    if len(text) <= most:
        return text
    return f"{text[:most]}…\n\n[{len(text) - most:,} more characters]"


def lists(s: Summary) -> list[dict[str, Any]]:
    """Return the non-empty tables of rows."""
    every = (
        ("Disagreements with gold", "most confident first", s.disagreements, "critique"),
        ("Least certain", "where a second look pays most", s.least_certain, "critique"),
        ("Errors", "rows without a verdict", s.failures, "error"),
        ("Slowest", "longest latency first", s.slowest, "critique"),
    )
    return [
        {"name": name, "why": why, "rows": rows, "column": column}
        for name, why, rows, column in every
        if rows
    ]
