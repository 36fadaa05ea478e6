"""A verdict: what a judge said of one sample. Pure data; it is also one line of the ledger."""

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
    """Tokens of one verdict, all its requests together.

    Every embedded engine counts the same; servers count as they do.

    Attributes:
        prompt_tokens: of the prompts, each as if it were asked alone: up to where the model writes its critique or, in
            verdict mode, chooses its label (the cue included). The few that are read behind that, of the cue after a
            critique and of labels of several tokens, do not count.
        cached_tokens: those of them that were not computed, but shared with another row or found in a cache. The
            difference is what was read.
        completion_tokens: of critiques. A label that is chosen by its probability is not written.
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


# How two responses are judged; ``judge/comparison.py`` has what each means.
Compare = Literal["together", "both-orders", "pointwise"]
# What a verdict is called, and where it stands.
NAMES = (
    "id", "criterion", "judge", "key", "row", "content", "question", "scale", "failing", "section", "columns",
)  # fmt: skip
# Fields of a line that are left out where they say nothing.
QUIET = frozenset(
    (
        "span",
        "id", "criterion", "judge", "key", "consistent", "compare", "notes", "parts", "uncalibrated", "critique_key",
        "first", "revision", "row", "content", "question", "scale", "failing", "section",
        "columns", "jury", "earlier",
        "threshold", "abstained", "likeliest",
    )
)  # fmt: skip
MOST = 1.001  # of a probability, which was rounded


# What it writes has no circles: verdicts are trees.
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
_encode_finite = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False).encode


def hash_of(asked: Any) -> str:
    """Names all that was asked (anything that JSON can hold): 32 hex digits, the same for the same."""
    text = _encode(asked).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def whole_characters(text: str) -> str:
    """Text that can be written: two halves of a character become one, a half alone becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def scale_said(scale: str | dict[str, Any]) -> Scale:
    """The scale that a verdict says; see ``Verdict.scale``.

    Raises:
        ValueError: it is none.
    """
    return _short_scale(scale) if isinstance(scale, str) else _whole_scale(_encode(scale))


# All verdicts of a run have the same one.
_short_scale = lru_cache(256)(Scale.parse)


@lru_cache(256)
def _whole_scale(text: str) -> Scale:
    try:
        return Scale.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None


class Verdict(BaseModel):
    """The choice of one label, how sure it was, and why.

    Attributes:
        id: the sample's id.
        criterion: name of the criterion.
        judge: name of the judge (preset or spec).
        label: the chosen label, or None where ``error`` says why there is none, or a person is to choose (``abstained``).
        score: probability-weighted mean label of an ordinal scale, else None.
        probabilities: label -> probability, sums to 1. None where the engine gives none
            (a remote server without log-probabilities).
        uncalibrated: the probabilities as the model gave them, where a calibration changed them.
        threshold: label -> the probability from which on it is given, where that is not simply the likeliest one; None: it is.
        confidence: probability of ``label`` (of ``likeliest`` where it abstained), 0 to 1; None without probabilities.
        abstained: the judge was asked to leave what it is not sure enough of to a person, and this is.
        likeliest: the label that it would have given, where it abstained.
        critique: the reasons; None where none were asked for.
        critique_key: hash of all that was asked for a critique that came behind the verdict; empty where it came before.
        first: the verdict before it was reconsidered behind its critique, which ``label`` is the outcome of; None where it was
            not.
        error: why there is no label. Exactly one of ``label`` and ``error`` is None, or both where ``abstained``.
        usage: tokens read, reused and written.
        latency_s: seconds from the request to the verdict.
        key: hash of all that was asked (model, prompts, decoding); the ledger's key.
        revision: how often the verdict was added to (a critique, another calibration); the highest of a row counts.
        consistent: pairs judged in both orders: do both orders agree? None where they cannot but agree (each response is
            judged alone), or have nothing to choose.
        compare: pairs: how the two responses were judged (``together``, in ``both-orders``, or ``pointwise``, each alone).
        notes: anything a reader must know, e.g. ``context truncated``.
        parts: verdicts this one was combined from (orders of a pair, samples, jurors, claims).
        span: of a part that is about one claim of the response: its place there, in characters, from and to.
        row: place of the sample in its table, from 1; None where it was in none.
        content: hash of what was judged, without its label and id (``Sample.content``).
        question: what was asked, where the criterion is a user's own; a built-in one says it itself.
        scale: its labels, where the criterion is not a built-in one as it stands: the short form (``1-5``), or ``kind`` and
            ``labels`` where that would read as another scale. Empty in files of earlier versions too.
        failing: its labels that say that something is wrong; where ``scale`` is said, these are all.
        section: of a ledger, where one run judges by many criteria (a benchmark's set or format); empty elsewhere.
        columns: the table's columns that were judged under other names (``--map``): field -> column.
        jury: the jury for which a juror's verdict is kept until the others have spoken; such a line is none of its own.
        earlier: the last run of this judge on this criterion (or section) did not ask for it.
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
        """Leave out what only some verdicts have, and a part's names, where they are empty."""
        return _telling(serialize(self))

    @property
    def scope(self) -> str:
        """What its ledger tells runs of one judge apart by: the section, or where there is none the criterion."""
        return self.section or self.criterion

    def _said(self) -> dict[str, Any]:
        """``model_dump()``, which takes three times as long."""
        said = _telling(vars(self))
        said["usage"] = vars(self.usage)
        if self.parts:
            said["parts"] = [part._said() for part in self.parts]
        if self.first is not None:
            said["first"] = self.first._said()
        return said

    def say(self, **facts: Any) -> Verdict:
        """Set fields of this very verdict, all at once: for whoever made it. ``model_copy`` leaves it as it is."""
        vars(self).update(facts)
        self.__pydantic_fields_set__.update(facts)
        return self

    def to_json(self) -> str:
        """One line of JSON. What all verdicts have is always there, ``key`` and names included.

        Half characters (lone surrogates), which no file can hold, become U+FFFD.

        Raises:
            ValueError: a number is none; see ``mistake``.
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
        """What no judge can have said: a probability that is none, a score without end; None where all is well."""
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
        """The verdict itself, or, where a number of it is none, one that says so in ``error``."""
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
    """Those that say something."""
    return {
        name: value
        for name, value in fields.items()
        if value or name not in QUIET or (value is False and name == "consistent")
    }
