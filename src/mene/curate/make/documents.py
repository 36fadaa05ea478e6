"""Generated documents whose every sentence is known: what it says, and other wordings of it.

``documents/LANGUAGE.yaml`` has kinds of documents. A kind has *slots* (drawn values: a number, a name, one of several
statements)
and *facts*; a fact has a sentence of the document (``say``), the same in other words (``tell``) and a question (``ask``). A
document draws its values and some of the facts. Telling a fact with another value, or a fact that was not drawn, says what the
document does not say. Right and wrong statements use the same wordings and values, so only the document tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from mene.curate.make.edits import UP_TO_TWELVE, words
from mene.curate.make.texts import read_texts
from mene.curate.raw.sources import View

LANGUAGES = ("en", "de", "fr", "it", "pt", "es")
TRIES = 40  # draws to find a different value
_RANGE = re.compile(r"(?:(\w+) )?(\d+)\.\.(\d+)(?:/(\d+))?$")
_SLOT = re.compile(r"\{(\w+)\}")
_SMALL = dict(enumerate(UP_TO_TWELVE))


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a slot.

    Attributes:
        say, tell: as written in the document, and in a response.
        bank: what it was drawn from. Two slots with the same bank never have the same value in a document.
    """

    say: str
    tell: str
    bank: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence of a kind of document; see the top of this file."""

    ask: str
    say: str
    tell: tuple[str, ...]

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots that the sentence and all its other wordings contain."""
        texts = (self.say, *self.tell)
        return tuple(s for s in _SLOT.findall(self.tell[0]) if all(f"{{{s}}}" in t for t in texts))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document."""

    name: str
    slots: dict[str, str]
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Language:
    """Everything in one language.

    Attributes:
        banks: name -> values to draw from.
        months: their names.
        dates, times, money: two formats of each, in the document and in a response.
        thousands: separates the thousands of a number.
        summarise: requests for a summary.
        leads: beginnings of a response.
        views: ``supported`` and ``correct``; empty in English, which uses those of ``sources.yaml``.
    """

    name: str
    banks: dict[str, tuple[str, ...]]
    months: tuple[str, ...]
    dates: tuple[str, str]
    times: tuple[str, str]
    money: tuple[str, str]
    thousands: str
    summarise: tuple[str, ...]
    leads: tuple[str, ...]
    views: dict[str, View]
    kinds: tuple[Kind, ...]

    def value(self, slot: str, draw: Random) -> Value:
        """Draw the value of a slot."""
        if found := _RANGE.match(slot):
            form, low, high, step = found[1] or "number", int(found[2]), int(found[3]), found[4]
            number = draw.randrange(low, high + 1, int(step or 1))
            text = f"{number:,}".replace(",", self.thousands) if number > 2100 else str(number)
            if form == "money":
                say, tell = self.money
                return Value(say.format(text), tell.format(text), form)
            return Value(text, text, form)
        if slot == "date":
            day, month = draw.randint(1, 28), draw.randrange(12)
            parts = {"d": day, "m": self.months[month], "n": month + 1}
            return Value(self.dates[0].format(**parts), self.dates[1].format(**parts), slot)
        if slot == "time":
            hour, minute = draw.randint(7, 20), draw.choice(("00", "15", "30", "45"))
            half = "am" if hour < 12 else "pm"
            parts = {"h": hour, "k": (hour - 1) % 12 + 1, "min": minute, "half": half}
            return Value(self.times[0].format(**parts), self.times[1].format(**parts), slot)
        if slot in self.banks:
            text = draw.choice(self.banks[slot])
            return Value(text, text, slot)
        say, _, tell = draw.choice(slot.split(" | ")).partition(" = ")
        return Value(say, tell or say, slot)


@dataclass(frozen=True, slots=True)
class Document:
    """A generated document.

    Attributes:
        values: slot -> value.
        facts: those that it states, in order.
        absent: those that it does not state.
    """

    language: Language
    kind: Kind
    values: dict[str, Value]
    facts: tuple[Fact, ...]
    absent: tuple[Fact, ...]

    def sentence(self, fact: Fact) -> str:
        """Return the fact as the document says it."""
        return _capital(fact.say.format(**{name: v.say for name, v in self.values.items()}))

    @property
    def text(self) -> str:
        """Return the document's text."""
        return " ".join(self.sentence(fact) for fact in self.facts)

    def question(self, fact: Fact) -> str:
        """Return the question about a fact."""
        return _capital(fact.ask.format(**{name: v.say for name, v in self.values.items()}))

    def told(self, fact: Fact, draw: Random, changed: dict[str, Value] | None = None) -> str:
        """Return the fact in other words, with some values changed."""
        values = self.values | (changed or {})
        wording = draw.choice(fact.tell)
        texts = {name: value.tell for name, value in values.items()}
        for name in self._counted(wording):
            if texts[name].isdigit() and int(texts[name]) in range(2, 13) and draw.random() < 0.4:
                texts[name] = _SMALL[int(texts[name])]
        return _capital(wording.format(**texts))

    def other(self, fact: Fact, draw: Random) -> tuple[str, dict[str, Value]] | None:
        """Return the kind of a change, and the changed values: another value for a slot of a fact, or two values exchanged.

        Half the time it is a value that occurs elsewhere in the document, if there is one.
        """
        slots = list(fact.slots)
        if not slots:
            return None
        name = draw.choice(slots)
        old = self.values[name]
        same = [
            s
            for s in slots
            if self.values[s].bank == old.bank and self._differs(self.values[s], old)
        ]
        counts = old.bank in (
            "number",
            "money",
        )  # of 40 minutes at 200 degrees the change would be absurd
        if same and not counts and draw.random() < 0.5:
            return "roles", {name: self.values[same[0]], same[0]: old}
        shown = [
            self.values[s]
            for f in self.facts
            for s in f.slots
            if self.values[s].bank == old.bank and self._differs(self.values[s], old)
        ]
        if shown and not counts and draw.random() < 0.5:
            return change_of(old.bank), {name: draw.choice(shown)}
        for _ in range(TRIES):
            new = self.language.value(self.kind.slots[name], draw)
            if self._differs(new, old):
                return change_of(old.bank), {name: new}
        return None

    def _differs(self, one: Value, other: Value) -> bool:
        mine, theirs = words(one.say), words(other.say)
        return mine != theirs and words(one.tell) != words(other.tell)

    def _counted(self, wording: str) -> Iterator[str]:
        """Yield slots between two words, where a number may be written as a word. English only."""
        if self.language.name == "en":
            for found in re.finditer(r"(?<=[a-z] )\{(\w+)\} [a-z]{3}", wording):
                yield found[1]


