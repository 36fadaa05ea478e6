"""A criterion: the question to judge by, its scale, and what every label means.

Criteria are YAML that users copy and edit; the built-in ones live in ``mene/library/criteria``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import cache, lru_cache
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mene.criterion_name import FREE, named
from mene.errors import SampleError, UsageError, nearest
from mene.library.check import parse
from mene.library.load import CRITERIA, built_in, find, names, unknown
from mene.sample import FIELDS, Sample
from mene.scale import Kind, Scale, label_text, text_keys
from mene.values.value import as_text, is_given

UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


class Criterion(BaseModel):
    """What to judge: a question, its scale, and the fields of a sample that it needs.

    Attributes:
        name: short name, shown in results; default: one made from the words of the question.
        question: the rubric's objective, one or a few sentences.
        scale: the labels to choose from.
        labels: label -> what it means. All labels, or none.
        needs: fields a sample must have.
        uses: further fields shown to the judge where a sample has them.
        failing: labels that mean that something is wrong. Default: the second label of a binary scale, the lower half of an
            ordinal scale, none on other scales.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = FREE
    question: str = Field(min_length=1)
    scale: Scale
    labels: dict[str, str] = Field(default_factory=dict)
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ("instruction", "context", "reference")
    failing: tuple[str, ...] | None = None

    @field_validator("scale", mode="before")
    @classmethod
    def _short_scale(cls, value: object) -> object:
        if isinstance(value, str):
            return Scale.parse(value)
        if not isinstance(value, Scale | dict):  # e.g. `scale: yes`, a boolean in YAML
            raise ValueError(
                f"cannot read scale {value!r}; write it like 1-5, yes/no, a/b or good/bad"
            )
        return value

    @field_validator("labels", mode="before")
    @classmethod
    def _text_keys(cls, value: object) -> object:
        return text_keys(value)

    @field_validator("failing", mode="before")
    @classmethod
    def _text_items(cls, value: object) -> object:
        if value is None or isinstance(value, tuple):
            return value
        return [label_text(v) for v in (value if isinstance(value, list) else [value])]

    @model_validator(mode="after")
    def _check(self) -> Criterion:
        if self.name == FREE:
            object.__setattr__(self, "name", named(self.question))
        matched = {}
        for label, text in self.labels.items():
            known = self.scale.match(label)
            if known is None:
                raise ValueError(
                    f'label "{label}" is not on the scale {self.scale}{nearest(label, self.scale.labels)}'
                )
            if known in matched:
                raise ValueError(f'label "{known}" is described twice')
            matched[known] = text
        missing = [label for label in self.scale.labels if label not in matched]
        if matched and missing:
            raise ValueError(
                f"labels without a description: {', '.join(missing)}; describe them too (`{missing[0]}: …`), or leave all "
                "descriptions out"
            )
        if self.failing is None:
            object.__setattr__(self, "failing", _failing(self.scale))
        failing = [(label, self.scale.match(label)) for label in self.failing or ()]
        for label, known in failing:
            if known is None:
                raise ValueError(
                    f'failing: "{label}" is not on the scale {self.scale}{nearest(label, self.scale.labels)}'
                )
        object.__setattr__(self, "failing", tuple(known for _, known in failing))
        for field in (*self.needs, *self.uses):
            if field not in FIELDS:
                raise ValueError(_no_field(field))
        object.__setattr__(
            self, "labels", {label: matched[label] for label in self.scale.labels if matched}
        )
        if not self.needs:
            pair = self.scale.kind == "pairwise"
            object.__setattr__(
                self, "needs", ("response_a", "response_b") if pair else ("response",)
            )
        return self

    @property
    def in_words(self) -> bool:
        """Return whether the name was made from the question."""
        return self.name == named(self.question)

    @property
    def own_question(self) -> str:
        """The question, to be stored in a verdict; empty for a built-in criterion, whose name identifies it."""
        name = built_in(CRITERIA, self.name)
        return "" if name and builtin(name).question == self.question else self.question

    @property
    def facts(self) -> dict[str, Any]:
        """``question``, ``scale`` and ``failing``, to be stored in a verdict; all empty for an unchanged built-in criterion."""
        name = built_in(CRITERIA, self.name)
        own = builtin(name) if name else None
        if own and (own.question, own.scale, own.failing) == (
            self.question, self.scale, self.failing,
        ):  # fmt: skip
            return {"question": "", "scale": "", "failing": []}
        return {
            "question": self.own_question,
            "scale": _shortened(self.scale.kind, self.scale.labels),
            "failing": list(self.failing or ()),
        }

    def showing(self, fields: Collection[str]) -> Criterion:
        """Return the criterion with no other fields than those it needs and these, where a sample has them.

        Raises:
            UsageError: there is no such field.
        """
        if unknown := [field for field in fields if field not in FIELDS]:
            raise UsageError(_no_field(unknown[0]))
        return self.model_copy(update={"uses": tuple(f for f in FIELDS if f in fields)})

    @property
    def shown(self) -> tuple[str, ...]:
        """Fields of a sample that the judge sees, including the needed ones."""
        return _shown(self.needs, self.uses)

    def check(self, sample: Sample) -> None:
        """Raise ``SampleError`` that names the fields which this criterion needs and the sample lacks.

        An empty response is judged like any other; only an absent one counts as missing.
        """
        said = sample.__dict__
        missing = [f for f in self.needs if not is_given(said[f], f)]
        if missing:
            what = " and ".join(f'"{f}"' for f in missing)
            are, them = ("s", "them") if len(missing) > 1 else ("", "it")
            answers = all(f.startswith("response") for f in missing)
            how = 'missing or null (an empty answer is "")' if answers else "missing or empty"
            pair = " to compare two answers" if self.scale.kind == "pairwise" else ""
            raise SampleError(
                f"field{are} {what} {'are' if are else 'is'} {how}, and {self.name} needs "
                f"{them}{pair}; add {them}, or say which column it is with --map FIELD=COLUMN (in Python: columns=)"
            )
        for field in self.shown:  # a sample built in Python did not pass through `from_row`
            if said[field] is not None:
                as_text(said[field], field)

    def to_yaml(self) -> str:
        """Return the criterion as YAML, ready to be saved as a file and edited."""
        data: dict[str, Any] = {
            "name": self.name,
            "question": self.question,
            "scale": _short(self.scale),
            "labels": dict(self.labels),
            "needs": list(self.needs),
            "uses": list(self.uses),
        }
        if self.failing != _failing(self.scale):
            data["failing"] = list(self.failing or ())
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=88)


