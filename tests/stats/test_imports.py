"""The room of figures stands on words alone: what it imports says so."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mene import stats

WORDS = {"criterion", "errors", "labelled", "sample", "scale", "stats", "verdict"}


@pytest.mark.parametrize(
    "file", sorted(Path(stats.__file__).parent.glob("*.py")), ids=lambda file: file.stem
)
def test_figures_know_no_report_bench_or_judge(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"))
    found = {
        node.module.split(".")[1] if "." in node.module else "stats"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mene")
    }
    assert found <= WORDS
