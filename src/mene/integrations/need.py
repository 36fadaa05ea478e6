"""What a user is told where a tool's package is missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from mene.errors import ModelError


def need(package: str, extra: str) -> ModuleType:
    """The package of a tool.

    Args:
        package: what is imported (a submodule too): ``deepeval.metrics``.
        extra: of mene, that installs it.

    Raises:
        ModelError: it is not installed; says the command that installs it.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):
            raise  # it is there, and lacks something of its own
        root = package.split(".")[0]
        raise ModelError(f'{root} is not installed; run: pip install "mene[{extra}]"') from None
