"""A sample: what is judged. Pure data; ``values/fields.py`` reads samples from other tools' rows."""

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
        instruction: the prompt that the judged model was given.
        response: the response to judge; for a pair, ``response_a`` and ``response_b`` instead.
        context: documents the response must agree with.
        reference: a good answer to compare with.
        label: a person's label on the criterion's scale; never shown to a judge.
        id: identifies the sample in the results.
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
        """Hash, 16 hex digits, of everything a judge may see. With its position in a table, it identifies a row."""
        said = self.__dict__
        return hash_of([said[field] for field in FIELDS])[:16]

    def swapped(self) -> Sample:
        """Return the pair with its two responses exchanged."""
        return self.model_copy(
            update={"response_a": self.response_b, "response_b": self.response_a}
        )

    @property
    def is_even(self) -> bool:
        """Return whether both responses of a pair are the same text, ignoring white space around it."""
        return (self.response_a or "").strip() == (self.response_b or "").strip()

    def split(self) -> tuple[Sample, Sample]:
        """Return the two responses of a pair as two samples."""
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
        """Read one row of a table whose columns have the names of any of the known tools.

        Args:
            row: column -> value; ``value.as_text`` lists the allowed types.
            names: mene's field -> column, or a path into one (``outputs.answer``, ``messages.-1.content``), for columns with
                other
                names (``--map``). A mapped column is not also read as another field.
            fields: fields that will be used. A value of any other field, a label or an id that cannot be read is left out
                instead
                of raising an error.

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
    """Return a ``Sample`` for a ``Sample``, a row (dict, model, dataclass), or the text of a response.

    Args:
        fields: see ``Sample.from_row``.
        number: the id for a row without one.

    Raises:
        SampleError: ``given`` is none of these, or an error of ``Sample.from_row``.
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
    """Return the items of a list, a stream or a data frame one by one; a single sample is the only item.

    Raises:
        UsageError: it is none of these, or two columns of the frame have the same name.
    """
    if isinstance(samples, str | Mapping | Sample):
        return [samples]
    if hasattr(samples, "iter_rows"):  # polars
        return (row for part in samples.iter_slices(1024) for row in dicts(part))
    if hasattr(samples, "iloc") and hasattr(samples, "columns"):  # pandas
        if not samples.columns.is_unique:
            name = samples.columns[samples.columns.duplicated()][0]
            raise UsageError(f'the frame: two columns are called "{name}"; rename one')
        short = [name for name, kind in samples.dtypes.items() if str(kind) == "float32"]
        written = samples.astype(dict.fromkeys(short, str)).astype(dict.fromkeys(short, float))
        return written.to_dict("records")
    if not isinstance(samples, Iterable):
        raise UsageError(f"samples are dicts, texts or Samples in a list, not {samples!r:.50}")
    return samples
