"""A sample: what is judged. Pure data; ``values/fields.py`` reads it out of other tools' rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mene.errors import SampleError, UsageError
from mene.values.fields import found_in, label_in
from mene.values.frame_rows import dicts
from mene.values.plain import plain
from mene.values.value import as_text, is_given
from mene.verdict import hash_of

FIELDS = ("instruction", "response", "response_a", "response_b", "context", "reference")


class Sample(BaseModel):
    """One thing to judge.

    Attributes:
        instruction: what the judged model was asked.
        response: what is judged; or ``response_a`` and ``response_b`` for a pair.
        context: documents the response must agree with.
        reference: a good answer to compare with.
        label: a person's label, in the words of the criterion's scale; never shown to a judge.
        id: name of the sample in the results.
    """

    model_config = ConfigDict(extra="forbid")

    instruction: str | None = None
    response: str | None = None
    response_a: str | None = None
    response_b: str | None = None
    context: str | None = None
    reference: str | None = None
    label: str | float | int | bool | None = None
    id: str = Field(default="", coerce_numbers_to_str=True)

    @field_validator("label", mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        return plain(value)

    @property
    def content(self) -> str:
        """Names all that a judge may be shown, 16 hex digits; with its place in a table it is what a row is known by."""
        said = self.__dict__
        return hash_of([said[field] for field in FIELDS])[:16]

    def swapped(self) -> Sample:
        """The same pair with its seats exchanged."""
        return self.model_copy(
            update={"response_a": self.response_b, "response_b": self.response_a}
        )

    @property
    def is_even(self) -> bool:
        """A pair whose two responses are the same text, white space around it aside."""
        return (self.response_a or "").strip() == (self.response_b or "").strip()

    def split(self) -> tuple[Sample, Sample]:
        """The two responses of a pair, each as a sample of its own."""
        a, b = (
            self.model_copy(update={"response": text, "response_a": None, "response_b": None})
            for text in (self.response_a, self.response_b)
        )
        return a, b

    @classmethod
    def from_row(
        cls,
        row: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
        fields: Collection[str] = FIELDS,
    ) -> Sample:
        """Read one row of a user's table, under the names of any of the known tools.

        Args:
            row: column -> value; see ``value.as_text`` for what it may be.
            names: mene's field -> the row's column, or a path into it (``outputs.answer``, ``messages.-1.content``), for
                anything else (``--map``). Such a column is not read as another field too.
            fields: those that somebody will look at. A value of another one that cannot be read is left out, as are a label
                and an id.

        Raises:
            SampleError: a mapped column is missing, or a field holds no text (names the field).
        """
        found = found_in(row, names or {}, fields)
        texts: dict[str, Any] = {}
        for field in FIELDS:
            if (given := found.get(field)) is None:
                continue
            try:
                text = as_text(given, field)
                texts[field] = text if is_given(text, field) else None
            except SampleError:
                if field in fields:
                    raise
        if (label := found.get("label")) is not None:
            texts["label"] = label_in(label)
        try:
            name = as_text(found.get("id"), "id") or ""
        except SampleError:
            name = ""
        return cls(**texts, id=name)


def as_sample(given: Any, *, fields: Collection[str] = FIELDS, number: int | None = None) -> Sample:
    """A sample of whatever a program has: a ``Sample``, a row (dict, model, dataclass), the text of a response.

    Args:
        fields: see ``Sample.from_row``.
        number: the id of a row that has none.

    Raises:
        SampleError: it is none of these, or see ``Sample.from_row``.
    """
    if isinstance(given, Sample):
        return given
    row = plain(given)
    if isinstance(row, str):
        row = {"response": row}
    if not isinstance(row, Mapping):
        kind = type(given).__name__
        raise SampleError(f"a sample is a dict of fields or the text of a response, not a {kind}")
    sample = Sample.from_row(row, fields=fields)
    return sample if sample.id or number is None else sample.model_copy(update={"id": str(number)})


def each(samples: Any) -> Iterable[Any]:
    """What there is to judge, one by one: of a list, a stream, a data frame, or one sample alone."""
    if isinstance(samples, str | Mapping | Sample):
        return [samples]
    if hasattr(samples, "iter_rows"):  # polars
        return (row for part in samples.iter_slices(1024) for row in dicts(part))
    if hasattr(samples, "iloc") and hasattr(samples, "columns"):  # pandas
        short = [name for name, kind in samples.dtypes.items() if str(kind) == "float32"]
        written = samples.astype(dict.fromkeys(short, str)).astype(dict.fromkeys(short, float))
        return written.to_dict("records")
    if not isinstance(samples, Iterable):
        raise UsageError(f"samples are dicts, texts or Samples in a list, not {samples!r:.50}")
    return samples
