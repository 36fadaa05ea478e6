"""How a critique is written, in numbers."""

from __future__ import annotations

from mene.arena.style import Style, style_of


def test_style_is_counted() -> None:
    text = "# Verdict\n\n- It **may** be right.\n2) It is clearly __wrong__, and perhaps seems so.\n*not a list*\n#hashtag"
    assert style_of(text) == Style(
        characters=len(text), headers=1, items=2, bold=2, hedges=3, boosts=1
    )
    assert style_of(None) == style_of("") == Style()


def test_words_inside_words_are_none() -> None:
    text = "Mayor Mighty mustard, dismay; an indeedy"
    assert style_of(text) == Style(characters=len(text))
