"""What imports what: the schema of a recipe knows nothing of curation, and inside curation imports run one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import get_args

import mene
from mene.curate.make import derive, perturb
from mene.curate.make.registry import MAKERS
from mene.recipe import Derive, Make, Perturb

ROOT = Path(mene.__file__).parent
# The rooms of curation, each of which may use those before it; the files beside them may use all.
ROOMS = ("raw", "clean", "make", "critiques")


def imported(path: Path) -> Iterator[str]:
    """Modules that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


def modules(*places: str) -> dict[str, set[str]]:
    paths = [path for place in places for path in ROOT.glob(place)]
    names = {
        ".".join(("mene", *path.relative_to(ROOT).with_suffix("").parts)): path for path in paths
    }
    return {name: set(imported(path)) & names.keys() for name, path in names.items()}


def test_no_module_of_a_recipe_s_way_imports_itself() -> None:
    graph = modules("recipe.py", "curate/**/*.py", "train/**/*.py", "export/*.py")
    assert len(graph) > 60
    list(TopologicalSorter(graph).static_order())  # raises where there is a circle


def test_imports_run_one_way() -> None:
    assert not any(one.startswith("mene.curate") for one in imported(ROOT / "recipe.py"))
    graph = modules("curate/**/*.py")
    for place, room in enumerate(ROOMS):
        later = tuple(f"mene.curate.{other}." for other in ROOMS[place + 1 :])
        mine = [name for name in graph if name.startswith(f"mene.curate.{room}.")]
        assert mine
        for name in mine:
            assert not [one for one in graph[name] if one.startswith(later)], name


def test_a_recipe_may_name_what_there_is() -> None:
    assert set(derive.KINDS) == set(get_args(Derive))
    assert set(perturb.KINDS) == set(get_args(Perturb))
    assert set(MAKERS) == set(get_args(Make))
