"""Splitting a text into pieces that each claim something: sentences, list items, table rows; each with its position.

Not a library: those with wheels, without downloads and for several languages (sentencex, pysbd) must be told the language,
which
tables do not state, and split "z. B.", "EE. UU." or "1892 г." if it is another one. Nothing supports half a sentence, so this
code rather keeps text together: a full stop ends a sentence only after a word that is no abbreviation in any of these
languages,
no initial and no ordinal number, and before a word that does not start with a small letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

# Abbreviations after which a full stop does not end a sentence, in any language.
WORDS = """
    mr mrs ms dr prof st sr jr vs etc eg ie approx fig figs no nos vol pp ed eds al inc ltd co corp dept est gen gov hon
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun ave blvd rd col sgt capt lt rev cf ca viz
    bzw evtl ggf inkl mind nr s str tel usw vgl zzgl abb abs art bd hrsg hl jh jhd kap sog
    m mm mme mlle av env p éd chap sra srta ud uds ee uu pág págs ej núm sig sigg dott ecc pag dhr mevr bijv blz enz
    г гг ул стр рис т др пр им тыс млн млрд руб см
"""
SHORT = frozenset(WORDS.split())
ENDS = ".!?…"
ENDS_ALONE = "。！？｡।॥؟۔።"  # need no space after them, or have no other use
CLOSERS = "\"'”’»)]}）」』】›*_`"
END = re.compile(rf"[{re.escape(ENDS + ENDS_ALONE)}]+")
WORD_BEFORE = re.compile(r"[^\s(\[{«“\"'„‚‹（「『]+$")
ITEM = re.compile(r"[ \t]*(?:[-*+•·‣▪–—]|\(?\d{1,3}[.)]|\(?[a-zA-Z]\))[ \t]+(?=\S)")
NUMBERED = re.compile(r"^[ \t>]*\(?\d{1,3}[.)][ \t]+\S", re.MULTILINE)
HEADING = re.compile(
    r"[ \t]*(?:#{1,6}[ \t]+\S.*|(\*\*|__)[^*_]*[^*_.!…。！]\1:?|[=\-_*~]{3,})[ \t]*$"
)
QUOTED = re.compile(r"[ \t]*(?:>[ \t]?)+")
ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$")
# Blanks that two parts of a pattern could share out between them would take quadratic time: each run has one part.
RULE = re.compile(r"[ \t]*(?:\|[ \t]*)?:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*(?:\|[ \t]*)?$")
FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
FRENCH = re.compile(r"\s»")
FOLLOWING = re.compile(r"[\s\"'“„«‚‹(\[*_¿¡]{0,20}(.)")
# Before a number with a full stop, these make it an ordinal ("am 3. Oktober").
ORDINAL = re.compile(
    r"(?:^|\b(?:am|vom|zum|der|die|das|dem|den|des|im|bis|seit|ab|und|den|d\.|og|til)\s+)\d{1,2}$",
    re.I,
)
WRAPPED = 50  # characters: a shorter line was not wrapped automatically


class Piece(NamedTuple):
    """A piece of a text.

    Attributes:
        start, end: its position, in characters, without white space, list markers and quotes.
        lead: preceding text that it needs to be understood: "The causes are:", a table's column names.
        kind: ``sentence``, ``row`` (of a table) or ``code``.
    """

    start: int
    end: int
    lead: str = ""
    kind: str = "sentence"


def pieces(text: str) -> list[Piece]:
    """Return the pieces of a text, in order, without overlap. Text between them (headings, rules, white space, questions,
    introductory lines) claims nothing.
    """
    found: list[Piece] = []
    lead = ""
    blocks = list(_blocks(text))
    for n, (start, end, kind, lines) in enumerate(blocks):
        if kind == "code":
            found.append(Piece(start, end, lead, "code"))
            lead = ""
        elif kind == "table":
            found += _rows(text, lines)
            lead = ""
        else:
            own = [piece for piece in _sentences(text, start, end) if _claims(text, piece)]
            last = text[start:end].rstrip()
            if kind == "item":
                found += [Piece(*piece, lead) for piece in own]
                continue
            lead = ""
            leads = n + 1 < len(blocks) and blocks[n + 1][2] != "text"
            if own and leads and last.endswith((":", "：")):
                lead = text[slice(*own.pop())]
            found += [Piece(*piece) for piece in own]
    return found


def _blocks(text: str) -> Iterator[tuple[int, int, str, list[tuple[int, int]]]]:
    """Yield groups of lines: code, tables, list items, paragraphs. Headings are left out."""
    lines = [(m.start(), m.end()) for m in re.finditer(r"[^\n]+", text)]
    n, before = 0, -1
    several = len(NUMBERED.findall(text)) > 1  # a single one may be a date: "3. Oktober"
    run: list[tuple[int, int]] = []
    kind = ""

    def flush() -> Iterator[tuple[int, int, str, list[tuple[int, int]]]]:
        if run:
            yield run[0][0], run[-1][1], kind, list(run)
            run.clear()

    while n < len(lines):
        start, end = lines[n]
        line = text[start:end]
        blank = not line.strip() or (before >= 0 and text.count("\n", before, start) > 1)
        before = end
        n += 1
        if blank:
            yield from flush()
            if not line.strip():
                continue
        if mark := FENCE.match(line):
            yield from flush()
            close = re.compile(rf"[ \t]*{re.escape(mark[1])}+[ \t]*$")
            while n < len(lines) and not close.match(text[slice(*lines[n])]):
                n += 1
            last = lines[min(n, len(lines) - 1)][1]
            n, before = n + 1, last
            inner = start + len(line) - len(line.lstrip())
            yield inner, inner + len(text[inner:last].rstrip()), "code", []
            continue
        if quote := QUOTED.match(line):
            start += quote.end()
            line = line[quote.end() :]
        if ROW.match(line) or (run and kind == "table" and "|" in line):
            if kind != "table":
                yield from flush()
            kind = "table"
            run.append((start, end))
        elif HEADING.match(line) and not (ITEM.match(line) and not RULE.match(line)):
            yield from flush()
        elif (item := ITEM.match(line)) and (several or not NUMBERED.match(line)):
            yield from flush()
            kind = "item"
            run.append((start + item.end(), end))
        elif run and kind in ("item", "text") and not _ends_on_purpose(text, run[-1]):
            run.append((start, end))
        else:
            yield from flush()
            kind = "text"
            run.append((start, end))
    yield from flush()


def _ends_on_purpose(text: str, line: tuple[int, int]) -> bool:
    """Return whether a line is short, so that the next one starts something new."""
    return line[1] - line[0] < WRAPPED


def _rows(text: str, lines: list[tuple[int, int]]) -> Iterator[Piece]:
    """Yield the rows of a table, each with the column names, if the table has them."""
    ruled = len(lines) > 1 and RULE.match(text[slice(*lines[1])])
    names = " | ".join(_cells(text[slice(*lines[0])])) if ruled else ""
    for start, end in lines[2:] if ruled else lines:
        row = text[start:end]
        if not RULE.match(row) and any(c.isalnum() for c in row):
            inner = start + len(row) - len(row.lstrip())
            yield Piece(inner, start + len(row.rstrip()), names, "row")


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def _claims(text: str, piece: tuple[int, int]) -> bool:
    """Return whether a piece claims anything; questions and mere punctuation do not."""
    said = text[slice(*piece)].rstrip(CLOSERS + " ")
    return not said.endswith(("?", "？", "؟")) and any(c.isalnum() for c in said)


def _sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the sentences of a paragraph. A single word ("Sure!", "Yes.") is joined to the next sentence, or else the last."""
    end = start + len(text[start:end].rstrip())
    cuts = [start, *_cuts(text, start, end), end]
    found: list[tuple[int, int]] = []
    carried: int | None = None
    for a, b in pairwise(cuts):
        said = text[a:b]
        if not said.strip():
            continue
        a, b = a + len(said) - len(said.lstrip()), a + len(said.rstrip())
        a, carried = (a if carried is None else carried), None
        bare = text[a:b]
        if _is_one_word(bare):
            if b < end:
                carried = a
                continue
            if found:
                found[-1] = (found[-1][0], b)
                continue
        found.append((a, b))
    return found


