"""A scale: the short list of labels that a judgement chooses from.

Every judgement in mene (a 1-5 score, pass/fail, a class, a preference) is the choice of one label of one scale.
This module knows nothing about criteria, prompts or models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from operator import mul
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from mene.values.plain import plain

Kind = Literal["ordinal", "nominal", "pairwise"]
# Labels that the boolean True stands for.
TRUE = ("true", "yes", "y", "on", "pass", "passed", "correct")
FALSE = ("false", "no", "n", "off", "fail", "failed", "incorrect")


class Scale(BaseModel):
    """Labels in order, and the kind of choice between them.

    Attributes:
        kind: ``ordinal`` (numbers, a weighted mean makes sense), ``nominal`` (classes) or
            ``pairwise`` (``A``, ``B`` and optionally ``tie``).
        labels: two or more different labels. On a binary scale, the first is the *positive* class in reports.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    labels: tuple[str, ...]

    @field_validator("labels", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        labels = tuple(map(label_text, value))
        # One spelling in any case of letters, so that one calibration fits all.
        return ("Yes", "No") if [label.casefold() for label in labels] == ["yes", "no"] else labels

    @model_validator(mode="after")
    def _check(self) -> Scale:
        folded = [label.strip().casefold() for label in self.labels]
        if len(folded) < 2:
            raise ValueError("a scale needs at least two labels")
        if "" in folded:
            raise ValueError("a label is empty")
        if len(set(folded)) != len(folded):
            raise ValueError(
                f"labels differ only by case or are repeated: {', '.join(self.labels)}"
            )
        if any(label != label.strip() or "\n" in label for label in self.labels):
            raise ValueError("labels must not have outer white space or line breaks")
        if self.kind == "ordinal":
            values = [_number(label) for label in self.labels]
            if any(v is None for v in values):
                raise ValueError("labels of an ordinal scale must be numbers")
            if any(low >= high for low, high in pairwise(values)):  # type: ignore[operator]
                raise ValueError("labels of an ordinal scale must be in rising order")
        if self.kind == "pairwise" and self.labels not in (("A", "B"), ("A", "B", "tie")):
            raise ValueError("a pairwise scale has the labels A, B and optionally tie")
        return self

    @classmethod
    def likert(cls, low: int = 1, high: int = 5) -> Scale:
        """Whole numbers from ``low`` to ``high``, both included."""
        if high <= low:
            raise ValueError(f"likert({low}, {high}): the highest score must be above the lowest")
        return cls(kind="ordinal", labels=tuple(str(i) for i in range(low, high + 1)))

    @classmethod
    def binary(cls, positive: str = "Yes", negative: str = "No") -> Scale:
        """Two classes, the positive one first."""
        return cls(kind="nominal", labels=(positive, negative))

    @classmethod
    def classes(cls, *labels: str) -> Scale:
        """Named classes."""
        return cls(kind="nominal", labels=labels)

    @classmethod
    def pairwise(cls, ties: bool = False) -> Scale:
        """Which of two responses is better: ``A``, ``B`` and, with ``ties``, ``tie``."""
        return cls(kind="pairwise", labels=("A", "B", "tie") if ties else ("A", "B"))

    @classmethod
    def parse(cls, text: str) -> Scale:
        """Read the short form: ``1-5``, ``0-10``, ``yes/no``, ``a/b``, ``a/b/tie``, ``good/bad/ugly``.

        Raises:
            ValueError: the text is none of these.
        """
        try:
            return cls._parse(text.strip())
        except ValidationError as error:
            reason = error.errors()[0].get("ctx", {}).get("error", error)
            raise ValueError(f"cannot read scale {text!r}: {reason}") from None

    @classmethod
    def _parse(cls, text: str) -> Scale:
        if span := re.fullmatch(r"(-?\d+)\s*(?:-|–|\.\.|to)\s*(-?\d+)", text):
            low, high = int(span[1]), int(span[2])
            if low >= high:
                raise ValueError(
                    f"cannot read scale {text!r}: the lowest score comes first, and the highest is above it, as in 1-5"
                )
            if high - low > 100:
                raise ValueError(f"scale {text!r} has more than 101 labels")
            return cls.likert(low, high)
        parts = [p.strip() for p in re.split(r"[/,|]", text)]
        folded = [p.casefold() for p in parts]
        if folded in (["a", "b"], ["a", "b", "tie"]):
            return cls.pairwise(ties=len(parts) == 3)
        if len(parts) < 2:
            raise ValueError(
                f"cannot read scale {text!r}; write it like 1-5, yes/no, a/b or good/bad"
            )
        if all(_number(p) is not None for p in parts):
            return cls(kind="ordinal", labels=tuple(parts))
        return cls.classes(*parts)

    @property
    def is_binary(self) -> bool:
        """True for a nominal scale of two labels."""
        return self.kind == "nominal" and len(self.labels) == 2

    def __str__(self) -> str:
        if self.kind == "ordinal":
            low = int(self.values[0])
            if self.labels == tuple(str(low + i) for i in range(len(self.labels))):
                return f"{self.labels[0]}-{self.labels[-1]}"
        return "/".join(self.labels)

    @property
    def values(self) -> tuple[float, ...]:
        """The labels as numbers; on a scale that is not ordinal, their positions from 0."""
        if self.kind != "ordinal":
            return tuple(float(i) for i in range(len(self.labels)))
        return _numbers(self.labels)

    def match(self, value: object) -> str | None:
        """Return the label that ``value`` names, or None. Exact equality, except for case and number format.

        Numbers match ordinal labels of equal value. Booleans, and ``True`` and ``False`` as text (as in CSV), match a label
        with
        that meaning (``Yes``, ``pass``, ``on``), the labels 1 and 0 of a scale of these two, and otherwise the labels of a
        binary scale by position (True is the first).
        """
        value = plain(value)
        if value is None:
            return None
        text = str(value).strip()
        for label in self.labels:
            if text.casefold() == label.casefold():
                return label
        if text.casefold() in ("true", "false"):
            return self._truth(text.casefold() == "true")
        if self.kind == "ordinal" and (number := _number(text)) is not None:
            for label, known in zip(self.labels, self.values, strict=True):
                if number == known:
                    return label
        return None

    def _truth(self, value: bool) -> str | None:
        if self.kind == "pairwise":
            return None
        if self.kind == "ordinal":
            return self.labels[value] if self.values == (0, 1) else None
        folded = [label.casefold() for label in self.labels]
        for words, place in ((TRUE, value), (FALSE, not value)):
            named = [i for i, word in enumerate(folded) if word in words]
            if named and place:
                return self.labels[named[0]]
            if named and self.is_binary:
                return self.labels[1 - named[0]]
        return self.labels[not value] if self.is_binary else None

    def expected(self, probabilities: Mapping[str, float]) -> float | None:
        """Return the probability-weighted mean label of an ordinal scale; None for other scales."""
        if self.kind != "ordinal":
            return None
        return sum(map(mul, map(probabilities.__getitem__, self.labels), self.values))

    def swapped(self, probabilities: Mapping[str, float]) -> dict[str, float]:
        """Return the probabilities of a pairwise verdict with A and B exchanged."""
        return {label: probabilities[other_seat(label)] for label in self.labels}


def other_seat(label: str) -> str:
    """Return B for A, A for B, and a tie unchanged."""
    return {"A": "B", "B": "A"}.get(label, label)


def label_text(label: object) -> str:
    """Return a label as text; booleans and numbers (from YAML, JSON or NumPy) are converted."""
    label = plain(label)
    if isinstance(label, bool):
        return "Yes" if label else "No"
    return str(label)


def text_keys(value: object) -> object:
    """Return a mapping with its keys (labels) as text; anything else unchanged."""
    return {label_text(k): v for k, v in value.items()} if isinstance(value, dict) else value


@lru_cache(256)  # called twice per verdict, with few different values per run
def _numbers(labels: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(map(float, labels))


def _number(text: str) -> float | None:
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", text.strip()):
        return float(text)
    return None
