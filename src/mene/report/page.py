"""The page: summaries in, one self-contained HTML file out.

Looks only; figures come from ``summary`` and ``agreement``, sentences from ``words``. What was judged and
what the judge wrote is untrusted: the template escapes all of it, and the page forbids itself
every request and every script but its own.
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
from mene.report.summary import Row, Summary
from mene.sample import FIELDS, Sample
from mene.verdict import Verdict

_LONGEST = 6000  # characters of one text on the page; judged documents can be books


def render(
    verdicts: Iterable[Verdict],
    golds: Mapping[str, Any] | None = None,
    texts: Mapping[str, Sample] | None = None,
    title: str = "Verdicts",
    *,
    when: datetime | None = None,
) -> str:
    """Write the report page.

    Args:
        verdicts: read once; of one or more criteria and judges, each of which gets a section.
        golds: sample id -> gold label (or number), to measure agreement.
        texts: sample id -> sample, to show what was judged.
        title: of the page.
        when: date on the page; now if not given.
    """
    return page_of(summarise(verdicts, golds, texts), title, when=when)


def page_of(
    sections: list[Summary], title: str = "Verdicts", *, when: datetime | None = None
) -> str:
    """``render`` for verdicts that are summed up already."""
    when = when or datetime.now()
    script = _file("page.js")
    text = _template().render(
        title=title,
        sections=sections,
        when=f"{when.day} {when:%B %Y, %H:%M}",
        style=Markup(_file("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    # Half characters (lone surrogates) cannot be written to a file.
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


def cut(text: str, most: int = _LONGEST) -> str:
    if len(text) <= most:
        return text
    return f"{text[:most]}…\n\n[{len(text) - most:,} more characters]"


def lists(s: Summary) -> list[dict[str, Any]]:
    """The tables of rows, those that are not empty."""
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


def texts_of(row: Row) -> list[tuple[str, str]]:
    """The judged texts of a row, in reading order; empty ones left out."""
    if row.sample is None:
        return []
    seats = {"response_a": "Response A", "response_b": "Response B"}
    both = ((field, getattr(row.sample, field)) for field in FIELDS)
    return [(seats.get(field, field.capitalize()), text) for field, text in both if text]
