"""Imports of `src/mene` run one way, and only `cli` knows a terminal (docs/architecture.md)."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src"
# A room imports those before it. The first is `mene/__init__.py`, which names all that a user imports, and loads it late.
ORDER = (
    "mene", "errors", "text", "files", "events", "values", "library",
    "message", "scale", "verdict", "sample", "criterion", "template_view", "template", "labelled",
    "weights", "stats", "engines", "judge", "runs", "report", "bench", "recipe", "curate", "train", "export",
    "serve", "arena", "cli", "__main__",
)  # fmt: skip
# (importing module, imported module): to be mended, and then taken out of here.
STANDING = {
    ("mene.weights.gguf_header", "mene.engines.chat"),
    ("mene.weights.gguf_header", "mene.engines.gguf_tokenizer"),
}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else module


FILES = {module_of(path): path for path in sorted((ROOT / "mene").rglob("*.py"))}


def imports(path: Path) -> set[str]:
    """Modules that a file imports, in functions and for types too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
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
    assert against == STANDING


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
