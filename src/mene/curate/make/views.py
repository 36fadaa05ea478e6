"""The questions that made points answer, beside those that raw sets answer too."""

from __future__ import annotations

from functools import cache

from mene.curate.make.texts import read_texts
from mene.curate.raw.sources import View


@cache
def made_views() -> dict[str, View]:
    """The views of ``views.yaml``, by name."""
    return {n: View.model_validate(v) for n, v in read_texts("views.yaml").items()}
