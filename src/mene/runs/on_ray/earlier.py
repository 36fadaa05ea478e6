"""What an earlier run left in a folder of parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mene.errors import LedgerError, UsageError
from mene.runs.parts.counting import apart
from mene.runs.parts.index import contents_of
from mene.runs.parts.manifest import Form, Manifest, Part, check_folder


def earlier_manifest(
    folder: str, judge: str, criteria: dict[str, str], overwrite: bool
) -> Manifest | None:
    """Return the manifest of a folder that belongs to this judge and these criteria, if any.

    Raises:
        LedgerError: it belongs to others, and is not to be overwritten.
    """
    try:
        return check_folder(folder, judge, criteria)
    except LedgerError:
        if overwrite:
            return None
        raise


def counted(old: Manifest, files: tuple[str, ...], there: dict[str, int]) -> Iterator[Part]:
    """Yield the parts of an earlier run that are there and are about one of these tables."""
    places = {path: place for place, path in enumerate(files)}
    named = ((part, places.get(old.files[part.file])) for part in old.parts)
    yield from apart(
        part.model_copy(update={"file": place})
        for part, place in named
        if part.name in there and place is not None
    )


def usable_unread(part: Part, form: Form, there: dict[str, int]) -> bool:
    """Return whether a part can be used unread: it is complete, in the form that is asked for, and has no failed rows."""
    failed = any(sums.get("errors") for sums in part.summaries.values())
    of_form = part.name.endswith(f".{form}")
    return there.get(part.name) == part.size and of_form and not failed


def read_part(path: str, lines: int | None) -> tuple[Any, str]:
    """Return the contents of a part, or why it is damaged; ``lines`` = number of its verdicts, where known."""
    try:
        return contents_of(path, lines), ""
    except (LedgerError, UsageError) as error:
        return None, str(error)
