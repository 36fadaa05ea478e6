"""mene judges the output of language models with a small model you own.

    from mene import Judge
    verdict = Judge("nano")(criterion="faithfulness", instruction=..., response=..., context=...)
    judged = mene.judge_frame(frame, ["faithfulness", "tone", "Is the reply polite?"])

Names are imported on first use, so that ``import mene`` stays fast.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "CriteriaSet",
    "Criterion",
    "Judge",
    "MeneError",
    "Sample",
    "Scale",
    "Verdict",
    "judge_frame",
    "load_criteria",
]

if TYPE_CHECKING:
    from mene.criteria_set import CriteriaSet, load_criteria
    from mene.criterion import Criterion
    from mene.errors import MeneError
    from mene.judge.judge import Judge
    from mene.runs.frame import judge_frame
    from mene.sample import Sample
    from mene.scale import Scale
    from mene.verdict import Verdict

_HOME = {
    "CriteriaSet": "criteria_set",
    "Criterion": "criterion",
    "Judge": "judge.judge",
    "MeneError": "errors",
    "Sample": "sample",
    "Scale": "scale",
    "Verdict": "verdict",
    "judge_frame": "runs.frame",
    "load_criteria": "criteria_set",
}


def __getattr__(name: str) -> object:
    if name in _HOME:
        from importlib import import_module

        value = getattr(import_module(f"mene.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'mene' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
