"""The form of a text: how many words, bullets or keywords it has, and the same text with another number of them.

A count is the fewest and the most by every way of counting: a poem of four lines without a full stop has
nought to four sentences.
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


# What a text has: the fewest and the most, by every way of counting -------------------------------


def words(text: str) -> Bound:
    """Words, those with a hyphen as one or as two."""
    return len([t for t in text.split() if edits.words(t)]), len(edits.words(text))


def sentences(text: str) -> Bound:
    """Sentences: whole ones of three words or more, up to lines and clauses behind a colon or semicolon."""
    whole = [s for s in edits.sentences(text) if len(edits.words(s)) > 2]
    return len(whole), len([s for s in re.split(r"[.!?:;\n]", text) if edits.words(s)])


def bullets(text: str) -> Bound:
    """Bullet points, with numbered ones or without."""
    return len(_BULLET.findall(text)), len(re.findall(r"(?m)^\s*(?:[*•-]|\d+[.)])", text))


def parts(text: str) -> Bound:
    """Parts between lines of three asterisks; unknown where asterisks stand elsewhere or a part is empty."""
    filled = [bool(edits.words(part)) for part in _DIVIDER.split(text)]
    clear = all(filled) and text.count("***") == len(filled) - 1
    return (len(filled), len(filled)) if clear else (0, inf)


def highlights(text: str) -> Bound:
    """Parts in italics or bold by Markdown."""
    unlisted = re.sub(r"(?m)^\s*\* ", "", text)
    loose = [len(re.findall(r"\*[^*\n]+\*|\b_[^_\n]+_\b", one)) for one in (text, unlisted)]
    return len(HIGHLIGHT.findall(text)), max(loose)


def holders(text: str) -> Bound:
    """Placeholders in square brackets."""
    return len(HOLDER.findall(text)), len(re.findall(r"\[[^\]]*\]", text))


def shouts(text: str) -> Bound:
    """Words in capital letters, single letters (I, A) as words or not."""
    return len(SHOUT.findall(text)), len(re.findall(r"\b[A-Z][A-Z0-9]*\b", text))


def times(text: str, word: str) -> Bound:
    """How often a word stands in a text, as a whole word or as a part of one too."""
    whole = re.findall(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.I)
    return len(whole), text.casefold().count(word.casefold())


def within(found: Bound, bound: Bound) -> bool | None:
    """Whether what was found is allowed by every way of counting (True) or by none (False)."""
    if bound[0] <= found[0] and found[1] <= bound[1]:
        return True
    return False if found[1] < bound[0] or found[0] > bound[1] else None


def is_json(text: str) -> bool:
    """Whether a text is one object or list, in a code fence or not."""
    body = re.sub(r"^```(?:json)?|```$", "", text.strip(), flags=re.I)
    try:
        return isinstance(json.loads(body), dict | list)
    except (ValueError, RecursionError):
        return False


def is_two(text: str) -> bool:
    """Whether a text is two different ones with six asterisks between them."""
    halves = [half.strip() for half in text.split("*" * 6)]
    return len(halves) == 2 and all(map(edits.words, halves)) and halves[0] != halves[1]


def quoted(text: str) -> bool | None:
    """Whether a text stands in quotation marks; None for curly ones."""
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] == '"':
        return True
    return None if text[:1] in ("“", '"') and text[-1:] in ("”", '"') else False


def ends(text: str, phrase: str) -> bool:
    """Whether a text ends with a phrase, whatever the quotation marks and capitals."""
    return text.strip(" \n\"'").casefold().endswith(phrase.strip(" \"'").casefold())


# The same text with too few, too many, or without: (text, terms, draw, other responses) ------------


def _pick(items: list[Any], draw: Draw, name: str) -> Any:
    return items[int(draw(name) * len(items))]


def _sentences(spare: str) -> list[str]:
    """Plain sentences that can be added to a text."""
    return [s for s in edits.sentences(spare) if s.isascii() and re.fullmatch(r"[^\n*]{20,200}", s)]


def resize(
    count: Callable[[str], Bound], text: str, bound: Bound, draw: Draw, spare: str
) -> str | None:
    """Cut behind a sentence where too little is left, or go on in other responses' words until it is too much."""
    if bound[0] > 1:
        most = bound[0] * (0.5 + 0.5 * draw("length"))
        cuts = [text[: m.end()] for m in _UNIT.finditer(text)]
        return next((cut for cut in reversed(cuts) if count(cut)[1] < most), None)
    for sentence in _sentences(spare):
        if count(text)[0] > bound[1] * (1 + 0.2 * draw("length")):
            return text
        text = edits.pad(text, sentence)
    return None


def change_bullets(text: str, bound: Bound, draw: Draw, spare: str) -> str:
    """One bullet point less, or one more where there is an upper bound."""
    one = _pick(list(_BULLET.finditer(text)), draw, "bullet")
    extra = _sentences(spare)
    if extra and bound[1] < inf and draw("more") < 0.5:
        mark = one[0][: len(one[0]) - len(one[0].lstrip(" \t*-"))]
        return f"{text[: one.start()]}{mark}{extra[0]}\n{text[one.start() :]}"
    return text[: one.start()] + text[one.end() :]


