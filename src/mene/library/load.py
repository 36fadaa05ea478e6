"""Listing, finding and reading the files of the library: by a built-in name, or a file of the user's.

Independent of what the files contain; their schemas are checked by ``check.py``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mene.errors import UsageError, nearest, nearest_file

LIBRARY = Path(__file__).parent
LONGEST = 1_000_000  # bytes of a file


@dataclass(frozen=True)
class Kind:
    """A kind of library file.

    Attributes:
        noun: its name in messages.
        folder: of the built-in ones, inside ``home``.
        endings: allowed file endings; built-in files have the first.
        whole: file name that stands for its folder, so that a user may name the folder.
        listed: the command that lists them; default: messages list them.
        others: further forms that a user may write, for messages.
    """

    noun: str
    folder: str
    endings: tuple[str, ...] = (".yaml", ".yml")
    whole: str = ""
    listed: str = ""
    others: str = ""
    home: Path = LIBRARY


CRITERIA = Kind(
    "criterion", "criteria", listed="see `mene criteria`", others=", or write the question in words"
)
JUDGES = Kind(
    "judge",
    "judges",
    whole="judge.yaml",
    listed="see `mene judges`",
    others=", or openvino:FILE.gguf, llamacpp:FILE.gguf, hf:ID, vllm:ID, openai:MODEL@URL, systemone:MODEL@URL",
)
RECIPES = Kind("recipe", "recipes")
TEMPLATES = Kind("template", "templates", (".jinja", ".jinja2", ".j2"))
BASES = Kind("base", "bases")  # base models of judges and recipes: see weights/source.py


class Found(NamedTuple):
    """A file that was read.

    Attributes:
        text: its content.
        source: its name in messages.
        name: the built-in name, else the file's name without ending (for a folder, the folder's name).
        folder: that contains it.
        ours: whether it is built in.
    """

    text: str
    source: str
    name: str
    folder: Path
    ours: bool


def names(kind: Kind) -> list[str]:
    """Return the built-in names, sorted."""
    return list(_names(kind))


@cache
def _names(kind: Kind) -> tuple[str, ...]:
    found = (kind.home / kind.folder).glob(f"*{kind.endings[0]}")
    return tuple(sorted(path.name.removesuffix(kind.endings[0]) for path in found))


def built_in(kind: Kind, spec: str) -> str | None:
    """Return the built-in name that ``spec`` is, in any case of letters; None where it is not one."""
    name = spec.strip().casefold()
    return name if name in _names(kind) else None


def find(kind: Kind, spec: str) -> Found | None:
    """Read a built-in name, a file, or a folder with one. None where ``spec`` does not look like any of these.

    Raises:
        UsageError: the file cannot be read, or is not text.
    """
    if name := built_in(kind, spec):
        path = kind.home / kind.folder / f"{name}{kind.endings[0]}"
        return Found(
            path.read_text("utf-8"), f"built-in {kind.noun} {name}", name, path.parent, True
        )
    path, source, name = Path(spec), spec, Path(spec).stem
    if kind.whole and os.path.isdir(spec):
        path, name = path / kind.whole, Path(os.path.abspath(spec)).name
        source = str(path)
        if not path.is_file():
            raise UsageError(
                f"{spec}: no {kind.whole} in this folder; {_choice(kind)}{kind.others}"
            )
    elif not spec.casefold().endswith(kind.endings):
        return None
    return Found(read_text(path, kind.noun, kind.endings), source, name, path.parent, False)


def unknown(kind: Kind, spec: str, shown: str | None = None) -> UsageError:
    """Return the error for an unknown name: the nearest one, and what a user may write.

    Args:
        shown: ``spec`` without secrets.
    """
    if os.path.isfile(spec):
        ending, other = kind.endings[0], kind.others or ", or name a built-in one"
        return UsageError(f"{spec}: a {kind.noun} file ends in {ending}; rename it{other}")
    near = nearest(spec, names(kind))
    return UsageError(f'no {kind.noun} "{shown or spec}"{near}; {_choice(kind)}{kind.others}')


def _choice(kind: Kind) -> str:
    either = "" if kind.others else "or "
    listed = kind.listed or f"built in: {', '.join(names(kind))}"
    return f"{listed}, {either}give a {kind.endings[0]} file"


def read_text(path: Path, what: str, endings: tuple[str, ...] = (".yaml", ".yml")) -> str:
    """Return the text of a small file.

    Args:
        what: a noun for its content in messages: ``criterion``.
        endings: allowed file endings.

    Raises:
        UsageError: missing, too large, or not UTF-8 (or UTF-16 with a byte order mark).
    """
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        near = nearest_file(path, endings)
        raise UsageError(f"{path}: cannot read the {what}: {reason}{near}") from None
    if len(data) > LONGEST:
        raise UsageError(f"{path}: larger than {LONGEST // 1_000_000} MB, which is no {what}")
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text; save the {what} as UTF-8") from None
