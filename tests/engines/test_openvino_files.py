"""Files that the OpenVINO engine must not trust, and a machine that must not be told of: small models written here, no PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mene.engines import embedded
from mene.engines.openvino import OpenVINOEngine
from mene.errors import ModelError

pytest.importorskip("openvino")

IMPORT = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(event))
from mene.engines.openvino_runtime import openvino_runtime
openvino_runtime().Core()
told = [e for e in seen if e.startswith("socket.") or e in ("os.fork", "os.posix_spawn", "subprocess.Popen", "os.system")]
assert not told, told
"""


def test_an_import_tells_nobody(tmp_path: Path) -> None:
    environ = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", IMPORT], env=environ, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("system", "machine", "engine"),
    [
        ("linux", "x86_64", "openvino"),
        ("win32", "AMD64", "openvino"),
        ("darwin", "x86_64", "llamacpp"),
        ("darwin", "arm64", "llamacpp"),
        ("linux", "aarch64", "llamacpp"),
    ],
)
def test_it_is_installed_where_it_is_chosen(
    system: str, machine: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MENE_ENGINE", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert embedded.embedded_engine().name == engine
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    needed = next(map(Requirement, filter(lambda n: "openvino" in n, project["dependencies"])))
    assert needed.marker is not None
    where = {"sys_platform": system, "platform_machine": machine}
    assert needed.marker.evaluate(where) == (engine == "openvino")


def test_a_missing_package_is_one_that_pip_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ModelError, match="run: pip install tokenizers,"):
        OpenVINOEngine(Path("any.gguf"))
