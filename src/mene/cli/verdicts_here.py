"""A folder of verdicts in an object store, as a copy on this machine while a command reads it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from mene.errors import LedgerError, UsageError
from mene.runs.parts.manifest import NAME, parts_in
from mene.runs.parts.read import manifest_in
from mene.runs.parts.storage import fetch_file, joined

AT_ONCE = 16  # parts
# A ``Path`` has one slash where an address has two.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])", re.I)


def address_of(given: str | Path) -> str | None:
    """Return the address that a user gave; None where it is a path on this machine."""
    found = _ADDRESS.match(str(given))
    if found is None or Path(given).exists():
        return None
    return f"{found[1]}://{str(given)[found.end() :].rstrip('/')}"


@contextmanager
def verdicts_here(given: Path) -> Iterator[Path]:
    """Yield a path as it is, or, for the address of a folder of verdicts, a copy of it.

    Raises:
        UsageError, LedgerError: it cannot be read. Messages from the block too have the name that the user knows.
    """
    address = address_of(given)
    if address is None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="mene-") as there:
        copy = Path(there) / address.rpartition("/")[2]
        try:
            _copy(address, copy)
            yield copy
        except (LedgerError, UsageError) as error:
            raise type(error)(str(error).replace(str(copy), address)) from None


def _copy(address: str, copy: Path) -> None:
    """Copy a manifest and the parts that count. The others are only counted: each is an empty file."""
    names = [part.name for part in manifest_in(address).parts]
    copy.mkdir()
    for name in parts_in(address):
        (copy / name).touch()
    with ThreadPoolExecutor(AT_ONCE) as several:
        for _ in several.map(
            lambda name: fetch_file(joined(address, name), copy / name), [NAME, *names]
        ):
            pass


def shown_as(given: str | Path) -> str:
    """Return a path or an address as the user wrote it."""
    return address_of(given) or str(given)