def _no_field(field: str) -> str:
    return f'no sample field "{field}"{nearest(field, FIELDS)}; the fields are {", ".join(FIELDS)}'


@lru_cache(256)  # called several times per row
def _shown(needs: tuple[str, ...], uses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f for f in FIELDS if f in needs or f in uses)


@lru_cache(256)  # every verdict of a run has the same one
def _shortened(kind: Kind, labels: tuple[str, ...]) -> str | dict[str, Any]:
    return _short(Scale(kind=kind, labels=labels))


def _failing(scale: Scale) -> tuple[str, ...]:
    if scale.kind == "ordinal":
        middle = (scale.values[0] + scale.values[-1]) / 2
        return tuple(
            label for label, value in zip(scale.labels, scale.values, strict=True) if value < middle
        )
    return scale.labels[1:] if scale.is_binary else ()


def _short(scale: Scale) -> str | dict[str, Any]:
    """Return the scale's short form, or its fields where the short form would be read as another scale."""
    try:
        if Scale.parse(str(scale)) == scale:
            return str(scale)
    except ValueError:
        pass
    return {"kind": scale.kind, "labels": list(scale.labels)}


def criterion_names() -> list[str]:
    """Names of the built-in criteria, sorted."""
    return names(CRITERIA)


@cache
def builtin(name: str) -> Criterion:
    """Return a built-in criterion by its exact name."""
    found = find(CRITERIA, name)
    assert found is not None
    return parse_criterion(found.text, found.source)


def parse_criterion(text: str, source: str) -> Criterion:
    """Read a criterion from YAML.

    Raises:
        UsageError: names the source, the line, the key and, for a typo, the nearest right one.
    """
    return parse(Criterion, text, source, plain=True)


def _is_question(spec: str) -> bool:
    """Several words, a sentence's punctuation at the end, or a script without spaces between words."""
    words = spec.split()
    if len(words) > 1:
        return True
    ends = bool(words) and len(words[0]) > 1 and words[0][-1] in "?？؟;¿。！!…"
    return ends or any(unicodedata.name(c, "").startswith(UNSPACED) for c in spec)


def is_set(text: str) -> bool:
    """Return whether a YAML text is a set of criteria (see ``criteria_set``), not a single criterion."""
    return re.search(r"^criteria\s*:", text, re.MULTILINE) is not None


def _no_name(spec: str) -> str:
    """Return ``spec`` where it can be a question. A misspelt criterion name, or a list of names, is an error."""
    joined = "-".join(spec.replace("_", " ").split())
    if name := built_in(CRITERIA, joined):
        raise UsageError(f'no criterion "{spec}"; did you mean "{name}"?')
    listed = [part.strip() for part in spec.split(",")]
    if len(listed) > 1 and all(built_in(CRITERIA, part) for part in listed):
        several = " ".join(f"-c {part}" for part in listed)
        raise UsageError(f'no criterion "{spec}"; name several one by one: {several}')
    return spec


def load_criterion(spec: str, scale: str | None = None) -> Criterion:
    """Find a criterion: a built-in name, a YAML file, or a question in words.

    Args:
        spec: ``faithfulness`` (in capitals too), ``my.yaml``, or ``Is the answer polite?``.
        scale: short form of the scale. For a question, the default is yes/no; for a named criterion, it replaces the scale and
            drops the label descriptions.

    Raises:
        UsageError: no such criterion, file or scale.
    """
    try:
        chosen = Scale.parse(scale) if scale else None
    except ValueError as error:
        raise UsageError(str(error)) from None
    if name := built_in(CRITERIA, spec):
        found = builtin(name)
    elif file := find(CRITERIA, spec):
        if is_set(file.text):
            raise UsageError(
                f"{spec} is a set of criteria, but only one is allowed here; name one of them"
            )
        found = parse_criterion(file.text, file.source)
    elif _is_question(_no_name(spec)):
        return Criterion(name=FREE, question=spec.strip(), scale=chosen or Scale.binary())
    else:
        raise unknown(CRITERIA, spec)
    if chosen is None or chosen == found.scale:
        return found
    if (chosen.kind == "pairwise") != (found.scale.kind == "pairwise"):
        raise UsageError(f"criterion {found.name} cannot be judged on the scale {scale}")
    # Where the failing labels are not the usual ones, they cannot be guessed for another scale.
    usual = found.failing == _failing(found.scale)
    changes = {"scale": chosen, "labels": {}, "failing": _failing(chosen) if usual else ()}
    return found.model_copy(update=changes)