def _is_one_word(said: str) -> bool:
    """Return whether it is a single word, in a script with spaces, which means nothing alone."""
    if len(said.split()) != 1 or not said.isascii() or said.endswith("?"):
        return False
    return not any(c.isdigit() for c in said)


def _cuts(text: str, start: int, end: int) -> Iterator[int]:
    """Yield the ends of sentences."""
    for match in END.finditer(text, start, end):
        at = match.end()
        closed = at
        while closed < end and text[closed] in CLOSERS:
            closed += 1
        if closed == at and FRENCH.match(text, closed, end):
            closed += 2
        if match[0][-1] in ENDS_ALONE:
            if closed in (at, end) or text[closed].isspace():
                yield closed
            continue
        if closed < end and not text[closed].isspace():
            continue
        if (following := FOLLOWING.match(text, closed, end)) and following[1].islower():
            continue
        if match[0] == "." and not _ends_here(text[max(start, match.start() - 40) : match.start()]):
            continue
        yield closed


def _ends_here(before: str) -> bool:
    """Return whether a full stop after this text ends a sentence."""
    found = WORD_BEFORE.search(before)
    word = found[0] if found else ""
    bare = word.strip(CLOSERS)
    if bare.casefold() in SHORT:
        return False
    if any(c.isdigit() for c in bare):
        return not ORDINAL.search(before)
    if "." in bare.strip("."):
        return len(bare) > 6  # "U.S." and "z.B." do not; "main.py" does
    return len(bare) != 1 or not bare.isalpha()
