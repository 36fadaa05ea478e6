"""The settings of a preset that a user may override: all that decides a verdict, besides weights, criterion and sample."""

from __future__ import annotations

import math
from typing import Any, Literal, TypedDict, Unpack

from mene.engines.remote.api import APIS, only_decides
from mene.errors import UsageError, nearest
from mene.judge.calibration import Calibration
from mene.judge.comparison import COMPARISONS
from mene.judge.preset import Mode, Preset
from mene.library.check import checked
from mene.template import Template
from mene.verdict import Compare

DRAWN = 0.7  # default temperature of several draws


class Settings(TypedDict, total=False):
    """Settings by name. Missing ones, and None, keep the preset's value. ``Preset`` explains each.

    ``template`` is a name, a file, or a parsed template.
    """

    mode: Mode | None
    compare: Compare | None
    template: str | Template | None
    critique_tokens: int | None
    thought_tokens: int | None
    temperature: float | None
    samples: int | None
    seed: int | None
    truncate: Literal["context", "results"] | None
    claims: bool | None
    abstain: bool | None
    calibrations: tuple[Calibration, ...] | None


class Options(Settings, total=False):
    """Settings, and limits of the engine: rows at once, requests per minute."""

    concurrency: int | None
    requests_per_minute: float | None


def changed(preset: Preset, **settings: Unpack[Settings]) -> Preset:
    """Return the preset with these settings; mode and temperature follow from them unless given.

    Raises:
        UsageError: an unknown setting, or two that contradict each other.
    """
    for name in settings:
        if name not in Settings.__annotations__:
            raise UsageError(f'no setting "{name}"{nearest(name, Settings.__annotations__)}')
    new: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    samples, tokens = new.get("samples", preset.samples), new.get("critique_tokens")
    if not isinstance(samples, int) or samples < 1:
        raise UsageError("samples must be a whole number, 1 or more")
    mode = new["mode"] = new.get("mode") or usual_mode(preset, samples, tokens)
    compare = new.get("compare", preset.compare)
    if isinstance(template := new.get("template"), Template):
        new["template"] = template.name
    if mode not in ("critique", "verdict"):
        raise UsageError(f'no mode "{mode}"; it is critique or verdict')
    if compare not in COMPARISONS:
        names = ", ".join(COMPARISONS)
        raise UsageError(f'no comparison "{compare}"{nearest(compare, COMPARISONS)}; there are {names}')  # fmt: skip
    if samples > 1 and mode == "verdict":
        raise UsageError(
            "verdict mode always gives the same probabilities, so several samples add nothing; "
            "use --mode critique, or --samples 1"
        )
    if mode == "critique" and not preset.writes:
        raise UsageError(
            f"{no_reasons(preset)}. Leave out the critique mode and what needs it (several samples, a length "
            "of critiques)"
        )
    temperature = new.get("temperature", preset.temperature)
    if samples > 1 and temperature == 0:
        if "temperature" in new:
            raise UsageError("several samples at temperature 0 are all the same; raise it")
        temperature = new["temperature"] = DRAWN
    if not isinstance(temperature, int | float) or not 0 <= temperature < math.inf:
        raise UsageError(f"temperature {temperature}: give 0 (greedy) or more")
    if new.get("claims", preset.claims) and new.get("abstain", preset.abstain):
        raise UsageError(
            "claims and abstain: `mene align --error` tested labels of whole responses, not of claims; leave one of them out"
        )
    # Validate everything else against the schema, since `model_copy` does not.
    needed = {"name": preset.name, "engine": preset.engine, "weights": preset.weights}
    valid = checked(Preset, {**needed, **new}, lambda keys: f"judge {preset.name}")
    return preset.model_copy(update={name: getattr(valid, name) for name in new})


def usual_mode(preset: Preset, samples: int, critique_tokens: int | None) -> Mode:
    """Return the default mode: the preset's, unless other settings need critiques before the labels. Where the preset
    explains verdicts, ``critique_tokens`` refers to those critiques. A preset that writes no critiques and sets no mode uses
    verdict mode; one that sets critique mode raises an error when it is used."""
    if samples > 1 or (critique_tokens and preset.explain == "none"):
        return "critique"
    return preset.mode if preset.writes or "mode" in preset.model_fields_set else "verdict"


def no_reasons(preset: Preset) -> str:
    """Return why a judge is not asked for critiques."""
    why = "was trained to give labels only; its text explains nothing"
    if preset.explains:
        why = "gives reasons only for a label that it has given (--explain)"
    if only_decides(preset.engine):
        why = f"is {APIS[preset.engine].server}, which gives labels but no reasons"
    return f"{preset.name} {why}; ask a judge that can write, like base"
