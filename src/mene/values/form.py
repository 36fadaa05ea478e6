"""The format of a tool's rows, and how to read such a row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

from mene.errors import SampleError
from mene.values.listed import messages_of
from mene.values.path import found_at, opened
from mene.values.plain import plain
from mene.values.talk import bare, is_message

# Names of a field inside an object that a traced function took or returned; the first present one is used.
INSIDE: dict[str, tuple[str, ...]] = {
    "instruction": (
        "instruction", "user_input", "input", "question", "query", "prompt", "message", "text", "content",
        "input_value", "user_message", "user_query", "topic",
    ),
    "response": (
        "response", "actual_output", "output", "answer", "completion", "generation", "result", "text", "content",
        "message", "reply", "final_answer", "output_text", "prediction", "output_value",
    ),
    "context": (
        "retrieval_context", "context", "retrieved_contexts", "contexts", "documents", "passages", "source_documents",
        "retrieved_documents", "docs", "sources",
    ),
    "reference": (
        "reference", "expected_response", "expected_output", "reference_answer", "ground_truth", "ideal", "expected",
        "reference_output", "answer", "output", "target",
    ),
}  # fmt: skip
Found = tuple[str, Any]  # path in the row, and value
Reader = Callable[[Mapping[str, Any]], Found | None]


class Form(NamedTuple):
    """The format of a tool's rows.

    Attributes:
        name: for a row in messages.
        has: sets of columns; a row with all columns of one set has this format.
        reads: field -> where to look for it: paths (``path.at``), of which the first non-empty one is used; ``PATH.*`` is the
            part of an object that fits the field (``INSIDE``); or functions.
        lacks: columns that such rows never have, since common column names are not enough.
        most: maximum number of columns; 0 = any.
    """

    name: str
    has: tuple[tuple[str, ...], ...]
    reads: Mapping[str, tuple[str | Reader, ...]]
    lacks: frozenset[str] = frozenset()
    most: int = 0

    def fits(self, columns: frozenset[str]) -> bool:
        """Return whether a row with these columns has this format."""
        if not self.lacks.isdisjoint(columns) or 0 < self.most < len(columns):
            return False
        return any(columns.issuperset(has) for has in self.has)


def read_form(
    form: Form, row: Mapping[str, Any], skip: Collection[str], needed: Collection[str]
) -> dict[str, Found]:
    """Return field -> (path, value) in a row of this format.

    Args:
        skip: fields that are read from elsewhere.
        needed: fields that will be used.

    Raises:
        SampleError: a needed field is ambiguous; says how to name it.
    """
    found: dict[str, Found] = {}
    for field, places in form.reads.items():
        if field in skip:
            continue
        try:
            read = list(_read(row, places, field))
            if read:
                found[field] = next((one for one in read if one[1] != ""), read[0])
        except SampleError:
            if field in needed:
                raise
        except RecursionError:
            raise SampleError(
                f'field "{field}" is nested too deeply to be read; flatten it'
            ) from None
    return found


def _read(row: Mapping[str, Any], places: tuple[str | Reader, ...], field: str) -> Iterator[Found]:
    for place in places:
        if callable(place):
            read = place(row)
        elif place.endswith(".*"):
            path = place.removesuffix(".*")
            read = inside(found_at(row, path), path, field)
        else:
            read = (place, found_at(row, place))
        if read is not None and not _says_nothing(read[1], field):
            yield read


def inside(value: Any, path: str, field: str) -> Found | None:
    """Return the part of a function's input or output that fits a field, or None.

    Raises:
        SampleError: several parts may be the answer.
    """
    value = opened(value)
    bared = bare(value)
    if not isinstance(bared, Mapping) or is_message(bared):
        return None if field == "context" else _unlisted(path, bared)
    if field in ("instruction", "response"):
        for name in ("messages", "input_messages", "generations", "choices", "chat_history"):
            if (talk := messages_of(bared.get(name))) and field_fits(name, field):
                return _unlisted(f"{path}.{name}", talk)
    known = [n for n in INSIDE.get(field, ()) if not _says_nothing(plain(bared.get(n)), field)]
    known.sort(
        key=lambda name: plain(bared[name]) == ""
    )  # an empty answer counts only without another one
    for name in known:
        part = plain(bared[name])
        deeper = isinstance(part, Mapping) and field != "context"
        return inside(part, f"{path}.{name}", field) if deeper else (f"{path}.{name}", part)
    if field == "context":
        return None
    alone = field if len(bared) == 1 else ""
    said = {name: part for name, part in bared.items() if not _says_nothing(plain(part), alone)}
    if len(said) == 1:
        [(name, part)] = said.items()
        return f"{path}.{name}", plain(part)
    if not said:
        return None
    if field == "response":
        names = ", ".join(f"{path}.{name}" for name in list(said)[:12])
        raise SampleError(
            f'field "response" may be any of {names}; choose one with --map response={path}.{next(iter(said))}'
        )
    return path, bared


def field_fits(name: str, field: str) -> bool:
    """Return whether a name can hold a field: generations and choices hold answers, never questions."""
    return name in ("messages",) or (field == "response") == (name in ("generations", "choices"))


def _unlisted(path: str, value: Any) -> Found:
    """Unwrap lists of one item, as LangChain writes batches, and the message of a choice or generation."""
    while isinstance(value, list) and len(value) == 1 and isinstance(plain(value[0]), list):
        path, value = f"{path}.0", plain(value[0])
    if isinstance(value, list) and len(value) == 1 and isinstance(one := plain(value[0]), Mapping):
        for name in ("message", "text"):
            if "content" not in one and not _says_nothing(part := one.get(name)):
                return f"{path}.0.{name}", part
    return path, value


def _says_nothing(value: Any, field: str = "") -> bool:
    """Return whether a value is missing or empty. An empty response is not: it is an answer."""
    if isinstance(value, str) and field == "response":
        return False
    return value is None or (isinstance(value, str | list | Mapping) and not value)
