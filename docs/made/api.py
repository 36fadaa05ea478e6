"""``reference/python.md``: the names that ``mene`` exports, its errors and its events, from their docstrings (mkdocstrings)."""

from __future__ import annotations

import mene

PAGE = "reference/python.md"
HEAD = """# Python

The names that `mene` exports, and what they raise and tell. Each is imported on first use, so that `import mene` stays fast.
Names in other modules may change from one version to the next without a word in the changelog. At work they are in
[criteria](../criteria.md#several-criteria).

```python
from mene import Judge

judge = Judge("nano")
verdict = judge(
    context="Paris is in France.",
    response="Paris is in Spain.",
    criterion="faithfulness",
)
print(verdict.label, verdict.probabilities)
```

"""
FIRST = (
    "Judge",
    "judge_frame",
    "Sample",
    "Verdict",
    "Criterion",
    "CriteriaSet",
    "load_criteria",
    "Scale",
)
ERRORS = (
    "MeneError",
    "UsageError",
    "SampleError",
    "ContextOverflow",
    "ModelError",
    "EngineError",
    "LedgerError",
)
EVENTS = ("Begin", "Advance", "Stop", "Warn")


def page() -> str:
    """Markdown with a directive for each name."""
    more = sorted(set(mene.__all__) - set(FIRST) - set(ERRORS))
    parts = [f"::: mene.{name}" for name in [*FIRST, *more]]
    parts += [
        "## Errors",
        *(f"::: mene.errors.{name}\n    options: {{heading_level: 3}}" for name in ERRORS),
    ]
    parts += ["## Events", "`Judge(events=…)` takes a function that is called with each of them."]
    parts += [f"::: mene.events.{name}\n    options: {{heading_level: 3}}" for name in EVENTS]
    return HEAD + "\n\n".join(parts) + "\n"
