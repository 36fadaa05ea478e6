"""Imports of `src/mene` run one way, and only `cli` knows a terminal (docs/architecture.md)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src"
# A room imports those before it. The first is `mene/__init__.py`, which names all that a user imports, and loads it late.
ORDER = (
    "mene", "errors", "text", "files", "events", "values", "library",
    "message", "scale", "verdict", "sample", "criterion_name", "criterion", "criterion_behind", "criteria_set", "template_view", "template", "labelled",
    "weights", "stats", "engines", "judge", "runs", "report", "gate", "bench", "recipe", "curate", "train", "export",
    "serve", "arena", "integrations", "cli", "__main__",
)  # fmt: skip


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else module


FILES = {module_of(path): path for path in sorted((ROOT / "mene").rglob("*.py"))}


def imports(path: Path, *, types: bool = True) -> set[str]:
    """Modules that a file imports, in functions too; and for types alone (``if TYPE_CHECKING``), where ``types`` says so."""
    found: set[str] = set()
    tree = ast.parse(path.read_text("utf-8"))
    only_types = [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)
    ]
    left_out = set() if types else {id(node) for one in only_types for node in ast.walk(one)}
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path}: a relative import"
            inner = {f"{node.module}.{name.name}" for name in node.names} & FILES.keys()
            found.update(inner or {node.module})
    return found


def test_every_room_has_its_place() -> None:
    assert {room_of(module) for module in FILES} == set(ORDER)


def test_imports_run_one_way() -> None:
    against = {
        (module, other)
        for module, path in FILES.items()
        for other in imports(path) & FILES.keys()
        if ORDER.index(room_of(other)) > ORDER.index(room_of(module)) and module != "mene"
    }
    assert not against


def test_only_the_command_line_knows_a_terminal() -> None:
    terminal = {"rich", "typer", "click"}
    for module, path in FILES.items():
        if room_of(module) not in ("cli", "__main__"):
            found = {name.split(".")[0] for name in imports(path)} & terminal
            assert not found, f"{module} imports {found}"


def test_only_the_command_line_prints() -> None:
    for module, path in FILES.items():
        if room_of(module) != "cli" and module != "mene.text.visible":
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                prints = isinstance(node, ast.Name) and node.id == "print"
                assert not prints, f"{module}: line {node.lineno}"  # type: ignore[attr-defined]


def room_imports() -> set[tuple[str, str]]:
    """(room, room that it imports)."""
    found = {
        (room_of(module), room_of(other))
        for module, path in FILES.items()
        for other in imports(path) & FILES.keys()
    }
    return {(one, other) for one, other in found if one != other}


def test_the_picture_of_imports_is_that_of_the_code() -> None:
    """The picture shows the packages with an idea of their own; words and helpers are below all of them, ``cli`` is above."""
    rooms = ORDER[ORDER.index("weights") : ORDER.index("cli")]
    rooms = tuple(room for room in rooms if room != "recipe")
    text = (ROOT.parent / "docs" / "architecture.md").read_text("utf-8")
    picture = text.split("```mermaid\n")[1].split("```")[0]
    drawn = {
        (one, other.strip())
        for one, others in re.findall(r"^ +(\w+) --> (.+)$", picture, re.MULTILINE)
        for other in others.split("&")
    }
    found = room_imports()
    assert drawn == {(one, other) for one, other in found if one in rooms and other in rooms}
    assert {other for one, other in found if one == "cli"} >= set(rooms)
    below = set(ORDER[1 : ORDER.index("weights")]) | {"recipe"}
    assert {(one, o) for one, o in found if one in below and o in rooms} == {("recipe", "weights")}


def test_no_circle_of_files() -> None:
    """Files can be put in an order in which each imports only those before it. ``mene`` itself, which names all, is left out."""
    waiting = {
        m: (imports(p, types=False) & FILES.keys()) - {m, "mene"}
        for m, p in FILES.items()
        if m != "mene"
    }
    while ready := {module for module, others in waiting.items() if not others & waiting.keys()}:
        waiting = {m: others for m, others in waiting.items() if m not in ready}
    assert not waiting
