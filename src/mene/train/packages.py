"""The packages of the extra ``train``."""

from __future__ import annotations

from importlib import import_module

from mene.errors import ModelError


def need_packages() -> None:
    """Check early that the packages are installed: raise ``ModelError`` where one cannot be imported."""
    for name in ("torch", "transformers", "peft", "accelerate"):
        try:
            import_module(name)
        except ImportError:
            raise ModelError(f'{name} is not installed; run: pip install "mene[train]"') from None
