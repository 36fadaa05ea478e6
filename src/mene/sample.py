"""A sample: what is judged. Pure data, and the one place that knows other tools' field names."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mene.errors import SampleError, UsageError, nearest
from mene.values.chat_row import TALKS, apart, from_chat, is_nested, traced
from mene.values.form import read_form
from mene.values.forms import form_of
from mene.values.frame_rows import dicts
from mene.values.listed import messages_of
from mene.values.path import at, paths
from mene.values.plain import plain
from mene.values.talk import used
from mene.values.value import as_text, is_given
from mene.verdict import hash_of

FORM = "row"  # what a form is in ``read_as``, where fields are those of a sample
FIELDS = ("instruction", "response", "response_a", "response_b", "context", "reference")

# Field -> names it has in other tools; the first one present in a row wins. `mene` itself first,
# then Ragas, DeepEval, Atla, Prometheus, OpenAI evals, and common spellings. Three exceptions:
# Prometheus rows also hold a whole judge prompt as `instruction`, OpenAI's batch rows also
# hold the server's own `id`, and DeepEval's `context` is the ideal one beside what was retrieved.
ALIASES: dict[str, tuple[str, ...]] = {
    "instruction": (
        "orig_instruction", "instruction", "user_input", "model_input",
        "input", "prompt", "question", "query",
    ),
    "response": (
        "response", "actual_output", "actualOutput", "model_output", "orig_response",
        "output", "completion", "answer", "prediction", "generated",
    ),
    "response_a": (
        "response_a", "response_A", "orig_response_A", "output_a", "answer_a", "response_1", "output_1",
    ),
    "response_b": (
        "response_b", "response_B", "orig_response_B", "output_b", "answer_b", "response_2", "output_2",
    ),
    "context": (
        "retrieval_context", "retrievalContext", "context", "retrieved_contexts", "model_context",
        "contexts", "documents", "passages",
    ),
    "reference": (
        "reference", "expected_output", "expectedOutput", "expected_model_output", "orig_reference_answer",
        "reference_answer", "ground_truth", "ideal",
    ),
    "label": ("label", "human_label", "gold", "orig_score", "orig_preference", "human_score"),
    "id": ("custom_id", "id", "sample_id", "uuid"),
}  # fmt: skip


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
        found = _found(row, names or {}, fields)
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
            texts["label"] = _label(label)
        try:
            name = as_text(found.get("id"), "id") or ""
        except SampleError:
            name = ""
        return cls(**texts, id=name)


def _found(
    row: Mapping[str, Any], names: Mapping[str, str], fields: Collection[str]
) -> dict[str, Any]:
    """Field -> what the row has for it; arguments as of ``Sample.from_row``."""
    found: dict[str, Any] = {}
    if names:
        found = {f: _mapped(row, names[f], f) for f in ALIASES if f in names}
    form = form_of(row)
    if form is not None:
        read = read_form(form, row, found, fields)
        found |= {field: value for field, (_, value) in read.items()}
        if names.keys().isdisjoint(("instruction", "response")):
            found = apart(traced(found))
    columns = _columns(tuple(row), tuple(names.items()))
    if form is not None:  # a person may have added a label
        columns = {field: known for field, known in columns.items() if field == "label"}
    for field, known in columns.items():
        try:
            if (given := _first(row, known)) is not None:
                found[field] = given
        except SampleError:
            if field in fields:
                raise
    told = plain(row["input"]) if "input" in columns.get("instruction", ()) else None
    if told is not None and not _is_blank(told) and _is_alpaca(row):
        found["instruction"] = [found["instruction"], told]
    answered = not found.keys().isdisjoint(("response", "response_a", "response_b"))
    nested = form is None and "response" not in names and is_nested(found.get("response"))
    if not answered or nested or "instruction" not in found:
        chat = from_chat(row, answered=answered and not nested)
        if nested:
            del found["response"]
            if "response" not in chat and "response" in fields:
                raise SampleError(
                    'field "response" is what a server sent, and there is no answer in it'
                )
        elif answered:
            chat.pop("response", None)
        found = chat | found
    if names.keys().isdisjoint(("instruction", "response")):
        found = apart(found)
    if "response" not in names and "response" in found:
        found["response"] = _with_tools(row, found["response"])
    return found


def _with_tools(row: Mapping[str, Any], response: Any) -> Any:
    """A response and the calls of tools that DeepEval has beside it."""
    called = messages_of(row.get("tools_called")) or messages_of(row.get("toolsCalled"))
    if not called or not isinstance(response := plain(response), str):
        return response
    return [*used(called), {"role": "assistant", "content": response}]


@lru_cache(64)  # the rows of a table mostly have the same columns
def _columns(
    columns: tuple[str, ...], names: tuple[tuple[str, str], ...]
) -> dict[str, tuple[str, ...]]:
    """Field -> those of the columns in which it is looked for, of fields that ``names`` says nothing of."""
    there, mapped = set(columns), dict(names)
    found = {
        field: tuple(name for name in known_as(field, mapped) if name in there)
        for field in ALIASES
        if field not in mapped
    }
    return {field: known for field, known in found.items() if known}


def known_as(field: str, names: Mapping[str, str] | None = None) -> Sequence[str]:
    """Columns in which a field is looked for that ``names`` says nothing of.

    One that ``names`` gives to another field is none of them: of ``--map reference=gold`` nobody expects that ``gold`` is a
    person's label as well. An id may be any column, one with a text too.
    """
    if not names:
        return ALIASES[field]
    taken = {column for other, column in (names or {}).items() if other not in (field, "id")}
    return [name for name in ALIASES[field] if name not in taken]


def read_as(
    row: Mapping[str, Any], names: Mapping[str, str] | None, fields: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """The fields that ``Sample.from_row`` reads from a column of another name, which nobody has mapped: (column, field).

    Where the row is of a tool's export the first is (``a run of LangSmith``, ``FORM``).
    """
    read: dict[str, str] = {}
    if (form := form_of(row)) is not None:
        try:
            read = {f: path for f, (path, _) in read_form(form, row, names or {}, ()).items()}
        except SampleError:
            read = {}
    there = {} if form else _columns(tuple(row), tuple((names or {}).items()))
    for field in fields:
        if field in (names or {}):
            continue
        known = [n for n in there.get(field, ()) if plain(row.get(n)) is not None]
        if not known and field not in read and field in ("instruction", "response"):
            known = [n for n in TALKS if messages_of(row.get(n))] or (
                [n for n in ("choices", "body") if row.get(n) is not None and field == "response"]
            )
        said = [name for name in known if not _is_blank(plain(row[name]))]
        if known:
            read[field] = (said or known)[0]
    asked = read.get("instruction", "")
    if "response" in fields and "response" not in {*read, *(names or {})} and messages_of(row.get(asked)):  # fmt: skip
        read["response"] = asked  # a talk that goes on
    if form is not None and read:
        yield form.name, FORM
    yield from ((column, field) for field, column in read.items() if column != field and field in fields)  # fmt: skip


def id_of(row: Any, names: Mapping[str, str] | None = None) -> str:
    """The id of a row, also of one whose other fields cannot be read; empty where there is none."""
    try:
        row = plain(row)
        if not isinstance(row, Mapping):
            return ""
        name = (names or {}).get("id")
        value = _mapped(row, name, "id") if name else _first(row, ALIASES["id"])
        return as_text(value, "id") or ""
    except SampleError:
        return ""


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


def _mapped(row: Mapping[str, Any], name: str, field: str) -> Any:
    """The value of a column, or what lies inside it: ``output.text``, ``messages.-1.content``."""
    if name in row:
        return row[name]
    try:
        return at(row, name)
    except LookupError as error:
        start, there = error.args
        has = list(paths(row)) if not start else [f"{start}.{key}" for key in there]
        where = f'"{start}"' if start else "the row"
        holds = f"{where} has: {', '.join(has[:30])}" if has else f"there is nothing inside {where}"
        raise SampleError(
            f'no column "{name}" (mapped to {field}); {holds}'
            + nearest(name, [*has, *map(str, row)])
        ) from None


def _first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first of these columns that has something to say; an empty text where none has, else None."""
    empty = None
    for name in names:
        if name in row and (value := plain(row[name])) is not None:
            if not _is_blank(value):
                return value
            empty = value
    return empty


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _is_alpaca(row: Mapping[str, Any]) -> bool:
    """Is there an instruction, beside the ``input`` that it is about?"""
    return not _is_blank(plain(row.get("instruction"))) and "orig_instruction" not in row


def _label(value: Any) -> str | float | int | bool | None:
    """A person's label. ``True`` is what it is in JSON, also where CSV has it as a text."""
    try:
        value = plain(value)
        text = as_text(value, "label") or "" if isinstance(value, str) else ""
    except SampleError:
        return None
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, str):
        truth = {"true": True, "false": False}.get(text.strip().casefold())
        return truth if truth is not None else text if text.strip() else None
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return None
