"""``mene judges``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rich.padding import Padding
from rich.table import Table

from mene.cli.console import Screen, plain, show_json
from mene.cli.options import JsonOption
from mene.engines.embedded import embedded_engine
from mene.judge.default import default_judge
from mene.judge.preset import Preset, load_preset, preset_names
from mene.weights.cache import cache_folder
from mene.weights.fetch import home, is_here

# Minimum width of a screen for a table, and for more than a short description of each judge.
WIDE, NARROW = 110, 60


@dataclass(frozen=True, kw_only=True)
class JudgesOptions:
    """Options of ``mene judges``."""

    json_: JsonOption = False


def judges(options: JudgesOptions) -> None:
    """List the built-in judges, and which are here."""
    found = [load_preset(name) for name in preset_names()]
    if options.json_:
        show_json(
            [{**p.model_dump(), "here": is_here(p.weights), "runs_on": _runs_on(p)} for p in found],
            indent=1,
        )
        return
    fast = embedded_engine()
    console = Screen()
    if console.width >= WIDE:
        table = Table(box=None, pad_edge=False)
        for column in ("name", "engine", "here", "about"):
            table.add_column(column, overflow="fold", no_wrap=column != "about")
        for preset in found:
            here = {True: "yes", False: "no", None: "-"}[is_here(preset.weights)]
            table.add_row(preset.name, _runs_on(preset), here, plain(_about(preset)))
        console.print(table)
    else:
        short = console.width < NARROW
        for preset in found:
            here = ", here" if is_here(preset.weights) else ""
            console.print(f"[bold]{preset.name}[/bold]  {_runs_on(preset)}{here}")
            console.print(Padding(plain(_about(preset, short=short)), (0, 0, 0, 2), expand=False))
        if short:
            console.print("\nSizes and warnings: `mene judges --json`, or on a wider screen.")
    if fast.why:
        console.print(f"\nOn llamacpp, which is slower, since {plain(fast.why)}.")
    console.print(
        f"\nDefault on this machine: {plain(default_judge()[0])}. Set MENE_JUDGE for another."
    )
    console.print(
        f"Any other: openvino:FILE.gguf, llamacpp:FILE.gguf, hf:ID, vllm:ID, openai:MODEL@URL, "
        f"systemone:MODEL@URL. Cache: {plain(cache_folder())}"
    )


def _about(preset: Preset, *, short: bool = False) -> str:
    """Return a judge's description in a list; ``short``: the first sentence, and the licence.

    If a judge has a special licence, its warning is about that licence, and everything else is in ``about``.
    """
    # The warning of mene's own judges is about their abilities, and their free licence is in `about`.
    own = preset.license == "Apache-2.0" and preset.warning
    licence = f"Licence: {preset.license}." if preset.license and not own else ""
    if short:
        first = re.split(r"[.;:] (?=\D)", preset.about.strip())[0].rstrip(".")
        return " ".join(filter(None, (f"{first}.", licence)))
    parts = (preset.about, licence or preset.warning)
    return " ".join(part.strip() for part in parts if part.strip())


def _runs_on(preset: Preset) -> str:
    """Return the engine; not known for an embedded model that is not downloaded."""
    if preset.engine != "embedded":
        return preset.engine
    path = home(preset.weights)
    return embedded_engine(path).name if path is not None and path.exists() else "embedded"
