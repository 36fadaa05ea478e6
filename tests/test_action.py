"""The GitHub action and the pre-commit hooks: valid, and what they run is there and does what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
import yaml

from mene.cli.app import app
from mene.verdict import Verdict

ROOT = Path(__file__).parents[1]
if not (ROOT / "action.yml").exists():
    pytest.skip("a source distribution has no action", allow_module_level=True)
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = ACTION["runs"]["steps"]
BASH = pytest.mark.skipif(shutil.which("bash") is None or os.name != "posix", reason="no bash")


def test_the_action_is_composite_and_names_what_there_is() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert {"name", "description", "inputs", "outputs"} <= set(ACTION)
    text = (ROOT / "action.yml").read_text("utf-8")
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])
    assert all(
        one["description"] for one in (*ACTION["inputs"].values(), *ACTION["outputs"].values())
    )
    ids = {step["id"] for step in STEPS if "id" in step}
    assert set(re.findall(r"steps\.(\w+)\.outputs", text)) == ids
    for step in STEPS:
        assert ("uses" in step) != ("run" in step)
        assert "run" not in step or step["shell"] == "bash"


def test_inputs_reach_the_shell_as_variables_alone() -> None:
    """What a pull request can put into an input is never part of a command."""
    for step in STEPS:
        assert "${{" not in step.get("run", "")


@BASH
@pytest.mark.parametrize(
    ("version", "asked"),
    [("", "mene"), ("1.2.0", "mene==1.2.0"), ("git+https://h/mene", "git+https://h/mene")],
)
def test_the_version_that_is_installed(version: str, asked: str, tmp_path) -> None:
    (tmp_path / "python").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "python").chmod(0o755)
    step = next(step for step in STEPS if step.get("name") == "Install mene")
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]], capture_output=True, text=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "VERSION": version},
    )  # fmt: skip
    assert done.stdout == f"-m pip install --quiet {asked}\n", done.stderr


JUDGE = """#!/bin/bash
# mene, which judges by copying verdicts that are there, and gates for real, or as it is told
printf '%s\\n' "$*" >> "$SEEN"
if [ "$1" = judge ]; then
  while [ "$1" != -o ]; do shift; done
  cat "$KEPT" > "$2"
  exit "${CODE:-0}"
fi
[ -z "$GATE" ] || exit "$GATE"
exec "$PYTHON" -m mene "$@"
"""


@pytest.fixture
def step(tmp_path):
    """Runs the step `Judge` with these inputs, on so many verdicts of Yes of 100."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mene").write_text(JUDGE)
    (tmp_path / "bin" / "mene").chmod(0o755)
    run = next(one for one in STEPS if one.get("id") == "gate")

    def go(yes: int, code: int = 0, **inputs: str) -> subprocess.CompletedProcess[str]:
        odds = {"Yes": {"Yes": 0.9, "No": 0.1}, "No": {"Yes": 0.1, "No": 0.9}}
        labels = ["Yes"] * yes + ["No"] * (100 - yes)
        (tmp_path / "kept.jsonl").write_text("".join(
            Verdict(id=str(n), row=n + 1, content=str(n), key=f"{n:032x}", criterion="faithfulness", judge="nano", label=label, probabilities=odds[label]).to_json() + "\n"
            for n, label in enumerate(labels)
        ))  # fmt: skip
        given = {
            name.upper().replace("-", "_"): one.get("default", "")
            for name, one in ACTION["inputs"].items()
        }
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", run["run"]], capture_output=True, text=True, cwd=tmp_path,
            env={
                **os.environ, **given, "FILES": "my rows.jsonl\n", "CRITERIA": "faithfulness", "RULES": "faithfulness: share(Yes) >= 0.9",
                **inputs, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHON": sys.executable, "PYTHONPATH": str(ROOT / "src"),
                "GITHUB_ACTION_PATH": str(ROOT), "GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_ACTIONS": "true",
                "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "SEEN": str(tmp_path / "seen"), "KEPT": str(tmp_path / "kept.jsonl"), "CODE": str(code),
            },
        )  # fmt: skip

    return go


@BASH
def test_a_table_is_judged_and_gated(step, tmp_path) -> None:
    done = step(60, CRITERIA="faithfulness\n  Is it $(touch hacked)?\n", ARGUMENTS="--limit\n100")
    assert done.returncode == 3, done.stderr
    *seen, last = (tmp_path / "seen").read_text().splitlines()
    assert last.startswith(
        "gate mene-gate/1-my rows.jsonl.verdicts.jsonl --rule faithfulness: share(Yes) >= 0.9 --junit "
    )
    assert seen[0].startswith(
        "judge my rows.jsonl -c faithfulness -j base -o mene-gate/1-my rows.jsonl.verdicts.jsonl"
    )
    assert "Is it $(touch hacked)?" in seen[1] and not (tmp_path / "hacked").exists()
    assert all(line.endswith("--limit 100") for line in seen)
    assert (tmp_path / "output").read_text() == "outcome=fail\nfolder=mene-gate\n"
    assert "mene gate: failed" in (tmp_path / "summary.md").read_text("utf-8")
    assert "::error title=faithfulness%3A fail::" in done.stdout
    names = {path.name for path in (tmp_path / "mene-gate").iterdir()}
    assert names == {f"1-my rows.jsonl.{end}" for end in ("verdicts.jsonl", "junit.xml", "md")}


@BASH
def test_exit_codes(step, tmp_path) -> None:
    (tmp_path / "rules.yaml").write_text("faithfulness: share(Yes) >= 0.9\n")
    assert step(9, RULES="rules.yaml\n", CANNOT_TELL="pass", GATE="0").returncode == 0
    last = (tmp_path / "seen").read_text().splitlines()[-1]
    assert last.startswith(
        "gate mene-gate/1-my rows.jsonl.verdicts.jsonl rules.yaml --cannot-tell pass --junit"
    )
    for code in ("0", "3", "4"):
        assert step(9, GATE=code).returncode == int(code)
    assert step(9, FILES="a\nb\n", GATE="4").returncode == 4
    assert step(9, code=1, GATE="0").returncode == 0  # some rows failed: the rules say how many may
    assert step(9, code=2, GATE="0").returncode == 2
    assert step(9, FILES="\n").returncode == 2


def test_the_hooks_are_commands_that_exist() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for hook in hooks:
        program, command = hook["entry"].split()
        assert program == "mene" and command in commands and hook["language"] == "python"
        assert hook["id"] and hook["name"] and hook["description"] and re.compile(hook["files"])
        *_, arguments = re.findall(r"args: \[(.*?)\]", hook["description"])
        commands[command].make_context(command, arguments.split(", "))
