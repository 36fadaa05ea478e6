"""A verdict: a judge's result for one sample. Pure data; it is also one line of the ledger."""

from __future__ import annotations

import hashlib
import json
import math
from functools import lru_cache
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from mene.scale import Scale


class Usage(BaseModel):
    """Token counts of one verdict, summed over all its requests.

    All embedded engines count alike; servers use their own counts.

    Attributes:
        prompt_tokens: of the prompts, each counted in full: up to where the model begins its critique or, in verdict mode,
            chooses its label (including the cue). The cue after a critique and labels of several tokens are not counted.
        cached_tokens: prompt tokens that were not computed because they were shared with another row or cached.
            ``prompt_tokens - cached_tokens`` were computed.
        completion_tokens: of critiques. A label chosen by probability counts no tokens.
    """

    model_config = ConfigDict(extra="forbid")

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens - other.prompt_tokens,
            cached_tokens=self.cached_tokens - other.cached_tokens,
            completion_tokens=self.completion_tokens - other.completion_tokens,
        )


# How two responses are judged; see ``judge/comparison.py``.
Compare = Literal["together", "both-orders", "pointwise"]
# Fields that identify a verdict and its place in a table.
NAMES = (
    "id", "criterion", "judge", "key", "row", "content", "question", "scale", "failing", "section", "columns",
)  # fmt: skip
# Fields that a line of the ledger omits where they are empty.
QUIET = frozenset(
    (
        "span",
        "id", "criterion", "judge", "key", "consistent", "compare", "notes", "parts", "uncalibrated", "critique_key",
        "first", "revision", "row", "content", "question", "scale", "failing", "section",
        "columns", "jury", "earlier",
        "threshold", "abstained", "likeliest",
    )
)  # fmt: skip
MOST = 1.001  # upper bound of a probability, with room for rounding


# Verdicts are trees, so the encoder need not check for circles.
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
_encode_finite = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False).encode


