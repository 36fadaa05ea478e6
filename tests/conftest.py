"""Fixtures: the real small model, and real rows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def small_model() -> Path:
    """SmolLM2-135M-Instruct as GGUF (Q8_0), the weights of the ``nano`` judge."""
    return Path(os.environ.get("MENE_TEST_GGUF", "/tmp/w/s.Q8_0.gguf"))
