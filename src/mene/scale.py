"""A scale: the short list of labels a judgement chooses from.

Knows nothing about criteria, prompts or models. Every judgement in mene, whether a 1-5 score,
a pass/fail, a class or a preference, is a choice of one label of one scale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

Kind = Literal["ordinal", "nominal", "pairwise"]


class Scale(BaseModel):
    """Labels in order, and what kind of choice they are.

    Attributes:
        kind: ``ordinal`` (numbers, a weighted mean makes sense), ``nominal`` (classes) or
            ``pairwise`` (``A``, ``B`` and optionally ``tie``).
        labels: two or more different labels. For a binary scale the first one is the
            *positive* class of the reports.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    labels: tuple[str, ...]

    @field_validator("labels", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return tuple(map(label_text, value)) if isinstance(value, list | tuple) else value

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
        if folded == ["yes", "no"]:
            parts = ["Yes", "No"]
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
        """The labels as numbers; for scales that are not ordinal, their positions from 0."""
        if self.kind != "ordinal":
            return tuple(float(i) for i in range(len(self.labels)))
        return tuple(float(label) for label in self.labels)

    def match(self, value: object) -> str | None:
        """Return the label that ``value`` names, or None. Strict: equality up to case and form.

        Numbers match ordinal labels of equal value, booleans match ``Yes``/``No`` and
        ``pass``/``fail``-like pairs by position (True is the first label).
        """
        if isinstance(value, bool):
            return self.labels[0 if value else 1] if self.is_binary else None
        if value is None:
            return None
        text = str(value).strip()
        for label in self.labels:
            if text.casefold() == label.casefold():
                return label
        if self.kind == "ordinal" and (number := _number(text)) is not None:
            for label, known in zip(self.labels, self.values, strict=True):
                if number == known:
                    return label
        return None

    def expected(self, probabilities: Mapping[str, float]) -> float | None:
        """Probability-weighted mean label of an ordinal scale; None for the others."""
        if self.kind != "ordinal":
            return None
        return sum(
            probabilities[label] * value
            for label, value in zip(self.labels, self.values, strict=True)
        )

    def swapped(self, probabilities: Mapping[str, float]) -> dict[str, float]:
        """The probabilities of a pairwise verdict with the seats of A and B exchanged."""
        other = {"A": "B", "B": "A"}
        return {label: probabilities[other.get(label, label)] for label in self.labels}


def label_text(label: object) -> str:
    """A label as text: YAML reads ``Yes`` as a boolean and ``1`` as a number."""
    if isinstance(label, bool):
        return "Yes" if label else "No"
    return str(label)


def _number(text: str) -> float | None:
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", text.strip()):
        return float(text)
    return None
