"""The form of a text: numbers of words, bullets or keywords, and the same text with other numbers.

A count is a range over all ways of counting: a poem of four lines without full stops has zero to four sentences.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import inf
from typing import Any

from mene.curate.make import edits
from mene.curate.make.edits import Draw
from mene.curate.make.terms import Bound

_UNIT = re.compile(
    r"[^\n]+?(?:[.!?][\"')*]*(?=\s)|$)", re.M
)  # a sentence, or a line without an end
_BULLET = re.compile(r"^[ \t]*[*-][ \t]+\S.*\n?", re.M)
_DIVIDER = re.compile(r"^[ \t]*\*\*\*[ \t]*$", re.M)
HIGHLIGHT = re.compile(r"(?<![*\w])\*{1,2}([^\s*](?:[^*\n]*[^\s*])?)\*{1,2}(?![*\w])")
HOLDER = re.compile(r"\[([^\[\]\n]+)\]")
TITLE = re.compile(r"<<([^\n<>]+)>>")
SHOUT = re.compile(r"\b([A-Z]{2,})\b")
POSTSCRIPT = re.compile(r"\bp\. ?(?:p\. ?)?s\b\.?:?", re.I)


# Counts: the minimum and maximum over all ways of counting -----------------------------------------


def words(text: str) -> Bound:
    """Count words; a hyphenated one as one or two."""
    return len([t for t in text.split() if edits.words(t)]), len(edits.words(text))


def sentences(text: str) -> Bound:
    """Count sentences: at least complete ones of three words or more, at most lines and clauses after colons or semicolons."""
    whole = [s for s in edits.sentences(text) if len(edits.words(s)) > 2]
    return len(whole), len([s for s in re.split(r"[.!?:;\n]", text) if edits.words(s)])


def bullets(text: str) -> Bound:
    """Count bullet points, with or without numbered ones."""
    return len(_BULLET.findall(text)), len(re.findall(r"(?m)^\s*(?:[*•-]|\d+[.)])", text))


def parts(text: str) -> Bound:
    """Count parts separated by lines of three asterisks; unknown where there are other asterisks or an empty part."""
    filled = [bool(edits.words(part)) for part in _DIVIDER.split(text)]
    clear = all(filled) and text.count("***") == len(filled) - 1
    return (len(filled), len(filled)) if clear else (0, inf)


def highlights(text: str) -> Bound:
    """Count parts in Markdown italics or bold."""
    unlisted = re.sub(r"(?m)^\s*\* ", "", text)
    loose = [len(re.findall(r"\*[^*\n]+\*|\b_[^_\n]+_\b", one)) for one in (text, unlisted)]
    return len(HIGHLIGHT.findall(text)), max(loose)


def holders(text: str) -> Bound:
    """Count placeholders in square brackets."""
    return len(HOLDER.findall(text)), len(re.findall(r"\[[^\]]*\]", text))


def shouts(text: str) -> Bound:
    """Count words in capital letters, with or without single letters (I, A)."""
    return len(SHOUT.findall(text)), len(re.findall(r"\b[A-Z][A-Z0-9]*\b", text))


def times(text: str, word: str) -> Bound:
    """Count how often a word occurs, as a whole word or also inside other words."""
    whole = re.findall(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.I)
    return len(whole), text.casefold().count(word.casefold())


def within(found: Bound, bound: Bound) -> bool | None:
    """Return whether a count is allowed under every way of counting (True) or none (False); else None."""
    if bound[0] <= found[0] and found[1] <= bound[1]:
        return True
    return False if found[1] < bound[0] or found[0] > bound[1] else None


def is_json(text: str) -> bool:
    """Return whether a text is a single object or list, with or without a code fence."""
    body = re.sub(r"^```(?:json)?|```$", "", text.strip(), flags=re.I)
    try:
        return isinstance(json.loads(body), dict | list)
    except (ValueError, RecursionError):
        return False


def is_two(text: str) -> bool:
    """Return whether a text consists of two different ones separated by six asterisks."""
    halves = [half.strip() for half in text.split("*" * 6)]
    return len(halves) == 2 and all(map(edits.words, halves)) and halves[0] != halves[1]


def quoted(text: str) -> bool | None:
    """Return whether a text is in quotation marks; None for curly ones."""
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] == '"':
        return True
    return None if text[:1] in ("“", '"') and text[-1:] in ("”", '"') else False


def ends(text: str, phrase: str) -> bool:
    """Return whether a text ends with a phrase, ignoring quotation marks and case."""
    return text.strip(" \n\"'").casefold().endswith(phrase.strip(" \"'").casefold())


# Changed texts: fewer, more, or without; arguments (text, terms, draw, other responses) --------------


def _pick(items: list[Any], draw: Draw, name: str) -> Any:
    return items[int(draw(name) * len(items))]


def _sentences(spare: str) -> list[str]:
    """Return plain sentences that can be added to a text."""
    return [s for s in edits.sentences(spare) if s.isascii() and re.fullmatch(r"[^\n*]{20,200}", s)]


def resize(
    count: Callable[[str], Bound], text: str, bound: Bound, draw: Draw, spare: str
) -> str | None:
    """Cut at the end of a sentence until too little is left, or add other responses' sentences until it is too much."""
    if bound[0] > 1:
        most = bound[0] * (0.5 + 0.5 * draw("length"))
        cuts = [text[: m.end()] for m in _UNIT.finditer(text)]
        return next((cut for cut in reversed(cuts) if count(cut)[1] < most), None)
    for sentence in _sentences(spare):
        if count(text)[0] > bound[1] * (1 + 0.2 * draw("length")):
            return text
        text = edits.pad(text, sentence)
    return None


