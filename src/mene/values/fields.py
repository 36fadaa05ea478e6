"""Which column of a user's row is which field of a sample; only this file knows other tools' column names."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from mene.errors import SampleError, nearest
from mene.values.chat_row import TALKS, apart, from_chat, is_nested, traced
from mene.values.form import read_form
from mene.values.forms import form_of
from mene.values.listed import messages_of
from mene.values.path import at, paths
from mene.values.plain import plain
from mene.values.talk import used
from mene.values.value import as_text

FORM = "row"  # the "field" in ``read_as`` that names a tool's row format

# Field -> its names in other tools; the first one present in a row is used. `mene` itself first,
# then Ragas, DeepEval, Atla, Prometheus, OpenAI evals, and common spellings. Three exceptions:
# Prometheus rows also have a whole judge prompt as `instruction`, OpenAI's batch rows also
# have the server's own `id`, and DeepEval's `context` is the ideal one, besides the retrieved one.
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


def found_in(
    row: Mapping[str, Any], names: Mapping[str, str], fields: Collection[str]
) -> dict[str, Any]:
    """Return field -> raw value for all fields found in a row; arguments as for ``Sample.from_row``."""
    found: dict[str, Any] = {}
    if names:
        found = {f: _mapped(row, names[f], f) for f in ALIASES if f in names}
    form = form_of(row)
    if form is not None:
        read = read_form(form, row, found, fields)
        found |= {field: value for field, (_, value) in read.items()}
        if names.keys().isdisjoint(("instruction", "response")):
            found = apart(traced(found))
    found |= _from_columns(row, names, fields, only_label=form is not None)
    found = _from_talk(row, names, fields, found, of_a_tool=form is not None)
    if names.keys().isdisjoint(("instruction", "response")):
        found = apart(found)
    if "response" not in names and "response" in found:
        found["response"] = _with_tools(row, found["response"])
    return found


def read_as(
    row: Mapping[str, Any], names: Mapping[str, str] | None, fields: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Yield (column, field) for fields that ``Sample.from_row`` reads from differently named columns without ``--map``.

    For a tool's export, the first pair is (``a run of LangSmith``, ``FORM``).
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
        read["response"] = asked  # a conversation that continues
    if form is not None and read:
        yield form.name, FORM
    yield from ((column, field) for field, column in read.items() if column != field and field in fields)  # fmt: skip


def id_of(row: Any, names: Mapping[str, str] | None = None) -> str:
    """Return the id of a row, even if its other fields cannot be read; empty where there is none."""
    try:
        row = plain(row)
        if not isinstance(row, Mapping):
            return ""
        name = (names or {}).get("id")
        value = _mapped(row, name, "id") if name else _first(row, ALIASES["id"])
        return as_text(value, "id") or ""
    except SampleError:
        return ""


def known_as(field: str, names: Mapping[str, str] | None = None) -> Sequence[str]:
    """Return the columns searched for a field that ``names`` does not map.

    Columns mapped to another field are excluded: with ``--map reference=gold``, ``gold`` is not also a label. An id may be
    read from any column.
    """
    if not names:
        return ALIASES[field]
    taken = {column for other, column in (names or {}).items() if other not in (field, "id")}
    return [name for name in ALIASES[field] if name not in taken]


def label_in(value: Any) -> str | float | int | bool | None:
    """Return a person's label. The text ``True``, as in CSV, equals JSON's true."""
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


def _from_columns(
    row: Mapping[str, Any], names: Mapping[str, str], fields: Collection[str], only_label: bool
) -> dict[str, Any]:
    """Return field -> value from columns with known names.

    Args:
        only_label: read only a label, which a person may have added to a tool's export.
    """
    found: dict[str, Any] = {}
    columns = _columns(tuple(row), tuple(names.items()))
    for field, known in columns.items():
        if only_label and field != "label":
            continue
        try:
            if (given := _first(row, known)) is not None:
                found[field] = given
        except SampleError:
            if field in fields:
                raise
    if not only_label and "input" in columns.get("instruction", ()):
        subject = plain(row["input"])
        if not _is_blank(subject) and _is_alpaca(row):
            found["instruction"] = [found["instruction"], subject]
    return found


def _from_talk(
    row: Mapping[str, Any],
    names: Mapping[str, str],
    fields: Collection[str],
    found: dict[str, Any],
    of_a_tool: bool,
) -> dict[str, Any]:
    """Return ``found``, with missing fields filled in from a conversation in the row."""
    answered = not found.keys().isdisjoint(("response", "response_a", "response_b"))
    nested = not of_a_tool and "response" not in names and is_nested(found.get("response"))
    if answered and not nested and "instruction" in found:
        return found
    chat = from_chat(row, answered=answered and not nested)
    if nested:
        del found["response"]
        if "response" not in chat and "response" in fields:
            raise SampleError(
                'field "response" is what a server sent, and there is no answer in it; map the field that has the '
                "text (--map response=COLUMN)"
            )
    elif answered:
        chat.pop("response", None)
    return chat | found


def _with_tools(row: Mapping[str, Any], response: Any) -> Any:
    """Return a response with the tool calls that DeepEval stores beside it."""
    called = messages_of(row.get("tools_called")) or messages_of(row.get("toolsCalled"))
    if not called or not isinstance(response := plain(response), str):
        return response
    return [*used(called), {"role": "assistant", "content": response}]


@lru_cache(64)  # most rows of a table have the same columns
def _columns(
    columns: tuple[str, ...], names: tuple[tuple[str, str], ...]
) -> dict[str, tuple[str, ...]]:
    """Return field -> columns searched for it, for fields that ``names`` does not map."""
    there, mapped = set(columns), dict(names)
    found = {
        field: tuple(name for name in known_as(field, mapped) if name in there)
        for field in ALIASES
        if field not in mapped
    }
    return {field: known for field, known in found.items() if known}


def _mapped(row: Mapping[str, Any], name: str, field: str) -> Any:
    """Return the value of a column, or of a path into one: ``output.text``, ``messages.-1.content``."""
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
    """Return the first non-empty of these columns; an empty text where all are empty, None where there are none."""
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
    """Return whether the row has an instruction and a separate ``input`` that it refers to."""
    return not _is_blank(plain(row.get("instruction"))) and "orig_instruction" not in row
