"""What is installed: one version, extras that build on each other, and a clear word where one is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import mene

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_one_version(here) -> None:
    assert PROJECT["project"]["dynamic"] == ["version"] and "version" not in PROJECT["project"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/mene/__init__.py"
    assert here("--version").stdout == f"mene {mene.__version__}\n"
    try:
        assert version("mene") == mene.__version__
    except PackageNotFoundError:
        pytest.skip("run from the sources alone")


def test_an_extra_names_no_package_twice() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert extras["train"] == ["mene[transformers,curate]"]
    packages = [
        one for name, all_ in extras.items() if name != "dev" for one in all_ if "mene[" not in one
    ]
    assert len(packages) == len(set(packages))


def without(tmp_path: Path, missing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``mene`` where the package ``missing`` is not installed."""
    (tmp_path / f"{missing}.py").write_text("raise ImportError")
    path = os.pathsep.join([str(tmp_path), str(ROOT / "src")])
    return subprocess.run(
        [sys.executable, "-m", "mene", *arguments],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=path),
    )


def test_curating_names_its_extra(tmp_path) -> None:
    done = without(tmp_path, "datasketch", "curate", "nano", "--data", str(tmp_path))
    assert done.returncode == 2
    assert 'pip install "mene[curate]"' in done.stderr and "Traceback" not in done.stderr


def test_no_module_of_unix_is_needed() -> None:
    """Windows has none of them."""
    code = """
import sys
sys.modules |= dict.fromkeys(["fcntl", "resource", "termios", "pwd", "grp"])
import mene.runs.ledger, mene.judge.judge, mene.cli.judge, mene.weights.fetch, mene.engines.llamacpp.process
"""
    source = dict(os.environ, PYTHONPATH=str(ROOT / "src"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=source)
    assert done.returncode == 0, done.stderr
