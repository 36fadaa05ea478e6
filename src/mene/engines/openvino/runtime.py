"""OpenVINO, imported in the one way that reports nothing to its makers."""

from __future__ import annotations

import sys
from typing import Any


def openvino_runtime() -> Any:
    """The package ``openvino``. All of mene imports it here.

    On import it would tell Google Analytics so, by its dependency ``openvino-telemetry``, and leave two files in the
    user's home. Without that package it goes on with a stub of its own, and starts faster.

    Raises:
        ImportError: it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
