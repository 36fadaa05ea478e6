"""The questions that made points answer, beside those that raw sets answer too."""

from __future__ import annotations

from functools import cache
from importlib import resources

from mene.curate.raw.sources import View
from mene.library.yaml_file import read_yaml


@cache
def made_views() -> dict[str, View]:
    """The views of ``views.yaml``, by name."""
    text = (resources.files("mene") / "curate" / "make" / "views.yaml").read_text("utf-8")
    return {n: View.model_validate(v) for n, v in read_yaml(text, "views.yaml").items()}
