"""The style of a critique in numbers: what may please a voter although the critique is not right."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field

# Markdown as LMArena counts it (``arena-rank``, ``style_control``): headers, list items, bold spans.
_HEADER = re.compile(r"^#{1,6}\s", re.M)
_ITEM = re.compile(r"^\s*(?:\d+[.)]|[-*+])\s", re.M)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")
# Hyland, K. (2005), "Metadiscourse": words that hedge a claim, and words that boost it. The common ones.
_HEDGE = re.compile(
    r"\b(?:may|might|could|perhaps|possibly|probably|seem(?:s|ed|ingly)?|appear(?:s|ed)?|likely|unlikely|"
    r"somewhat|partly|partially|arguably|roughly|unclear|uncertain|suggest(?:s|ed)?|tend(?:s|ed)?)\b",
    re.I,
)
_BOOST = re.compile(
    r"\b(?:clearly|certainly|definitely|obviously|undoubtedly|always|never|must|completely|entirely|fully|"
    r"exactly|perfectly|absolutely|indeed|no doubt|in fact)\b",
    re.I,
)


class Style(BaseModel):
    """The style of one critique.

    Attributes:
        characters: its length.
        headers, items, bold: Markdown headers, list items and bold spans.
        hedges, boosts: words that weaken a claim (may, seems), and words that strengthen it (clearly, must). English alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    characters: int = Field(default=0, ge=0, lt=1 << 31)
    headers: int = Field(default=0, ge=0, lt=1 << 31)
    items: int = Field(default=0, ge=0, lt=1 << 31)
    bold: int = Field(default=0, ge=0, lt=1 << 31)
    hedges: int = Field(default=0, ge=0, lt=1 << 31)
    boosts: int = Field(default=0, ge=0, lt=1 << 31)


def style_of(critique: str | None) -> Style:
    """Return the counts for a critique."""
    text = critique or ""
    return Style(
        characters=len(text),
        headers=len(_HEADER.findall(text)),
        items=len(_ITEM.findall(text)),
        bold=len(_BOLD.findall(text)),
        hedges=len(_HEDGE.findall(text)),
        boosts=len(_BOOST.findall(text)),
    )
