"""Questions of generated points, besides those shared with raw sets."""

from __future__ import annotations

from functools import cache

from mene.curate.make.texts import read_texts
from mene.curate.raw.sources import View


@cache
def made_views() -> dict[str, View]:
    """Return the views of ``views.yaml``, by name."""
    return {n: View.model_validate(v) for n, v in read_texts("views.yaml").items()}
