"""Formal requirements in an instruction: how many words, which keywords, what ending.

Parsed from the instruction only where it is unambiguous: "at least 300 words" gives ``(300, inf)``, "a 300-word letter"
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf

from mene.curate.make import edits

Bound = tuple[float, float]  # minimum and maximum allowed

_SPELLED = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
_SPELLED |= {"nine": 9, "ten": 10, "twelve": 12, "twenty": 20, "once": 1, "twice": 2}
_NUMBER = rf"\d+|{'|'.join(_SPELLED)}"
_BEFORE: dict[str, Callable[[int], Bound]] = {
    "at least|a minimum of|no less than|no fewer than|not less than": lambda n: (n, inf),
    "at most|a maximum of|no more than|not more than|up to": lambda n: (0, n),
    "exactly": lambda n: (n, n),
    "more than": lambda n: (n + 1, inf),
    "less than|fewer than|under": lambda n: (0, n - 1),
}
_BEHIND: dict[str, Callable[[int], Bound]] = {
    r"\+| or more": lambda n: (n, inf),
    " or less| or fewer": lambda n: (0, n),
}
COUNTED = (
    rf"(?:\b({'|'.join(_BEFORE)}) (?:a total of )?)?"
    rf"(?<![\w.-])({_NUMBER})({'|'.join(_BEHIND)})?"
)
_RANGE = re.compile(r"(?:\b(?:not|no|or|to|and|between)|n't)(?: be| have| use)? $", re.I)
_QUOTED = r"(?<!\w)[\"'“‘]{}[^\"'“”‘’\n]{{2,40}}[\"'”’](?!\w)"
_ITEM = _QUOTED.format("")
_LIST = (
    rf"\[?{_ITEM}(?:(?:,? (?:and|or) |, ?){_ITEM})*"
    r"|\w+(?:(?:,? (?:and|or) |, )\w+)+(?=[.,:;\n]| in | throughout |$)"
)


def _bound(before: str, number: str, behind: str) -> Bound | None:
    if bool(before) == bool(behind):
        return None
    n = int(number) if number.isdigit() else _SPELLED[number.casefold()]
    known, said = (_BEFORE, before) if before else (_BEHIND, behind)
    return next(make for words, make in known.items() if re.fullmatch(words, said, re.I))(n)


def amount(
    instruction: str, noun: str, lead: str = "", bare: Callable[[int], Bound] | None = None
) -> Bound | None:
    """Return how many of something an instruction asks for; None without a number, with two, or with "each".

    Args:
        noun: what is counted, as a regular expression; up to three words may precede it.
        lead: what must precede the number.
        bare: the meaning of a number without "at least" or the like; None: it cannot be checked.
    """
    found = set()
    between = r"(?:(?!(?:times?|and|or|the|in|of)\b)[^\W\d][\w'’-]* |\*){0,3}?"
    pattern = rf"{lead}{COUNTED}[ -]{between}(?:{noun})"
    for match in re.finditer(pattern, instruction, re.I):
        ahead = instruction[max(0, match.start() - 40) : match.start()]
        near = ahead + instruction[match.start() : match.end() + 40]
        if re.search(r"\b(each|every|per)\b", near, re.I) or _RANGE.search(ahead):
            return None
        before, number, behind = match.groups("")
        bound = _bound(before, number, behind)
        if bound is None and bare is not None and not before:
            bound = bare(int(number) if number.isdigit() else _SPELLED[number.casefold()])
        if bound is not None:
            found.add(bound)
    return found.pop() if len(found) == 1 else None


def frequency(instruction: str) -> tuple[str, Bound] | None:
    """Return a keyword and how often it must occur."""
    word = r"\b(?:word|keyword|name) (?!of\b|that\b)[\"'“‘]?(\w+)[\"'”’]?(?: [^\W\d]\w*){0,3}? "
    found = set()
    for match in re.finditer(rf"{word}{COUNTED}(?:(?<=ce)| times?)\b", instruction, re.I):
        bound = _bound(*match.groups("")[1:])
        denied = re.search(r"\b(not|never)\b|n't", match[0], re.I) and not match[2]
        if bound is not None and not denied:
            found.add((match[1], bound))
    return found.pop() if len(found) == 1 else None


def wanted(instruction: str) -> tuple[str, ...] | None:
    """Return required keywords."""
    verb = r"\b(?:includ(?:e|es|ing)|contain(?:s|ing)?|mention(?:ing)?|us(?:e|ing)|with)"
    noun = r"(?: the)?(?: following)? (?:keywords?|words?|phrase):? "
    for match in re.finditer(rf"{verb}{noun}({_LIST})", instruction, re.I):
        before = re.split(r"[.!?\n]", instruction[: match.start()])[-1]
        if not re.search(r"\b(not|no|without|avoid|never|cannot|refrain)\b|n't", before, re.I):
            return _items(match[1])
    return None


def unwanted(instruction: str) -> tuple[str, ...] | None:
    """Return forbidden words."""
    denied = r"(?:\bnot|n't|\bwithout|\bavoid|\bavoiding|\bexclude)\b"
    pattern = rf"{denied}[^.!?\n]{{0,40}}?\b(?:key)?words?:? ({_LIST})"
    match = re.search(pattern, instruction, re.I)
    return _items(match[1]) if match else None


def _items(text: str) -> tuple[str, ...] | None:
    found = re.findall(_QUOTED.format("(").replace("40}", "40})"), text)
    found = found or re.split(r",? (?:and|or) |, ", text)
    return tuple(one.strip(" .,") for one in found if edits.words(one)) or None


def ending(instruction: str) -> str | None:
    """Return the quoted words that a response must end with."""
    lead = r"\b(?:end|finish|ending)\b[^.\n\"“]{0,60}(?:with|phrase|read|of)\b[^.\n\"“]{0,25}"
    match = re.search(rf"{lead}[\"“]([^\"”\n]{{4,}})[\"”]", instruction, re.I)
    return match[1] if match else None


def says(pattern: str) -> Callable[[str], bool | None]:
    """Return a parser for a requirement without further terms."""
    return lambda instruction: True if re.search(pattern, instruction, re.I) else None
