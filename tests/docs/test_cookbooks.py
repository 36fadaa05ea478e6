"""The cookbooks run from top to bottom with nano and a few rows, and what is committed of them is fit to read."""

from __future__ import annotations

import ast
import asyncio
import gzip
import inspect
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mene.engines.base import Engine
from mene.judge.open import open_engine
from mene.judge.preset import Preset

FOLDER = Path(__file__).parents[2] / "docs" / "cookbooks"
COOKBOOKS = sorted(FOLDER.glob("*.ipynb"))
TOY = {"07-align-on-own-labels"}  # 20 labels are the fewest; nano would take too long
# Up to this command, unless MENE_COOKBOOKS=all: training takes a minute of a core (tests/train and tests/export have its tests).
UNTIL = {"08-a-judge-of-your-own": "!mene train"}
NEEDS = {"08-a-judge-of-your-own": ("torch", "peft", "datasketch"), "10-switching": ("starlette",)}


def cells(path: Path) -> list[dict[str, Any]]:
    """The cells with code."""
    found = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


class Kept:
    """An engine that stays open for the next notebook."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def opened() -> Iterator[Callable[..., Any]]:
    """``open_engine``, which loads each model once for all notebooks."""
    kept: list[tuple[Preset, Kept]] = []

    def once(preset: Preset, **given: Any) -> Any:
        for other, engine in kept:
            if (other.weights, other.adapter) == (preset.weights, preset.adapter):
                return engine
        kept.append((preset, Kept(open_engine(preset, **given))))
        return kept[-1][1]

    yield once
    for _, engine in kept:
        engine.engine.close()


def commands_run_here(source: str) -> str:
    """Commands of a cell (``!mene …``), as calls in this process."""
    return re.sub(
        r"^!(.*)$", lambda line: f"_exit_code = _command({line[1]!r})", source, flags=re.M
    )


def command(line: str) -> int:
    from mene.cli.app import main

    program, *arguments = shlex.split(line)
    assert program == "mene"
    before, sys.argv = sys.argv, ["mene", *arguments]
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
    assert code in (0, 3, 4), line  # a gate may fail, or not tell
    return code


@pytest.mark.parametrize("path", COOKBOOKS, ids=lambda path: path.stem)
def test_a_cookbook_runs(
    path: Path, opened, toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("matplotlib", *NEEDS.get(path.stem, ())):
        pytest.importorskip(package, reason=f"needs {package}")
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    monkeypatch.chdir(FOLDER)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("MENE_DATA", raising=False)
    monkeypatch.setenv("MENE_DATA", "data")  # and back, where a notebook sets it
    for name, value in {"MENE_JUDGE": "nano", "MENE_ROWS": "1", "COLUMNS": "110"}.items():
        monkeypatch.setenv(name, value)
    engine_of = (lambda *_, **__: toy) if path.stem in TOY else opened
    monkeypatch.setattr("mene.judge.judge.open_engine", engine_of)
    names: dict[str, Any] = {"__name__": "__main__", "_command": command}
    until = "\0" if os.environ.get("MENE_COOKBOOKS") == "all" else UNTIL.get(path.stem, "\0")
    for number, cell in enumerate(cells(path), 1):
        source = "".join(cell["source"])
        if until in source:
            break
        code = compile(
            commands_run_here(source),
            f"{path.stem}, cell {number}",
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        )
        waiting = eval(code, names)
        if inspect.isawaitable(waiting):
            asyncio.run(_finish(waiting))
    pyplot.close("all")


async def _finish(waiting: Any) -> None:
    await waiting


@pytest.mark.parametrize("path", COOKBOOKS, ids=lambda path: path.stem)
def test_what_is_committed_can_be_read(path: Path) -> None:
    assert path.stat().st_size < 300_000
    done = cells(path)
    # One run from top to bottom in a new kernel.
    assert [cell["execution_count"] for cell in done] == list(range(1, len(done) + 1))
    outputs = [output for cell in done for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    text = json.dumps(outputs)
    assert not re.search(r"/(home|root|work|tmp|Users|var)/|[A-Z]:\\\\|\\u001b|\\r", text)
    assert re.search(r"\b(nano|base)\b", text)  # who judged


def test_the_index_lists_every_cookbook() -> None:
    listed = re.findall(r"\]\(([\w-]+)\.ipynb\)", (FOLDER / "index.md").read_text("utf-8"))
    assert listed == [path.stem for path in COOKBOOKS]


def test_links_between_cookbooks_lead_somewhere() -> None:
    for path in COOKBOOKS:
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", "".join(cell["source"])):
                    assert link.startswith("https://") or (FOLDER / link).exists(), link


def test_every_excerpt_says_where_it_is_from() -> None:
    said = (FOLDER / "data" / "README.md").read_text("utf-8")
    for path in (FOLDER / "data").rglob("*.jsonl.gz"):
        rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        name = path.relative_to(FOLDER / "data").as_posix()
        assert f"`{name}` | {len(rows)} |" in said and len(rows) <= 100
