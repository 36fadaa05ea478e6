"""Saving an aligned judge as a preset."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from mene.bench.align.align import Alignment
from mene.files import write_whole
from mene.judge.calibration import Calibration
from mene.judge.preset import ADAPTERS, Preset, portable
from mene.library.load import TEMPLATES, built_in

OWN = "# Written by `mene align`"  # first words of a file that may be overwritten


def save(
    preset: Preset,
    found: Alignment,
    target: Path,
    others: Iterable[Calibration] = (),
) -> None:
    """Write a judge's preset, with which it was asked, and the calibration that was learned so.

    Args:
        others: calibrations that the judge has for other questions; they stay.
    """
    chosen = found.chosen
    assert chosen is not None

    def of(c: Calibration) -> tuple[Any, ...]:
        return c.criterion, c.question, c.labels, c.mode, c.template, c.compare

    calibrations = [chosen, *(c for c in others if of(c) != of(chosen))]
    data = as_data(preset)
    data["name"] = target.stem
    data["calibrations"] = [c.model_dump(mode="json", exclude_defaults=True) for c in calibrations]
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    write_whole(target, f"{OWN}; use it with --judge {target}\n{text}")


def as_data(preset: Preset) -> dict[str, Any]:
    """Return a preset as the data of its file. Adapters that ship have names that are valid elsewhere; a template of its own has
    its full path; other paths are as they are."""
    data = preset.model_dump(mode="json", exclude_defaults=True)
    data |= {key: portable(data[key]) for key in ADAPTERS if data.get(key)}
    template = built_in(TEMPLATES, preset.template) or str(Path(preset.template).resolve())
    return data | {"mode": preset.mode, "compare": preset.compare, "template": template}
