"""The error about a missing package of an integration."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from mene.errors import ModelError


def need(package: str, extra: str) -> ModuleType:
    """Import the package of another tool.

    Args:
        package: what to import (also a submodule): ``deepeval.metrics``.
        extra: mene's extra that installs it.

    Raises:
        ModelError: it is not installed; the message has the command that installs it.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):
            raise  # it is installed, but one of its own dependencies is missing
        root = package.split(".")[0]
        raise ModelError(f'{root} is not installed; run: pip install "mene[{extra}]"') from None
