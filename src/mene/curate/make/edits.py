"""Edits of a response: each returns a text with the named property, or None where that is impossible.

Independent of labels. ``draw(word)`` returns a number from 0 to 1 that depends on the word only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

Draw = Callable[[str], float]

# Maximum overlap of a borrowed text with what it must not answer (``overlap``); more may be an answer.
STRANGE = 0.34
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"(?<![\w.,/:$-])\d+(?:,\d{3})*(?:\.\d+)?(?![\w/:-]|[.,]\d)")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})*(?=[\s.,;!?]|$)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# "More than 100" stays true of many other numbers.
_HEDGES = _set(
    "about above after almost approximately around at before below between circa estimated fewer "
    "from least less minimum more most nearly over roughly since some than to under until up"
)
# Words that make the scope of a "not" ambiguous.
_SCOPE = _set(
    "no not never none nor neither only any may might could would should perhaps probably who which "
    "that when while because if unless but although though whether"
)
_MONTHS = _set(
    "january february march april may june july august september october november december"
)
_DATES = _MONTHS | _set("monday tuesday wednesday thursday friday saturday sunday")
UP_TO_TWELVE = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_SPELLED = {word: float(n) for n, word in enumerate(UP_TO_TWELVE)}
_AUXILIARY = re.compile(r"\b(is|was|are|were|can|will)\b")
OPENERS = (
    "Let me take this step by step. ",
    "Here is what I can say about this. ",
    "Thank you for asking; I have thought about it carefully. ",
    "Allow me to answer that in full. ",
)
CLOSERS = (
    " I hope this helps. Please let me know if anything else is needed.",
    " That is my answer to what was asked, and I hope that it is put clearly enough.",
    " Feel free to ask if you would like to hear more.",
)
TONES = ("Great question! ", "Sure thing! ", "Well, here you go: ", "Dear reader: ", "Hey! ")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return _WORD.findall(text.casefold())


def says(text: str, phrase: str) -> bool:
    """Return whether the words of ``phrase`` occur in ``text`` in sequence."""
    return bool(words(phrase)) and f" {' '.join(words(phrase))} " in f" {' '.join(words(text))} "


def overlap(text: str, other: str) -> float:
    """Return the share of the numbers and the words of at least four letters in ``text`` that ``other`` has too."""
    mine = {w for w in words(text) if len(w) > 3 or w.isdigit()}
    return len(mine & set(words(other))) / len(mine) if mine else 1.0


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, split after ``.``, ``!`` and ``?``."""
    return [s for s in _SENTENCE.split(text.strip()) if s]


def aliases(reference: str) -> list[str]:
    """Return the accepted answers of a reference, separated by slashes or lines."""
    return [a.strip() for a in re.split(r"[/\n]", reference) if words(a)]


def numbers(text: str) -> set[float]:
    """Return the numbers in a text, including words up to twelve."""
    spelled = {_SPELLED[w] for w in words(text) if w in _SPELLED}
    return spelled | {float(m[0].replace(",", "")) for m in _NUMBER.finditer(text)}


def change_number(text: str, source: str, draw: Draw, avoid: str = "") -> str | None:
    """Replace one number of ``text`` that ``source`` has by one that neither they nor ``avoid`` have.

    It changes everywhere in the text: years by 3 to 40, days of a month to another one, others up by 30 % to 130 % (by 1 or
        more).
    None where there is no such number, or only as a bound or an estimate.
    """
    known = numbers(source)
    taken = known | numbers(text) | numbers(avoid)
    found = []
    for match in _NUMBER.finditer(text):
        near = words(text[: match.start()])[-2:]
        at_line = not text[: match.start()].rpartition("\n")[2].strip()
        listed = at_line and text[match.end() : match.end() + 1] in (".", ")")
        if not listed and not _HEDGES & set(near) and float(match[0].replace(",", "")) in known:
            found.append(match[0])
    if not found:
        return None
    old = found[int(draw("which") * len(found))]
    value = float(old.replace(",", ""))
    for attempt in range(8):
        size, sign = draw(f"size {attempt}"), 1 if draw(f"sign {attempt}") < 0.5 else -1
        if old.isdigit() and 1000 <= value <= 2100:
            new = value + sign * round(3 + 37 * size)
        elif 1 <= value <= 31 and _is_day(text, old):
            new = float(1 + int(28 * size))
        else:
            new = value + max(1.0, value * (0.3 + size))
        decimals = len(old.partition(".")[2])
        written = f"{new:,.{decimals}f}" if "," in old else f"{new:.{decimals}f}"
        if float(written.replace(",", "")) not in taken:
            whole = rf"(?<![\w.,]){re.escape(old)}(?![\w]|[.,]\d)"
            return re.sub(whole, written, text)
    return None


