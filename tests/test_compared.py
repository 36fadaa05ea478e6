"""docs/compared.md counts the scripts of benchmarks/tasks as they are."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]
TASKS = runpy.run_path(str(ROOT / "benchmarks" / "tasks" / "__main__.py"))


def test_the_table_has_the_lines_of_the_scripts() -> None:
    page = (ROOT / "docs" / "compared.md").read_text("utf-8")
    said = {}
    for number, cells in re.findall(r"^\| (\d\d) [^|]*\|(.*)\|$", page, flags=re.MULTILINE):
        said[number] = [cell.strip() for cell in cells.split("|")]
    found = {
        task.name[:2]: [
            str(sum(map(TASKS["lines_of"], TASKS["scripts"](task, tool))) or "-")
            for tool in TASKS["TOOLS"]
        ]
        for task in (ROOT / "benchmarks" / "tasks").glob("[0-9]*")
    }
    assert said == found and len(found) == 10