def change_bullets(text: str, bound: Bound, draw: Draw, spare: str) -> str | None:
    """Remove a bullet point, or add one where there is an upper bound; None for a text without any."""
    found = list(_BULLET.finditer(text))
    if not found:  # "at most 3" allows none
        return None
    one = _pick(found, draw, "bullet")
    extra = _sentences(spare)
    if extra and bound[1] < inf and draw("more") < 0.5:
        mark = one[0][: len(one[0]) - len(one[0].lstrip(" \t*-"))]
        return f"{text[: one.start()]}{mark}{extra[0]}\n{text[one.start() :]}"
    return text[: one.start()] + text[one.end() :]


def change_parts(text: str, bound: Bound, draw: Draw, spare: str) -> str | None:
    """Remove a divider, or add one where there is an upper bound; None where there is neither a divider nor a place for one."""
    gaps = [m.end() for m in re.finditer(r"[.!?,]\n(?=\n*[^\n*])", text)]
    if gaps and bound[1] < inf and draw("more") < 0.5:
        at = _pick(gaps, draw, "gap")
        return f"{text[:at]}***\n{text[at:]}"
    found = list(_DIVIDER.finditer(text))
    if not found:
        return None
    one = _pick(found, draw, "divider")
    return text[: one.start()] + text[one.end() :].lstrip("\n")


def unwrap(pattern: re.Pattern[str], text: str, bound: Bound, draw: Draw, spare: str) -> str | None:
    """Turn matches of ``pattern`` into plain text (their first group), leaving fewer than required."""
    found = list(pattern.finditer(text))
    order = sorted(found, key=lambda m: draw(f"kept {m.start()}"))
    for one in sorted(order[int(draw("kept") * bound[0]) :], key=lambda m: -m.start()):
        plain = one[1].lower() if pattern is SHOUT else one[1]
        text = text[: one.start()] + plain + text[one.end() :]
    return text


def plant(text: str, word: str, count: int, draw: Draw) -> str | None:
    """Replace ``count`` words of the text by ``word``."""
    places = list(re.finditer(r"(?<=\w )[^\W\d_]{4,}(?= \w)", text))
    places.sort(key=lambda m: draw(f"planted {m.start()}"))
    if len(places) < count:
        return None
    for place in sorted(places[:count], key=lambda m: -m.start()):
        new = word.upper() if place[0].isupper() else word
        text = text[: place.start()] + new + text[place.end() :]
    return text


