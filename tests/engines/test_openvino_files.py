"""Files that the OpenVINO engine must not trust, and a machine that must not be told of: small models written here, no PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
