"""The generators that a recipe can name under ``data.make``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mene.curate.make.answered import answered
from mene.curate.make.facts import facts
from mene.curate.make.safety import safety
from mene.curate.sources import Point


@dataclass(frozen=True, slots=True)
class Maker:
    """A generator.

    Attributes:
        points: ``(seed, count, raw, warn)`` -> ``count`` points. ``raw`` is the folder of raw sets, ``warn`` is told
            of broken rows there. The same arguments give the same points.
        tasks: what is asked of its points, for ``mene curate --list``.
        licence: of its texts.
        reads: the raw sets that it takes texts from.
        critiques: whether some points have a reason.
    """

    points: Callable[[int, int, Path, Callable[[str], None]], Iterable[Point]]
    tasks: str
    licence: str
    reads: tuple[str, ...] = ()
    critiques: bool = False


MAKERS = {
    "answered": Maker(
        answered,
        "answered, coverage (1-5), better",
        "ours; Apache-2.0",
        reads=("evouna_qa_correctness",),
    ),
    "facts": Maker(facts, "supported, correct, better", "ours", critiques=True),
    "safety": Maker(
        safety,
        "refuses, safe, better",
        "ours; MIT, Apache-2.0, not stated (rm_bench)",
        reads=("diasafety_train", "gptfuzz_refusal_train", "hh_rlhf_harmless", "rm_bench"),
    ),
}


def source_name(maker: str) -> str:
    """What a generator's points have as their source: in ids, reports and ablations."""
    return f"make.{maker}"
