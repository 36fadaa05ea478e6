"""What a user may change of a preset: all that decides a verdict besides the weights, the criterion and the sample."""

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

DRAWN = 0.7  # temperature of several draws, where nobody names one


class Settings(TypedDict, total=False):
    """Settings by name; what is left out, or None, stays as the preset has it. ``Preset`` says what each means.

    ``template`` is a name, a file, or one that is there already.
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
    """Settings, and how fast the engine is asked: rows at once, and requests to a server in a minute."""

    concurrency: int | None
    requests_per_minute: float | None


def changed(preset: Preset, **settings: Unpack[Settings]) -> Preset:
    """The preset with these settings, and with the mode and temperature that follow from them where nobody names any.

    Raises:
        UsageError: a setting that there is not, or two that make no sense together.
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
    # What has no error of its own above is held against the schema; `model_copy` looks at nothing.
    needed = {"name": preset.name, "engine": preset.engine, "weights": preset.weights}
    valid = checked(Preset, {**needed, **new}, lambda keys: f"judge {preset.name}")
    return preset.model_copy(update={name: getattr(valid, name) for name in new})


def usual_mode(preset: Preset, samples: int, critique_tokens: int | None) -> Mode:
    """The mode where nobody names one: the preset's, unless what is asked for needs critiques before the labels. Where the
    preset explains verdicts, a length of critiques is that of these. A preset that writes nothing and names no mode is asked
    for labels; one that names critique mode all the same gets the error of whoever asks it for that."""
    if samples > 1 or (critique_tokens and preset.explain == "none"):
        return "critique"
    return preset.mode if preset.writes or "mode" in preset.model_fields_set else "verdict"


def no_reasons(preset: Preset) -> str:
    """Why a judge is not asked for critiques."""
    why = "was trained to give labels only; its text explains nothing"
    if only_decides(preset.engine):
        why = f"is {APIS[preset.engine].server}, which gives labels but no reasons"
    return f"{preset.name} {why}; ask a judge that can write, like base"
