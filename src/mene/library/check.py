"""Validating YAML against a schema, with the first error reported in one line.

The line names the file, the line, the field, for a typo the nearest key, and the allowed values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from mene.errors import UsageError, nearest
from mene.library.yaml_file import place, read_yaml

SHOWN = 40  # maximum characters of a wrong value shown
Keys = Sequence[str | int]
Schema = TypeVar("Schema", bound=BaseModel)


def parse(
    schema: type[Schema], text: str, source: str, *, plain: bool = False, **defaults: Any
) -> Schema:
    """Parse YAML according to a schema.

    Args:
        source: its name in messages.
        plain: keep every value as the text in the file (``yaml_file.py``).
        defaults: values of missing keys.

    Raises:
        UsageError: names the source, the line and the field, for a typo the nearest key, and the allowed values.
    """
    data = defaults | mapping(schema, text, source, plain=plain)
    return checked(schema, data, lambda keys: place(text, source, keys))


def mapping(
    schema: type[BaseModel], text: str, source: str, *, plain: bool = False
) -> dict[Any, Any]:
    """Return the mapping in a YAML text.

    Raises:
        UsageError: it is not YAML, or not a mapping.
    """
    data = read_yaml(text, source, plain=plain)
    if not isinstance(data, dict):
        raise UsageError(f"{source}: expected the keys {', '.join(_keys(schema))}")
    return data


def checked(schema: type[Schema], data: dict[Any, Any], where: Callable[[Keys], str]) -> Schema:
    """Validate data by a schema.

    A validator of several fields may raise ``UsageError`` itself, starting with the field's name.

    Args:
        where: returns source and line of the value under these keys.

    Raises:
        UsageError: the first error.
    """
    try:
        return schema.model_validate(data)
    except UsageError as error:
        field = re.match(r"[\w.]+(?=: )", str(error))
        keys = field[0].split(".") if field else ()
        raise UsageError(f"{where(keys)}: {error}") from None
    except ValidationError as error:
        errors = error.errors()
    typos = [one for one in errors if one["type"] in ("extra_forbidden", "invalid_key")]
    first = (typos or errors)[0]  # a missing key is usually a misspelt one
    keys = [key for key in first["loc"] if key != "[key]"]
    if typos:
        reason = _no_such_key(schema, keys)
        keys_before = keys[:-1]
    else:
        reason = _reason(schema, first, keys)
        keys_before = keys
    field = ".".join(map(str, keys_before))
    raise UsageError(f"{where(keys)}: {field and f'{field}: '}{reason}")


def _no_such_key(schema: type[BaseModel], keys: Keys) -> str:
    *above, key = keys
    may = _keys(_model_at(schema, above))
    near = nearest(str(key), may) or (f"; the keys are {', '.join(may)}" if may else "")
    return f'unknown key "{key}"{near}'


def _reason(schema: type[BaseModel], error: Any, keys: Keys) -> str:
    """Return the error and the allowed values."""
    kind, value = error["type"], error["input"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "missing":
        return "missing; add it"
    if kind == "string_type":
        return "empty; write a text" if value is None else "must be text; put it in quotes"
    if kind in ("model_type", "dict_type") and (may := _keys(_model_at(schema, keys))):
        return f"expected the keys {', '.join(may)}"
    if kind in ("tuple_type", "list_type") and isinstance(value, str):
        return f"must be a list; write [{value}]"
    shown = ""
    if isinstance(value, str | int | float | None):
        shown = repr(value)
        shown = f", not {shown if len(shown) <= SHOWN else shown[:SHOWN] + '…'}"
    if kind == "literal_error":
        shown += nearest(str(value), re.findall(r"'([^']*)'", error["ctx"]["expected"]))
    return f"{error['msg']}{shown}"


def _keys(schema: type[BaseModel] | None) -> list[str]:
    return list(schema.model_fields) if schema else []


def _model_at(schema: type[BaseModel], keys: Iterable[str | int]) -> type[BaseModel] | None:
    """Return the model of the mapping under these keys of a schema."""
    found: Any = schema
    for key in keys:
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = found.model_fields.get(str(key))
            found = field.annotation if field else None
        else:  # the values of a mapping, the items of a list
            found = next((a for a in reversed(get_args(found)) if a is not Ellipsis), None)
        while get_origin(found) in (Annotated, Union, UnionType):
            found = next(a for a in get_args(found) if a is not type(None))
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None
