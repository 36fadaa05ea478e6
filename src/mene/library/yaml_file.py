"""Reading YAML that people write: criteria, judges, recipes, heads of templates.

Text stays text: ``on``, ``NO``, ``1:30`` and ``2024-01-31`` are strings, as in the core schema of YAML 1.2. Repeated keys, huge
files, thousands of levels, and a few lines whose references expand to millions of values are errors that name the line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.reader import ReaderError

from mene.errors import UsageError

LONGEST = 1_000_000  # characters
DEEPEST = 50  # levels
MOST = 50_000  # maximum number of values, with references expanded
DIGITS = 1000  # of a number


def read_yaml(text: str, source: str, *, plain: bool = False) -> Any:
    """Parse a YAML text.

    Args:
        source: its name in messages.
        plain: keep every value as the text in the file (``1.0``, ``007``, ``true``); empty ones become None.

    Raises:
        UsageError: names the source and the line.
    """
    try:
        if len(text) > LONGEST:
            raise yaml.YAMLError(f"longer than {LONGEST:,} characters")
        loader = (_Plain if plain else _Loader)(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"a character that YAML does not allow (U+{int(error.character):04X})"
        raise UsageError(f"{source}, line {line}: not valid YAML: {what}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{source}{where}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{source}: not valid YAML: {error}") from None


def place(text: str, source: str, keys: Sequence[object]) -> str:
    """Return ``source, line 3``: where the value under ``keys`` is in a YAML text."""
    loader = _Loader(text)
    try:
        node, mark = loader.get_single_node(), None
    except yaml.YAMLError:
        return source
    finally:
        loader.dispose()
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if getattr(k, "value", None) == str(key)]
            if not found:
                break
            mark, node = found[0][0].start_mark, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            mark = node.start_mark
        else:
            break
    return source if mark is None else f"{source}, line {mark.line + 1}"


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012
    yaml_constructors = {}  # noqa: RUF012

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = self.values = 0
        # Anchor -> number of values under it; 0 while it is being read.
        self.sizes: dict[str, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        self.values += 1
        if isinstance(event, yaml.AliasEvent) and event.anchor in self.sizes:
            if not self.sizes[event.anchor]:
                raise _wrong("it refers to itself", event)
            self.values += self.sizes[event.anchor]
        if self.values > MOST:
            raise _wrong(f"more than {MOST:,} values", event)
        if self.depth >= DEEPEST:
            raise _wrong(f"nested more than {DEEPEST} levels deep", event)
        before, opens = self.values, not isinstance(event, yaml.AliasEvent) and event.anchor
        if opens:
            self.sizes[event.anchor] = 0
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if opens:
            self.sizes[event.anchor] = self.values - before + 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                    raise _wrong(f'the key "{key.value}" is given twice', key)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: Any) -> Any:
        text = super().construct_scalar(node)
        if text.isascii():
            return text
        try:  # JSON writes characters beyond U+FFFF as two surrogates
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise _wrong("half of a character (\\ud800 to \\udfff)", node) from None


class _Plain(_Loader):
    yaml_implicit_resolvers = {}  # noqa: RUF012


def _wrong(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return ComposerError(None, None, problem, at.start_mark)


def _bool(loader: Any, node: Any) -> bool:
    text = loader.construct_scalar(node).lower()
    if text not in ("true", "false"):
        raise _wrong(f"{text!r} is neither true nor false", node)
    return text == "true"


def _int(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node)
    base = {"0x": 16, "0o": 8}.get(text[:2], 10)
    try:
        if len(text) > DIGITS:  # Python converts longer ones only from hexadecimal
            raise ValueError
        return int(text if base == 10 else text[2:], base)
    except ValueError:
        raise _wrong("a number that cannot be read", node) from None


def _float(loader: Any, node: Any) -> float:
    text = loader.construct_scalar(node).lower()
    try:
        return math.nan if text == ".nan" else float(text.replace(".inf", "inf"))
    except ValueError:
        raise _wrong("a number that cannot be read", node) from None


_CORE = {
    "null": (r"~|null|Null|NULL|", "~nN"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": ("<<", "<"),
}
for _kind, (_pattern, _first) in _CORE.items():
    _whole = re.compile(rf"(?:{_pattern})\Z")
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", _whole, [*_first, *("",) * (_kind == "null")]
    )
_Plain.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"\Z"), [""])
_Plain.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<\Z"), ["<"])
for _kind, _make in {
    "null": yaml.SafeLoader.construct_yaml_null,
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": yaml.SafeLoader.construct_yaml_str,
    "seq": yaml.SafeLoader.construct_yaml_seq,
    "map": yaml.SafeLoader.construct_yaml_map,
}.items():
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _make)
_Loader.add_constructor(None, yaml.SafeLoader.construct_undefined)  # type: ignore[type-var]
_Plain.yaml_constructors = _Loader.yaml_constructors
