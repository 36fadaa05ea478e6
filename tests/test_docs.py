"""What the docs point to is there, and the commands of `runs/` are commands that exist."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import typer.main

from mene.bench.sets import find_sets
from mene.cli.app import app
from mene.judge.preset import load_preset
from mene.recipe import load_recipe

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "runs/*.md", ".github/**/*.md")
    for page in ROOT.glob(pattern)
)
RUNS = sorted(path for path in (ROOT / "runs").glob("*.sh") if path.name != "common.sh")
BASH = pytest.mark.skipif(shutil.which("bash") is None or os.name != "posix", reason="no bash")


def prose(text: str) -> str:
    """Without blocks of code and code between backticks."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


@cache
def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", text, flags=re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = next(n for n in range(99) if (f"{slug}-{n}" if n else slug) not in found)
        found.add(f"{slug}-{number}" if number else slug)
    return found


def broken(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path) -> None:
    (tmp_path / "a.md").write_text(
        "# One `two`: three\n[x](b.md) [y](#one-two-three) [z](#four) `[w](c.md)` [v](https://h/x)"
    )
    assert broken(tmp_path / "a.md") == ["b.md", "#four"]


def test_pages_that_the_program_names_are_there() -> None:
    sources = [p for p in (ROOT / "src").rglob("*") if p.suffix in (".py", ".yaml", ".md")]
    named = {n for p in sources for n in re.findall(r"\bdocs/[\w/-]+\.md", p.read_text("utf-8"))}
    # One of them is llama.cpp's.
    missing = {n for n in named if not (ROOT / n).is_file()}
    assert named and missing <= {"docs/gguf.md"}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


@BASH
@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name)
def test_a_run_has_commands_that_exist(path: Path, tmp_path) -> None:
    """Commands, options, recipes, judges and sets: a name that has changed would show only hours into a run."""
    done = subprocess.run(
        ["bash", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DRY_RUN": "1", "PYTHON": sys.executable},
    )
    assert list(tmp_path.iterdir()) == []
    commands = [shlex.split(line[2:]) for line in done.stdout.splitlines()]
    root = typer.main.get_command(app)
    for command in commands:
        assert command[0] == sys.executable
        if command[1] != "-m":
            assert Path(command[1]).is_file()
            continue
        assert command[2] == "mene"
        name, *arguments = command[3:]
        parsed = root.commands[name].make_context(name, arguments).params  # type: ignore[attr-defined]
        if name in ("curate", "train"):
            assert load_recipe(parsed["recipe"])
        if name == "bench":
            assert find_sets(parsed["suite"].removeprefix("bias:"))
        for judge in str(parsed.get("judge") or "").split(","):
            if judge and not judge.endswith(".yaml"):
                assert load_preset(judge)
    assert commands


@BASH
def test_a_run_without_data_says_so(tmp_path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("MENE_DATA", "DRY_RUN")}
    command = ["bash", str(RUNS[0])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and "MENE_DATA=DATA" in done.stderr
