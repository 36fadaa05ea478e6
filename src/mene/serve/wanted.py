"""What a request refers to: a criterion, a template, settings. A name can only open what is bundled with mene."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from mene.criterion import Criterion, load_criterion
from mene.errors import SampleError, UsageError, nearest
from mene.library.load import CRITERIA, TEMPLATES, built_in, names
from mene.scale import Scale
from mene.serve.door import wrong
from mene.serve.mistakes import refused_body
from mene.serve.remember import remembered

# Characters of a criterion and of its scale. Each verdict repeats the question, and the labels with their probabilities.
LONGEST = 50_000


def criterion_of(given: str | dict[str, Any], scale: str | None, *where: str | int) -> Criterion:
    """Return a criterion by its name in the library, from a question, or from its full data. Never from a file.

    Raises:
        Refused: there is no such criterion, or the data are invalid; ``where`` is its path in the body.
    """
    size = len(given if isinstance(given, str) else json.dumps(given, ensure_ascii=False))
    if size + len(scale or "") > LONGEST:
        raise wrong(f"a criterion may have {LONGEST:,} characters; shorten it", *where)
    if isinstance(given, str):
        try:
            return _named(given, scale)
        except UsageError as error:
            raise wrong(str(error), *where) from None
    written = dict(given)
    if scale is not None:
        written.setdefault("scale", scale)
    try:
        return Criterion.model_validate(written)
    except ValidationError as error:
        raise refused_body(error, Criterion, written, *where) from None


@remembered
def _named(given: str, scale: str | None) -> Criterion:
    if (name := built_in(CRITERIA, given)) is not None:
        return load_criterion(name, scale)
    words = given.strip()
    if len(words.split()) < 2:
        near = nearest(words, names(CRITERIA))
        raise UsageError(
            f'no criterion "{words[:80]}"{near or ";"} GET /v1/criteria lists them, or write the question in words'
        )
    try:
        chosen = Scale.parse(scale) if scale else Scale.binary()
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Criterion(question=words, scale=chosen)


def check_names(row: Mapping[str, Any]) -> None:
    """Check that a row's names are not too long: what is learned about a table's columns stays in memory.

    Raises:
        SampleError: they are.
    """
    if sum(map(len, row)) > LONGEST:
        raise SampleError(f"the names of its fields have more than {LONGEST:,} characters")


def template_of(name: str, *where: str | int) -> str:
    """Return the name of a template, after checking that the library has it.

    Raises:
        Refused: there is none of that name.
    """
    if (found := built_in(TEMPLATES, name)) is None:
        near = nearest(name[:80], names(TEMPLATES))
        raise wrong(
            f'no template "{name[:80]}"{near or ";"} there are {", ".join(names(TEMPLATES))}',
            *where,
        )
    return found