def _is_day(text: str, number: str) -> bool:
    """Return whether the number is next to the name of a month."""
    said = words(text)
    return any(
        number in said[max(0, i - 1) : i + 2] for i, word in enumerate(said) if word in _MONTHS
    )


@lru_cache(maxsize=1000)
def names(text: str) -> tuple[str, ...]:
    """Return capitalised words not at the beginning of a sentence, runs of them joined; no months and days."""
    found = dict.fromkeys(m[0] for m in _NAME.finditer(text))
    return tuple(name for name in found if not _DATES & set(words(name)))


def change_name(text: str, source: str, others: Iterable[str], draw: Draw) -> str | None:
    """Replace one name of ``text`` that ``source`` has by one of ``others`` that shares no word with either.

    The new name has the same number of words.
    """
    found = [name for name in names(text) if says(source, name)]
    if not found:
        return None
    old = found[int(draw("which") * len(found))]
    taken = set(words(text)) | set(words(source))
    fitting = [
        name
        for name in others
        if len(name.split()) == len(old.split()) and not taken & set(words(name))
    ]
    if not fitting:
        return None
    new = fitting[int(draw("new") * len(fitting))]
    return re.sub(rf"\b{re.escape(old)}\b", lambda m: new, text)


def negate(text: str) -> str | None:
    """Deny a single plain statement: ``is`` → ``is not``. None where a "not" would be ambiguous."""
    found = list(_AUXILIARY.finditer(text))
    mine = words(text)
    if (
        len(sentences(text)) != 1
        or len(found) != 1
        or "?" in text
        or "n't" in text
        or len(mine) < 4
    ):
        return None
    verb = found[0]
    if not text[: verb.start()].strip() or _SCOPE & set(mine) or not text[verb.end() :].strip():
        return None
    return f"{text[: verb.end()]} not{text[verb.end() :]}"


def truncate(text: str, draw: Draw) -> str | None:
    """Return the first 30 to 60 % of the words, ending inside a sentence. None for a text of under 25 words."""
    ends = [m.end() for m in re.finditer(r"\S+", text)]
    if len(ends) < 25:
        return None
    first = int(len(ends) * (0.3 + 0.3 * draw("where")))
    for end in ends[first : first + 4]:
        if text[:end][-1].isalnum():
            return text[:end]
    return None


def truncate_before(text: str, phrases: Iterable[str]) -> str | None:
    """Return the text before the first of ``phrases``; None where that is under five words or contains one of them."""
    phrases = list(phrases)
    lower = text.casefold()
    places = [at for p in phrases if (at := lower.find(p.casefold())) >= 0]
    if not places:
        return None
    cut = text[: min(places)].rstrip(" ,;:(\"'")
    if len(words(cut)) < 5 or any(says(cut, p) for p in phrases):
        return None
    return cut


def shuffle(text: str, draw: Draw) -> str | None:
    """Return the sentences in another order, most of them moved. None for lists, code, and under four sentences."""
    parts = sentences(text)
    if (
        len(parts) < 4
        or len(set(parts)) < len(parts)
        or re.search(r"```|^\s*([-*•]|\d+[.)])", text, re.M)
    ):
        return None
    gaps = [m[0] for m in _SENTENCE.finditer(text.strip())]
    for attempt in range(8):
        order = sorted(range(len(parts)), key=lambda n: draw(f"place {attempt} {n}"))
        if sum(n != place for place, n in enumerate(order)) > len(parts) / 2 and order[0] != 0:
            mixed = [parts[n] for n in order]
            return mixed[0] + "".join(g + s for g, s in zip(gaps, mixed[1:], strict=True))
    return None


def pad(text: str, extra: str) -> str:
    """Return ``text`` followed by one or two sentences of ``extra``."""
    end = "" if text.rstrip()[-1:] in (".", "!", "?") else "."
    return f"{text.rstrip()}{end} {' '.join(sentences(extra)[:2])}"


def filler(text: str, draw: Draw) -> str:
    """Lengthen by phrases without content."""
    opener = OPENERS[int(draw("opener") * len(OPENERS))]
    closer = CLOSERS[int(draw("closer") * len(CLOSERS))]
    end = "" if text.rstrip()[-1:] in (".", "!", "?") else "."
    return f"{opener}{text.strip()}{end}{closer}"


def markdown(text: str, draw: Draw) -> str:
    """Format the same words in bold, as a quotation, or as a list of sentences."""
    parts = sentences(text)
    if len(parts) > 1 and draw("form") < 0.7:
        return "\n".join(f"- {' '.join(part.split())}" for part in parts)
    if draw("form") < 0.85:
        return "\n".join(
            f"**{line.strip()}**" if line.strip() else "" for line in text.splitlines()
        )
    return "\n".join(f"> {line}" for line in text.strip().splitlines())


def tone(text: str, draw: Draw) -> str:
    """Put a friendly, casual or stiff phrase before the same words."""
    return TONES[int(draw("tone") * len(TONES))] + text.strip()
