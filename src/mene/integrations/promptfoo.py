"""mene in promptfoo: an assertion, and a provider that grades.

promptfoo runs a file, so write one that imports them:

    # judge.py
    from mene.integrations.promptfoo import call_api, get_assert

    # promptfooconfig.yaml
    assert:
      - type: python
        value: file://judge.py
        config: {criterion: faithfulness, judge: base, threshold: 0.5}

With ``options: {provider: file://judge.py}`` under ``defaultTest``, promptfoo's own ``llm-rubric`` uses mene.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mene import Criterion, MeneError, Scale, Verdict
from mene.errors import UsageError, nearest
from mene.integrations.ask import ask, criterion_of, judge_of
from mene.integrations.grade import grade, reason
from mene.values.fields import ALIASES

KEYS = ("criterion", "scale", "judge", "threshold", "explain", "basePath")


def get_assert(output: Any, context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the judgement of an output: ``{pass, score, reason, namedScores}``.

    Args:
        output: of the prompt.
        context: ``vars`` (under names that mene knows, such as ``question``, ``context``, ``reference``), ``prompt``, and
            ``config``: ``criterion`` (a name, a file or a question), ``scale``, ``judge``, ``threshold`` (of the score, 0 to
            1; default 0.5), ``explain``.

    An output that cannot be judged fails, with the reason.
    """
    config = dict(context.get("config") or {})
    try:
        for key in config:
            if key not in KEYS:
                raise UsageError(
                    f"config: no key {key!r}{nearest(key, KEYS)}; the keys are {', '.join(KEYS[:-1])}"
                )
        if not config.get("criterion"):
            raise UsageError("config: say the criterion, e.g. {criterion: faithfulness}")
        criterion = criterion_of(str(config["criterion"]), config.get("scale"))
        row = {**_fields(context.get("vars") or {}, context.get("prompt")), "response": output}
        verdict = ask(
            judge_of(config.get("judge")), row, criterion, explain=bool(config.get("explain"))
        )
        return _graded(verdict, criterion, float(config.get("threshold", 0.5)))
    except MeneError as error:
        return {"pass": False, "score": 0.0, "reason": f"mene: {error}"}


def call_api(prompt: str, options: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """Return a grade for ``llm-rubric``, ``{output}`` or ``{error}``; the rubric is a yes/no question.

    Args:
        prompt: promptfoo's own prompt; not used, since mene has its own.
        options: ``config`` as for ``get_assert``, without a criterion.
        context: ``vars`` with ``output`` and ``rubric``, as promptfoo gives them to a grader.
    """
    config = dict(options.get("config") or {})
    said = context.get("vars") or {}
    try:
        if "output" not in said or "rubric" not in said:
            raise UsageError("this provider grades for llm-rubric; it writes no answers to prompts")
        rubric = " ".join(str(said["rubric"]).split())
        criterion = Criterion(
            question=f"Does the response meet this: {rubric}", scale=Scale.binary()
        )
        row = {
            **_fields({k: v for k, v in said.items() if k != "output"}, None),
            "response": said["output"],
        }
        verdict = ask(
            judge_of(config.get("judge")), row, criterion, explain=bool(config.get("explain"))
        )
        graded = _graded(verdict, criterion, float(config.get("threshold", 0.5)))
        usage = {
            "prompt": verdict.usage.prompt_tokens,
            "completion": verdict.usage.completion_tokens,
        }
        return {
            "output": json.dumps({key: graded[key] for key in ("pass", "score", "reason")}),
            "tokenUsage": {**usage, "total": sum(usage.values())},
        }
    except MeneError as error:
        return {"error": f"mene: {error}"}


def _graded(verdict: Verdict, criterion: Criterion, threshold: float) -> dict[str, Any]:
    score = grade(verdict, criterion)
    return {
        "pass": score >= threshold,
        "score": score,
        "reason": reason(verdict),
        "namedScores": {criterion.name: score},
    }


def _fields(said: Mapping[str, Any], prompt: Any) -> dict[str, Any]:
    """Return the variables with names that mene knows; the prompt is the instruction if no variable is."""
    found: dict[str, Any] = {}
    for field in ("instruction", "context", "reference"):
        for name in ALIASES[field]:
            if said.get(name) is not None:
                found[field] = said[name]
                break
    if "instruction" not in found and prompt:
        found["instruction"] = prompt
    return found
