"""Importing OpenVINO without its telemetry."""

from __future__ import annotations

import sys
from typing import Any


def openvino_runtime() -> Any:
    """Return the package ``openvino``. All of mene imports it through this function.

    Otherwise its dependency ``openvino-telemetry`` would report the import to Google Analytics and leave two files in the
    user's
    home. Without that package, OpenVINO uses a stub of its own, and starts faster.

    Raises:
        ImportError: it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
