"""Reads responses of made points back: which facts they tell, with which values. It knows the templates, and nothing of
how a generator chose from them."""

from __future__ import annotations

import re
from functools import cache

from mene.curate.make.documents import Fact, Kind, Language, load_language

_SLOT = re.compile(r"\{(\w+)\}")
_WORDS = "two three four five six seven eight nine ten eleven twelve"
_SMALL = {word: str(n) for n, word in enumerate(_WORDS.split(), start=2)}


@cache
def values(language: str, slot: str) -> dict[str, frozenset[str]]:
    """How a response writes a value of a slot -> how documents write it."""
    lang = load_language(language)
    found: dict[str, set[str]] = {}
    if match := re.fullmatch(r"(?:(\w+) )?(\d+)\.\.(\d+)(?:/(\d+))?", slot):
        for n in range(int(match[2]), int(match[3]) + 1, int(match[4] or 1)):
            text = f"{n:,}".replace(",", lang.thousands) if n > 2100 else str(n)
            say, tell = lang.money if match[1] else ("{}", "{}")
            found.setdefault(tell.format(text), set()).add(say.format(text))
    elif slot == "date":
        for day in range(1, 29):
            for n, month in enumerate(lang.months, start=1):
                say, tell = (form.format(d=day, m=month, n=n) for form in lang.dates)
                found.setdefault(tell, set()).add(say)
    elif slot == "time":
        for hour in range(7, 21):
            for minute in ("00", "15", "30", "45"):
                half = "am" if hour < 12 else "pm"
                parts = {"h": hour, "k": (hour - 1) % 12 + 1, "min": minute, "half": half}
                say, tell = (form.format(**parts) for form in lang.times)
                found.setdefault(tell, set()).add(say)
    else:
        for one in lang.banks.get(slot) or slot.split(" | "):
            say, _, tell = one.partition(" = ")
            found.setdefault(tell or say, set()).add(say)
    if language == "en":
        found |= {w: found[n] for w, n in _SMALL.items() if n in found}
    return {tell: frozenset(says) for tell, says in found.items()}


def pattern(text: str, kind: Kind, language: str, forms: dict[str, str] | None = None) -> str:
    """A regular expression for a sentence: slots as in ``forms``, or of any value."""
    parts, at, seen = [], 0, set()
    for slot in _SLOT.finditer(text):
        parts.append(re.escape(text[at : slot.start()]))
        name, at = slot[1], slot.end()
        if forms is not None:
            parts.append(forms.get(name, ".+?"))
        elif name in seen:
            parts.append(f"(?i:(?P={name}))")
        else:
            tells = sorted(values(language, kind.slots[name]), key=len, reverse=True)
            parts.append(f"(?P<{name}>{'|'.join(map(re.escape, tells))})")
            seen.add(name)
    return "".join(parts) + re.escape(text[at:])


@cache
def tellings(language: str) -> tuple[tuple[Kind, Fact, re.Pattern[str]], ...]:
    lang = load_language(language)
    return tuple(
        (kind, fact, re.compile(pattern(tell, kind, language) + r"(?: |$)", re.I))
        for kind in lang.kinds
        for fact in kind.facts
        for tell in fact.tell
    )


def told(response: str, language: str) -> list[list[tuple[Fact, str]]]:
    """Every way to read a response: facts, and a pattern of the sentence by which a document would say each."""
    lang: Language = load_language(language)
    for lead in lang.leads:
        response = response.removeprefix(lead)

    def read(text: str, kind: Kind | None) -> list[list[tuple[Fact, str]]]:
        if not text:
            return [[]]
        found = []
        for its, fact, telling in tellings(language):
            if (kind is None or its is kind) and (match := telling.match(text)):
                forms = {}
                for name, tell in match.groupdict().items():
                    table = values(language, its.slots[name])
                    says = {
                        s
                        for t, many in table.items()
                        if t.casefold() == tell.casefold()
                        for s in many
                    }
                    forms[name] = f"(?:{'|'.join(map(re.escape, sorted(says)))})"
                said = pattern(fact.say, its, language, forms)
                rest = read(text[match.end() :], its)
                found += [[(fact, said), *more] for more in rest]
        return found

    return read(response, None)


def says(document: str, said: str) -> bool:
    """Whether a document has a sentence of the pattern."""
    return re.search(rf"(?:^|(?<=\s)){said}(?=\s|$)", document, re.I) is not None