def change_parts(text: str, bound: Bound, draw: Draw, spare: str) -> str | None:
    """One divider less, or one more where there is an upper bound."""
    gaps = [m.end() for m in re.finditer(r"[.!?,]\n(?=\n*[^\n*])", text)]
    if gaps and bound[1] < inf and draw("more") < 0.5:
        at = _pick(gaps, draw, "gap")
        return f"{text[:at]}***\n{text[at:]}"
    one = _pick(list(_DIVIDER.finditer(text)), draw, "divider")
    return text[: one.start()] + text[one.end() :].lstrip("\n")


def unwrap(pattern: re.Pattern[str], text: str, bound: Bound, draw: Draw, spare: str) -> str | None:
    """What ``pattern`` finds becomes plain text (its first group), but for fewer than are asked for."""
    found = list(pattern.finditer(text))
    order = sorted(found, key=lambda m: draw(f"kept {m.start()}"))
    for one in sorted(order[int(draw("kept") * bound[0]) :], key=lambda m: -m.start()):
        plain = one[1].lower() if pattern is SHOUT else one[1]
        text = text[: one.start()] + plain + text[one.end() :]
    return text


def plant(text: str, word: str, count: int, draw: Draw) -> str | None:
    """``count`` words of the text become ``word``."""
    places = list(re.finditer(r"(?<=\w )[^\W\d_]{4,}(?= \w)", text))
    places.sort(key=lambda m: draw(f"planted {m.start()}"))
    if len(places) < count:
        return None
    for place in sorted(places[:count], key=lambda m: -m.start()):
        new = word.upper() if place[0].isupper() else word
        text = text[: place.start()] + new + text[place.end() :]
    return text


def without(text: str, word: str, kept: int) -> str | None:
    """Without the sentences that have ``word``, but for the first ``kept``; None if that is less than half."""
    places = [m for m in _UNIT.finditer(text) if word.casefold() in m[0].casefold()]
    new = text
    for place in reversed(places[kept:]):
        before, after = new[: place.start()], new[place.end() :]
        new = before + (after if before[-1:].strip() else after.lstrip(" "))
    return new.strip() if len(new.strip()) > len(text) / 2 else None


def change_times(text: str, terms: tuple[str, Bound], draw: Draw, spare: str) -> str | None:
    """A keyword too often or too seldom."""
    word, (least, most) = terms
    if most < inf:
        return plant(text, word, int(most) + 1 - int(times(text, word)[0]), draw)
    return without(text, word, int(draw("kept") * least))


def recase(
    change: Callable[[str], str], text: str, terms: bool, draw: Draw, spare: str
) -> str | None:
    """One sentence or all of them in other letters."""
    places = [m for m in _UNIT.finditer(text) if change(m[0]) != m[0]]
    if not places:
        return None
    one = _pick(places, draw, "place")
    for place in reversed(places if draw("all") < 0.5 else [one]):
        text = text[: place.start()] + change(place[0]) + text[place.end() :]
    return text


def capitalise(text: str) -> str:
    """The first letter as a capital one."""
    return re.sub(r"[^\W\d_]", lambda m: m[0].upper(), text, count=1)


def add_comma(text: str, terms: bool, draw: Draw, spare: str) -> str | None:
    """A comma, before a conjunction where there is one."""
    likely = r"(?<=\w)(?= (?:and|but|or|so|which|who|while|because|when|with|as|for)\b)"
    places = list(re.finditer(likely, text, re.I)) or list(re.finditer(r"(?<=\w)(?= \w)", text))
    if not places:
        return None
    at = _pick(places, draw, "place").end()
    return f"{text[:at]},{text[at:]}"


def unquote(text: str, terms: bool, draw: Draw, spare: str) -> str:
    """Without the first quotation mark, the last, or both."""
    text = text.strip()
    return _pick([text[:-1], text[1:], text[1:-1]], draw, "side").strip()


def drop_postscript(text: str, terms: bool, draw: Draw, spare: str) -> str:
    """Without the postscript, or without its mark where that stands near the beginning."""
    at = list(POSTSCRIPT.finditer(text))[-1].start()
    return text[:at].rstrip(' \n*_"') if at > len(text) / 3 else POSTSCRIPT.sub("", text)


def spoil_json(text: str, terms: bool, draw: Draw, spare: str) -> str:
    """A sentence before the JSON, or its last bracket gone."""
    opening = _sentences(spare)
    if opening and draw("how") < 0.5:
        return f"{opening[0]}\n{text}"
    at = max(text.rfind("}"), text.rfind("]"))
    return text[:at] + text[at + 1 :]


def change_ending(text: str, phrase: str, draw: Draw, spare: str) -> str:
    """A sentence behind the phrase, or the phrase gone."""
    after = _sentences(spare)
    if after and draw("how") < 0.5:
        return f"{text.rstrip()} {after[0]}"
    return text[: text.casefold().rfind(phrase.strip(" \"'").casefold())].rstrip(" \n\"'")


def join(text: str, terms: bool, draw: Draw, spare: str) -> str:
    """Of two texts the first, or both as one."""
    first, second = (part.strip() for part in text.split("*" * 6))
    return first if draw("how") < 0.5 else f"{first}\n\n{second}"


def misquote(text: str, instruction: str, draw: Draw, spare: str) -> str | None:
    """One of the first words of what is repeated goes."""
    places = list(re.finditer(r"\w+\W+", text))[1:6]
    one = _pick(places, draw, "place") if places else None
    return text[: one.start()] + text[one.end() :] if one else None
