"""``mene pull``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from mene.cli.console import show
from mene.cli.opening import downloading, judge_named
from mene.errors import ModelError, UsageError
from mene.judge.open import fetch
from mene.judge.preset import SERVED, load_preset
from mene.text.redact import bare_url
from mene.weights.hub import fetch_hub_folder


@dataclass(frozen=True, kw_only=True)
class PullOptions:
    """Options of ``mene pull``."""

    judge: Annotated[
        str | None, typer.Argument(help="A judge from `mene judges`. [MENE_JUDGE, or base]")
    ] = None


def pull(options: PullOptions) -> None:
    """Download a judge's model, to work offline later."""
    spec = judge_named(options.judge)
    preset = load_preset(spec)
    if preset.engine in SERVED:
        raise UsageError(
            f"{spec} runs on a server ({bare_url(preset.weights.url or 'its publisher')}); nothing to pull"
        )
    if preset.weights.path:
        raise UsageError(f"{spec} is a local folder or file; nothing to pull")
    if preset.engine == "transformers" and preset.weights.hub:
        fetch_hub_folder(preset.weights.hub, preset.weights.revision)
        show(f"{spec}: in the hub's cache")
        return
    with downloading() as events:
        path = fetch(preset, events)
    if path is None:
        raise ModelError(f"{spec}: nothing to pull")
    show(path)