def hash_of(asked: Any) -> str:
    """Return a hash, 32 hex digits, of anything that JSON can hold."""
    text = _encode(asked).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def whole_characters(text: str) -> str:
    """Return text that can be encoded: surrogate pairs are joined, lone surrogates become U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def scale_said(scale: str | dict[str, Any]) -> Scale:
    """Return the scale that a verdict stores; see ``Verdict.scale``.

    Raises:
        ValueError: it is not a scale.
    """
    return _short_scale(scale) if isinstance(scale, str) else _whole_scale(_encode(scale))


# All verdicts of a run have the same scale.
_short_scale = lru_cache(256)(Scale.parse)


@lru_cache(256)
def _whole_scale(text: str) -> Scale:
    try:
        return Scale.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None


class Verdict(BaseModel):
    """The chosen label, how sure the judge was, and why.

    Attributes:
        id: the sample's id.
        criterion: name of the criterion.
        judge: name of the judge (preset or spec).
        label: the chosen label; None where ``error`` says why there is none, or the judge ``abstained``.
        score: probability-weighted mean label of an ordinal scale, else None.
        probabilities: label -> probability, sums to 1. None where the engine gives none
            (a remote server without log-probabilities).
        uncalibrated: the probabilities as the model gave them, where a calibration changed them.
        threshold: label -> the probability from which this label is given; None where the likeliest label is given.
        confidence: probability of ``label`` (of ``likeliest`` where it abstained), 0 to 1; None without probabilities.
        abstained: the judge was not sure enough and leaves the sample to a person.
        likeliest: the label that the judge would have given where it abstained.
        critique: the reasons; None where none were asked for.
        critique_key: hash of the request for a critique that was written after the verdict; empty where it came first.
        first: the earlier verdict, where the judge wrote a critique after it and then chose ``label`` anew; None elsewhere.
        error: why there is no label. Exactly one of ``label`` and ``error`` is None; both are where ``abstained``.
        usage: tokens read, reused and written.
        latency_s: seconds from the request to the verdict.
        key: hash of the whole request (model, prompts, decoding); the ledger's key.
        revision: number of later changes to the verdict (a critique, another calibration); the highest of a row counts.
        consistent: for pairs judged in both orders, whether both orders agree. None where they agree by construction (each
            response is judged alone) or there is nothing to choose.
        compare: for pairs, how the responses were judged: ``together``, in ``both-orders``, or ``pointwise`` (each alone).
        notes: facts that a reader must know, e.g. ``context truncated``.
        parts: verdicts that this one was combined from (orders of a pair, draws, jurors, claims).
        span: in a part about one claim of the response, the claim's start and end there, in characters.
        row: position of the sample in its table, from 1; None outside a table.
        content: hash of what was judged, without label and id (``Sample.content``).
        question: the criterion's question; empty for a built-in criterion.
        scale: the criterion's labels, where it is not an unchanged built-in criterion: the short form (``1-5``), or a dict with
            ``kind`` and ``labels`` where the short form would be read as another scale. Empty in files of earlier versions.
        failing: labels that mean that something is wrong; complete where ``scale`` is not empty.
        section: part of a ledger, where one run uses many criteria (a benchmark's set or format); empty elsewhere.
        columns: field -> the table's column, for columns judged under other names (``--map``).
        jury: name of the jury, in a juror's verdict that is stored until the others are there; not a result by itself.
        earlier: this verdict is left from an earlier run; the last run of this judge on this criterion (or section) did not
            ask for it.
    """

    model_config = ConfigDict(extra="forbid")

    id: str = ""
    criterion: str = ""
    judge: str = ""
    label: str | None = None
    score: float | None = None
    probabilities: dict[str, float] | None = None
    uncalibrated: dict[str, float] | None = None
    threshold: dict[str, float] | None = None
    confidence: float | None = None
    abstained: bool = False
    likeliest: str | None = None
    critique: str | None = None
    critique_key: str = ""
    first: Verdict | None = None
    error: str | None = None
    usage: Usage = Field(default_factory=Usage)
    latency_s: float = 0.0
    key: str = ""
    revision: int = 0
    consistent: bool | None = None
    compare: Compare | None = None
    notes: list[str] = Field(default_factory=list)
    parts: list[Verdict] = Field(default_factory=list)
    span: tuple[int, int] | None = None
    row: int | None = Field(default=None, ge=1)
    content: str = ""
    question: str = ""
    scale: str | dict[str, Any] = ""
    failing: list[str] = Field(default_factory=list)
    section: str = ""
    columns: dict[str, str] = Field(default_factory=dict)
    jury: str = ""
    earlier: bool = False

    @model_serializer(mode="wrap")
    def _say_something(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit the fields that are empty and listed in ``QUIET``."""
        return _telling(serialize(self))

    @property
    def scope(self) -> str:
        """The section, or else the criterion: by this, a ledger tells a judge's runs apart."""
        return self.section or self.criterion

    def _said(self) -> dict[str, Any]:
        """Return the same as ``model_dump()``, in a third of the time."""
        said = _telling(vars(self))
        said["usage"] = vars(self.usage)
        if self.parts:
            said["parts"] = [part._said() for part in self.parts]
        if self.first is not None:
            said["first"] = self.first._said()
        return said

    def say(self, **facts: Any) -> Verdict:
        """Set several fields in place, for the code that creates the verdict. ``model_copy`` does not change the original."""
        vars(self).update(facts)
        self.__pydantic_fields_set__.update(facts)
        return self

    def to_json(self) -> str:
        """Return one line of JSON. ``id``, ``criterion``, ``judge`` and ``key`` are always present.

        Lone surrogates, which cannot be encoded, become U+FFFD.

        Raises:
            ValueError: a number is NaN or infinite; see ``mistake``.
        """
        line = {
            "id": self.id,
            "criterion": self.criterion,
            "judge": self.judge,
            **self._said(),
        }
        line.setdefault("key", "")
        return whole_characters(_encode_finite(line))

    def mistake(self) -> str | None:
        """Return what makes this verdict invalid, such as a probability above 1 or a score of NaN; None where it is valid."""
        score, seconds, sure = self.score, self.latency_s, self.confidence
        if score is not None and not math.isfinite(score):
            return f'field "score": {score} cannot be'
        if sure is not None and not 0 <= sure <= MOST:
            return f'field "confidence": {sure} cannot be'
        if not 0 <= seconds < math.inf:
            return f'field "latency_s": {seconds} cannot be'
        for name in ("probabilities", "uncalibrated", "threshold"):
            for label, value in (getattr(self, name) or {}).items():
                if not 0 <= value <= MOST:
                    return f'field "{name}.{label}": {value} cannot be'
        if self.scale and (wrong := _wrong_scale(self.scale, self.failing)):
            return wrong
        if self.label is None and self.error is None and not self.abstained:
            return "it has neither a label nor an error"
        if self.label is not None and self.error is not None:
            return "it has both a label and an error"
        if not self.parts and self.first is None:
            return None
        nested = [*self.parts, *([self.first] if self.first else [])]
        return next((said for part in nested if (said := part.mistake())), None)

    def sound(self) -> Verdict:
        """Return the verdict itself, or, where it is invalid, one with the reason in ``error``."""
        said = self.mistake()
        if said is None:
            return self
        return Verdict(
            **{name: getattr(self, name) for name in NAMES},
            usage=self.usage,
            error=f"the model's answer holds no verdict: {said}; run it again, or try another engine",
        )


def _wrong_scale(scale: str | dict[str, Any], failing: list[str]) -> str | None:
    try:
        labels = scale_said(scale).labels
    except ValueError as error:
        return f'field "scale": {error}'
    off = [label for label in failing if label not in labels]
    return f'field "failing": "{off[0]}" is not on its scale' if off else None


def _telling(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields to write: those that are not empty, and those that are always written."""
    return {
        name: value
        for name, value in fields.items()
        if value or name not in QUIET or (value is False and name == "consistent")
    }
