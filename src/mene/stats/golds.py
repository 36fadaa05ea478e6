"""Gold labels with other spellings than the scale's: unambiguous ones, and those that a user maps.

`1`, `0`, `True` and `False` are common spellings of Yes and No. Whether `PASS` is a Yes depends on the question ("Is it
rude?"), so it is never guessed: `--labels "PASS=No,FAIL=Yes"` says it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from mene.errors import UsageError, nearest
from mene.scale import Scale

# Pairs of words: (for yes, for no). The first of each is the usual label.
FAMILIES = (
    (("yes", "y"), ("no", "n")),
    (("true", "t"), ("false", "f")),
    (("pass", "passed"), ("fail", "failed")),
)
EVERYWHERE = (("1", "true"), ("0", "false"))  # added to every pair
_LONGEST = 40  # characters of a gold value in a message
_SPECIAL = re.compile(r"[^\w ,=./:+-]")  # may be special in a shell, even between double quotes
_WHOLE = re.compile(r"^([+-]?\d+)\.0+$")
RELATED = ((("yes", "y", "true", "t"), ("no", "n", "false", "f")), FAMILIES[2])


def plainly(value: object, labels: Iterable[str]) -> bool | None:
    """Return whether a gold value means the yes (True) or the no (False) of two labels like Yes and No; None: neither."""
    words = {label.casefold() for label in labels}
    for yes, no in RELATED:
        if words and words <= {*yes, *no}:
            text = _folded(value)
            if text in yes or text in EVERYWHERE[0]:
                return True
            if text in no or text in EVERYWHERE[1]:
                return False
    return None


def matched(value: object, scale: Scale) -> str | None:
    """Return the label of a binary scale that a gold value unambiguously means, or None."""
    meant = plainly(value, scale.labels) if scale.is_binary else None
    if meant is None:
        return None
    return next((label for label in scale.labels if plainly(label, [label]) is meant), None)


def settled(labels: list[str], golds: Iterable[Any]) -> tuple[list[str], list[Any]]:
    """Return the labels and the gold values that do not simply mean one of them. If only one label of a pair was given and a
    gold value means the other, that label is added."""
    golds = list(golds)
    meant = {plainly(gold, labels) for gold in golds} - {None}
    if not meant or len(labels) > 2:
        return labels, golds
    here = {plainly(label, [label]) for label in labels}
    if len(labels) == 1 and meant - here:
        labels = [*labels, _opposite(labels[0])]
    return labels, [gold for gold in golds if plainly(gold, labels) is None]


def _opposite(label: str) -> str:
    """Return ``No`` for ``Yes``, ``FAIL`` for ``PASS``."""
    for sides in FAMILIES:
        for own, other in (sides, sides[::-1]):
            if label.casefold() in own:
                text = other[own.index(label.casefold())]
                return text.upper() if label.isupper() else text.capitalize()
    raise ValueError(label)


def read_names(text: str | None) -> dict[str, str]:
    """Parse ``1=Yes,0=No`` as gold value -> label.

    Raises:
        UsageError: it has another form.
    """
    found: dict[str, str] = {}
    for pair in (text or "").split(",") if text is not None else []:
        gold, equals, label = (part.strip() for part in pair.partition("="))
        if not (gold and equals and label):
            raise UsageError(f'--labels {text}: write it like --labels "1=Yes,0=No"')
        if found.setdefault(_folded(gold), label) != label:
            raise UsageError(f"--labels {text}: {gold} is named twice")
    return found


def named(value: Any, names: Mapping[str, str]) -> Any:
    """Return the label that ``names`` has for a gold value, else the value."""
    return names.get(_folded(value), value) if names else value


def check_names(names: Mapping[str, str], labels: Iterable[str]) -> None:
    """Check that the labels in ``names`` are on the scale.

    Raises:
        UsageError: one is not.
    """
    labels = list(labels)
    folded = {label.casefold() for label in labels}
    for label in names.values():
        if label.casefold() not in folded:
            near = nearest(label, labels)
            raise UsageError(
                f'--labels: "{label}" is not on the scale {"/".join(labels)}{near}; write --labels "GOLD=LABEL,…"'
            )


def example(strange: Iterable[str], labels: Iterable[str]) -> str:
    """Return a ``--labels`` option to copy and correct, for gold values that are on no scale.

    A number (1990, or 7 of 5) gets no label, since its meaning is unknown.
    """
    strange, labels = [s for s in strange if _can_be_copied(s) and not _is_number(s)], list(labels)
    if len(labels) == 2:  # a FAIL is more likely the No
        sides = {plainly(s, [s]): s for s in reversed(strange)}
        if {True, False} <= sides.keys():
            strange = [sides[True], sides[False]]
            labels.sort(key=lambda label: plainly(label, [label]) is False)
    pairs = [f"{s}={label}" for s, label in zip(strange, labels, strict=False)]
    text = ",".join(pairs) or "GOLD=LABEL"
    # It will be copied into a shell, and gold values may contain anything.
    return f"--labels {shlex.quote(text)}" if _SPECIAL.search(text) else f'--labels "{text}"'


def _can_be_copied(gold: str) -> bool:
    return len(gold) <= _LONGEST and gold.isprintable() and not {",", "="} & set(gold)


def _is_number(gold: str) -> bool:
    try:
        float(gold)
    except ValueError:
        return False
    return True


def brief(gold: str) -> str:
    """Shorten a gold value for a message: a table may hold a whole answer where a label should be."""
    return gold if len(gold) <= _LONGEST else f"{gold[:_LONGEST]}…"


def _folded(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _WHOLE.sub(
        r"\1", str(value).strip().casefold()
    )  # a column of integers may be stored as floats
