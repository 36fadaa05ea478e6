"""Constraints in an instruction that a rule can check, and texts that certainly break them.

The kinds are those of IFEval (Zhou et al. 2023, arXiv 2311.07911) whose terms can be read from the instruction (``terms.py``).
A
check returns True or False only where every way of counting agrees, else None. So if a text passes, and its changed version
gives False, the change breaks the constraint under any way of counting.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

from mene.curate.make import edits, forms, terms
from mene.curate.make.edits import Draw
from mene.curate.make.terms import Bound, amount, says

# Words of a question about all constraints of the instruction.
EVERY = "every explicit format, length and keyword constraint"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of constraint.

    Attributes:
        rubric: words of a question about this constraint alone.
        parse: the terms in an instruction, e.g. ``(300, inf)``; None where it has no such constraint, or an ambiguous one.
        check: whether a text satisfies the terms; None where that depends on how one counts.
        breaks: returns a changed text that should break them, from one that satisfies them. Takes the text, the terms, a draw,
            and other responses to take sentences from.
        named: the terms where the question names the constraint and ``parse`` finds nothing.
    """

    rubric: str
    parse: Callable[[str], Any]
    check: Callable[[str, Any], bool | None]
    breaks: Callable[[str, Any, Draw, str], str | None]
    named: Any = None


def asked(instruction: str, question: str) -> dict[str, Any]:
    """Return kind of constraint → its terms: the one that the question names, or all that the instruction states.

    Empty where the question is about something else, or about an unknown kind of constraint.
    """
    found = {}
    for name, kind in KINDS.items():
        named = kind.rubric in question
        if named or EVERY in question:
            found[name] = kind.parse(instruction) or (kind.named if named else None)
    return {name: demand for name, demand in found.items() if demand is not None}


def broken(
    instruction: str, question: str, text: str, draw: Draw, spare: str
) -> tuple[str, str] | None:
    """Return the kind of a constraint that ``text`` certainly satisfies, and a text that certainly breaks it; None without one.

    Args:
        spare: other responses, whose sentences may be added.
    """
    found = asked(instruction, question)
    for name in sorted(found, key=lambda name: draw(f"constraint {name}")):
        kind, demand = KINDS[name], found[name]
        if kind.check(text, demand) is not True:
            continue
        new = kind.breaks(text, demand, draw, spare)
        if new and edits.words(new) and kind.check(new, demand) is False:
            return name, new
    return None


def _counted(
    rubric: str,
    parse: Callable[[str], Bound | None],
    count: Callable[[str], Bound],
    breaks: Callable[[str, Bound, Draw, str], str | None],
    named: Bound | None = None,
) -> Kind:
    def check(text: str, bound: Bound) -> bool | None:
        return forms.within(count(text), bound)

    return Kind(rubric, parse, check, breaks, named)


def _plain(
    rubric: str,
    sign: str,
    check: Callable[[str], bool | None],
    breaks: Callable[[str, bool, Draw, str], str | None],
) -> Kind:
    """Return a constraint without further terms: ``sign`` matches how instructions state it."""
    return Kind(rubric, says(sign), lambda text, _: check(text), breaks, True)


def _parts(instruction: str) -> Bound | None:
    if "***" not in instruction or "*" * 6 in instruction:
        return None
    return amount(instruction, "paragraphs?|parts|sections|stanzas", bare=lambda n: (n, n))


def _shouts(instruction: str) -> Bound | None:
    noun = r"(?:words?|words or phrases)(?: in the \w+)?(?: be)? in all (?:capital|caps)"
    lead = r"words (?:with|in) all capital letters (?:\([^)]*\) )?(?:should appear )?"
    return amount(instruction, noun) or amount(instruction, "times", lead)


def _all_in(text: str, words: tuple[str, ...]) -> bool:
    return all(word.casefold() in text.casefold() for word in words)


def _none_in(text: str, words: tuple[str, ...]) -> bool:
    return not any(forms.times(text, word)[0] for word in words)


def _drop(text: str, words: tuple[str, ...], draw: Draw, spare: str) -> str | None:
    return forms.without(text, words[int(draw("keyword") * len(words))], 0)


def _plant(text: str, words: tuple[str, ...], draw: Draw, spare: str) -> str | None:
    return forms.plant(text, words[int(draw("keyword") * len(words))], 1, draw)


def _has_no_comma(text: str) -> bool | None:
    return False if "," in text else None if set("，、،") & set(text) else True