def change_of(bank: str) -> str:
    """Return the kind of change that another value of a bank is."""
    if bank in ("number", "money"):
        return "number"
    if bank in ("date", "time", "weekday", "month"):
        return "date"
    return "statement" if " | " in bank else "name"


def draw_document(language: Language, draw: Random, least: int = 4, most: int = 7) -> Document:
    """Return a document of a random kind, with ``least`` to ``most`` facts; at least one fact is left out."""
    kind = draw.choice(language.kinds)
    values: dict[str, Value] = {}
    for name, slot in kind.slots.items():
        taken = [v for v in values.values() if " | " not in v.bank]
        for _ in range(TRIES):
            values[name] = language.value(slot, draw)
            if not any(v.bank == values[name].bank and v.say == values[name].say for v in taken):
                break
    most = min(most, len(kind.facts) - 1)
    count = draw.randint(min(least, most), most)
    places = sorted(draw.sample(range(len(kind.facts)), count))
    facts = tuple(kind.facts[n] for n in places)
    absent = tuple(f for n, f in enumerate(kind.facts) if n not in places)
    return Document(language, kind, values, facts, absent)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


@cache
def load_language(name: str) -> Language:
    """Read one of ``LANGUAGES`` from its file."""
    data = read_texts(f"documents/{name}.yaml")
    kinds = tuple(
        Kind(kind, dict(part["slots"]), tuple(map(_fact, part["facts"])))
        for kind, part in data.pop("kinds").items()
    )
    banks = {bank: tuple(text.split(" | ")) for bank, text in data.pop("banks").items()}
    views = {view: View.model_validate(v) for view, v in data.pop("views", {}).items()}
    rest: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Language(name=name, banks=banks, views=views, kinds=kinds, **rest)


def _fact(part: list[Any]) -> Fact:
    ask, say, *tell = part
    return Fact(ask, say, tuple(tell))