def without(text: str, word: str, kept: int) -> str | None:
    """Remove the sentences with ``word`` after the first ``kept``; None if less than half of the text is left."""
    places = [m for m in _UNIT.finditer(text) if word.casefold() in m[0].casefold()]
    new = text
    for place in reversed(places[kept:]):
        before, after = new[: place.start()], new[place.end() :]
        new = before + (after if before[-1:].strip() else after.lstrip(" "))
    return new.strip() if len(new.strip()) > len(text) / 2 else None


def change_times(text: str, terms: tuple[str, Bound], draw: Draw, spare: str) -> str | None:
    """Use a keyword too often or too rarely."""
    word, (least, most) = terms
    if most < inf:
        return plant(text, word, int(most) + 1 - int(times(text, word)[0]), draw)
    return without(text, word, int(draw("kept") * least))


def recase(
    change: Callable[[str], str], text: str, terms: bool, draw: Draw, spare: str
) -> str | None:
    """Change the case of one sentence or of all."""
    places = [m for m in _UNIT.finditer(text) if change(m[0]) != m[0]]
    if not places:
        return None
    one = _pick(places, draw, "place")
    for place in reversed(places if draw("all") < 0.5 else [one]):
        text = text[: place.start()] + change(place[0]) + text[place.end() :]
    return text


def capitalise(text: str) -> str:
    """Make the first letter a capital."""
    return re.sub(r"[^\W\d_]", lambda m: m[0].upper(), text, count=1)


def add_comma(text: str, terms: bool, draw: Draw, spare: str) -> str | None:
    """Add a comma, before a conjunction if there is one."""
    likely = r"(?<=\w)(?= (?:and|but|or|so|which|who|while|because|when|with|as|for)\b)"
    places = list(re.finditer(likely, text, re.I)) or list(re.finditer(r"(?<=\w)(?= \w)", text))
    if not places:
        return None
    at = _pick(places, draw, "place").end()
    return f"{text[:at]},{text[at:]}"


def unquote(text: str, terms: bool, draw: Draw, spare: str) -> str:
    """Remove the first quotation mark, the last, or both."""
    text = text.strip()
    return _pick([text[:-1], text[1:], text[1:-1]], draw, "side").strip()


def drop_postscript(text: str, terms: bool, draw: Draw, spare: str) -> str:
    """Remove the postscript, or only its mark where that is near the beginning."""
    at = list(POSTSCRIPT.finditer(text))[-1].start()
    return text[:at].rstrip(' \n*_"') if at > len(text) / 3 else POSTSCRIPT.sub("", text)


def spoil_json(text: str, terms: bool, draw: Draw, spare: str) -> str:
    """Add a sentence before the JSON, or remove its last bracket."""
    opening = _sentences(spare)
    if opening and draw("how") < 0.5:
        return f"{opening[0]}\n{text}"
    at = max(text.rfind("}"), text.rfind("]"))
    return text[:at] + text[at + 1 :]


def change_ending(text: str, phrase: str, draw: Draw, spare: str) -> str:
    """Add a sentence after the phrase, or remove the phrase."""
    after = _sentences(spare)
    if after and draw("how") < 0.5:
        return f"{text.rstrip()} {after[0]}"
    return text[: text.casefold().rfind(phrase.strip(" \"'").casefold())].rstrip(" \n\"'")


def join(text: str, terms: bool, draw: Draw, spare: str) -> str:
    """Return the first of two texts, or both as one."""
    first, second = (part.strip() for part in text.split("*" * 6))
    return first if draw("how") < 0.5 else f"{first}\n\n{second}"


def misquote(text: str, instruction: str, draw: Draw, spare: str) -> str | None:
    """Remove one of the first words of the repeated text."""
    places = list(re.finditer(r"\w+\W+", text))[1:6]
    one = _pick(places, draw, "place") if places else None
    return text[: one.start()] + text[one.end() :] if one else None