def _in_case(text: str, changed: str, other: str) -> bool | None:
    """Return whether all letters are of one case; None where the script has no case."""
    return None if changed == other else text == changed


def _titled(text: str) -> bool | None:
    return True if forms.TITLE.search(text) else None if "<<" in text else False


def _repeats(text: str, instruction: str) -> bool:
    return edits.says(instruction, " ".join(edits.words(text)[:7]))


KINDS = {
    "words": _counted(
        "meet the word-count requirement",
        lambda text: amount(text, r"words?\b(?! (?:in|with|be|or|that|of|starting)\b)"),
        forms.words,
        partial(forms.resize, forms.words),
    ),
    "sentences": _counted(
        "meet the sentence-count requirement",
        lambda text: amount(text, r"sentences?\b"),
        forms.sentences,
        partial(forms.resize, forms.sentences),
    ),
    "bullets": _counted(
        "exactly the requested number of bullet points",
        lambda text: amount(text, r"bullet points?", bare=lambda n: (n, n)),
        forms.bullets,
        forms.change_bullets,
    ),
    "parts": _counted(
        "it must have the requested number of paragraphs",
        _parts,
        forms.parts,
        forms.change_parts,
    ),
    "highlights": _counted(
        "highlight at least the requested number of sections",
        lambda text: amount(text, r"\w+", r"\b(?:highlight|itali[cs]i[sz]e)(?: with \w+)? "),
        forms.highlights,
        partial(forms.unwrap, forms.HIGHLIGHT),
        (1, inf),
    ),
    "placeholders": _counted(
        "at least the requested number of [placeholders]",
        lambda text: amount(text, "placeholders?"),
        forms.holders,
        partial(forms.unwrap, forms.HOLDER),
        (1, inf),
    ),
    "capital words": _counted(
        "use all-capital words the requested number of times",
        _shouts,
        forms.shouts,
        partial(forms.unwrap, forms.SHOUT),
    ),
    "frequency": Kind(
        "use the named keyword the requested number of times",
        terms.frequency,
        lambda text, terms: forms.within(forms.times(text, terms[0]), terms[1]),
        forms.change_times,
    ),
    "keywords": Kind("include the required keywords", terms.wanted, _all_in, _drop),
    "forbidden": Kind("avoid the forbidden words", terms.unwanted, _none_in, _plant),
    "ending": Kind(
        "end with the exact requested phrase", terms.ending, forms.ends, forms.change_ending
    ),
    "repeated": Kind(
        "repeat the request word for word",
        lambda text: text if re.search(r"\brepeat\b", text, re.I) else None,
        _repeats,
        forms.misquote,
    ),
    "commas": _plain(
        "use no commas",
        r"(?:\bno|\bnot|n't|\bwithout|\bany|\bavoid|\brefrain)\b[^.\n]{0,40}\bcommas?\b",
        _has_no_comma,
        forms.add_comma,
    ),
    "capitals": _plain(
        "with all capital letters",
        # Not "at least 3 words in all capital letters".
        r"^(?![\s\S]*\b(?:words?|phrases)\b[^.]{0,25}\ball (?:capital|caps))[\s\S]*"
        r"\ball (?:capital letters|caps)\b",
        lambda text: _in_case(text, text.upper(), text.lower()),
        partial(forms.recase, str.lower),
    ),
    "small letters": _plain(
        "with no capital letters",
        r"(?<!no )\blower ?case|\bno capital letters",
        lambda text: _in_case(text, text.lower(), text.upper()),
        partial(forms.recase, forms.capitalise),
    ),
    "quotation": _plain(
        "wrapped in double quotation marks",
        r"(?:double|with|in|inside) quot",
        forms.quoted,
        forms.unquote,
    ),
    "title": _plain(
        "title in double angular brackets",
        "double angular brackets",
        _titled,
        lambda text, _, draw, spare: forms.unwrap(forms.TITLE, text, (1, inf), draw, spare),
    ),
    "postscript": _plain(
        "end with the requested postscript",
        r"\bP\.S\b|\bP\.P\.S\b|post ?script",
        lambda text: bool(forms.POSTSCRIPT.search(text)),
        forms.drop_postscript,
    ),
    "json": _plain(
        "wrapped entirely in JSON",
        r"\b(?:in|as|one|single) JSON\b|\bJSON (?:format|block|code)",
        forms.is_json,
        forms.spoil_json,
    ),
    "two": _plain(
        "two different responses separated by ******",
        r"\*{6}|six asterisk",
        forms.is_two,
        forms.join,
    ),
}
