"""Judges on a cluster: the driver opens them without a model, workers with it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from mene.cli.opening import downloading, open_one
from mene.engines.base import Engine
from mene.engines.openvino.dtype import dtype_in
from mene.errors import EngineError
from mene.events import nowhere
from mene.judge.any_judge import AnyJudge
from mene.judge.judge import Judge
from mene.judge.jury import Jury
from mene.judge.memory import memory_of
from mene.judge.open import HUB_CLIENTS, fetch, open_engine
from mene.judge.preset import ADAPTERS, CHOOSING, SERVED, Preset, load_preset
from mene.judge.settings import Options, Settings
from mene.library.load import TEMPLATES, built_in

if TYPE_CHECKING:
    from mene.runs.on_ray.pipeline import Needs

INSTEAD = "--on ray"


def opened_here(specs: list[str], settings: Options) -> AnyJudge:
    """Return the judge for the driver: weights are downloaded, so that errors appear now, but no model is loaded."""
    judges = []
    for spec in specs:
        preset = load_preset(spec)
        if preset.engine in HUB_CLIENTS:
            own = {
                name: value for name, value in settings.items() if name in Settings.__annotations__
            }
            judges.append(Judge(preset, engine=_NotHere(preset), **cast("Settings", own)))
        else:
            judges.append(open_one(preset, settings))
    return judges[0] if len(judges) == 1 else Jury(judges)


def opened_in_worker(
    presets: list[str | Preset], choices: list[dict[str, str]], settings: Options
) -> AnyJudge:
    """Return the judge, or the jury, opened on the machine that runs this.

    Args:
        choices: for each preset, the driver's (``choice_of``).

    Raises:
        EngineError: this machine cannot compute in the driver's number format: its verdicts would be others.
    """
    known = [load_preset(one) if isinstance(one, str) else one for one in presets]
    judges = [
        Judge(preset.model_copy(update=choice), events=nowhere, load=False, **settings)
        for preset, choice in zip(known, choices, strict=True)
    ]
    for judge, choice in zip(judges, choices, strict=True):
        found, wanted = dtype_in(judge.engine.identity), choice.get("dtype")
        if wanted and found != wanted:
            raise EngineError(
                f"{platform.node()} computes in {found}, and this run in {wanted}, which its processor lacks or MENE_DTYPE there "
                "forbids; start the run with MENE_DTYPE=int8 or float32, whichever all machines have"
            )
    return judges[0] if len(judges) == 1 else Jury(judges)


def choice_of(preset: Preset, engine: Engine) -> dict[str, str]:
    """Return what this machine chose where a preset leaves it to the machine, so that all machines of a cluster do the same."""
    if preset.engine not in CHOOSING:
        return {}
    name = engine.identity.partition(":")[0]
    if name != "openvino":
        return {"engine": name}
    return {"engine": name, "dtype": dtype_in(engine.identity)}


def with_full_paths(preset: Preset) -> Preset:
    """Return the preset with full paths of files that are here: workers on other machines have another working folder."""

    def full(name: str | None) -> str | None:
        return os.path.abspath(name) if name and os.path.exists(name) else name

    weights = preset.weights.model_copy(update={"path": full(preset.weights.path)})
    changes = {"weights": weights} | {key: full(getattr(preset, key)) for key in ADAPTERS}
    if built_in(TEMPLATES, preset.template) is None:
        changes["template"] = full(preset.template)
    return preset.model_copy(update=changes)


def needs_of(presets: Sequence[Preset]) -> Needs:
    """Return the resources that a worker with these judges needs."""
    from mene.runs.on_ray.pipeline import Needs

    known = [memory_of(preset) for preset in presets]
    return Needs(
        memory=sum(known) if all(known) else None,
        gpus=float(any(preset.engine in HUB_CLIENTS for preset in presets)),
        cpu_too=all(preset.engine != "vllm" for preset in presets),
        served=all(preset.engine in SERVED for preset in presets),
    )


def engine_on_ray(preset: Preset, *, critique: bool, concurrency: int | None = None) -> Engine:
    """Return a preset's engine on the running Ray; its weights are also downloaded here, so that errors appear now.

    Raises:
        ModelError, UsageError, EngineError: something is missing, or does not start.
    """
    from mene.runs.on_ray.engine import RayEngine

    with downloading() as events:
        if preset.engine not in CHOOSING:
            fetch(preset, events)
        else:
            here = open_engine(preset, critique=critique, events=events, load=False)
            preset = preset.model_copy(update=choice_of(preset, here))
            here.close()
    opening = partial(
        open_engine,
        with_full_paths(preset),
        critique=critique,
        concurrency=concurrency,
        events=nowhere,
    )
    return RayEngine(opening, needs_of([preset]))


class _NotHere:
    """Replaces an engine whose model only workers load."""

    context: int | None = None
    control_tokens: frozenset[str] = frozenset()

    def __init__(self, preset: Preset) -> None:
        named = preset.weights.hub or preset.weights.path
        self.identity = f"{preset.engine}:{named}@{preset.weights.revision or ''}"

    def run(self, requests: Any, stop: Any = None) -> Any:
        raise AssertionError

    def prompt(self, request: Any) -> str:
        raise AssertionError

    def count(self, request: Any) -> int | None:
        raise AssertionError

    def close(self) -> None:
        """Do nothing, since nothing is open."""
