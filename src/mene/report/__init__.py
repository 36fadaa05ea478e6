"""Reports: one self-contained page on a file of verdicts, with their agreement with gold labels.

Pure functions: verdicts, gold labels and texts come in as objects, a page is returned as text. The caller reads and writes
files. Names are imported on first use (the statistics need NumPy).
"""

from typing import TYPE_CHECKING

__all__ = ["Summary", "page_of", "render", "summarise"]

if TYPE_CHECKING:
    from mene.report.gather import summarise
    from mene.report.page import page_of, render
    from mene.report.summary import Summary

_HOME = {"Summary": "summary", "page_of": "page", "render": "page", "summarise": "gather"}


def __getattr__(name: str) -> object:
    if name in _HOME:
        from importlib import import_module

        value = getattr(import_module(f"mene.report.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'mene.report' has no attribute {name!r}")
