"""One typed question of the System One API, and the answer to it as probabilities of labels.

``POST /v1/systemone`` takes a state and named questions of three types, and returns a probability for every option: ``noul``
(yes or no), ``choice`` (of names) and ``score`` (of levels, from 0). Functions without I/O; nothing is ever guessed. The
reference is the publisher's package `typesafe-sdk` (0.7.5).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from mene.engines.remote.answer import clean, real
from mene.errors import EngineError, UsageError
from mene.verdict import Usage

# Allowed deviation of a sum of probabilities from 1, unless rounding explains a larger one.
TOLERANCE = 1e-3
# Fewest decimals to which servers round.
COARSEST = 2
TYPES = ("noul", "choice", "score")


def read_request(text: str, labels: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return the request that the template `systemone` wrote, and the name of its only question.

    Raises:
        UsageError: the text is from another template.
    """
    try:
        body = json.loads(text)
        [(name, question)] = body["questions"].items()
        kind = question["type"]
        yes_no = sorted(map(str.casefold, labels)) == ["no", "yes"]
        if "state" in body and kind in TYPES and (yes_no or kind != "noul"):
            return body, name
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise UsageError(
        "a System One server needs a JSON request with one question, as the template systemone writes it; leave "
        "out --template and `system:`, or give a copy of that one"
    )


def read_decision(
    answer: Any, name: str, kind: str, labels: Sequence[str]
) -> tuple[dict[str, float], Usage]:
    """Return the probability of every label, and the token counts.

    Args:
        answer: the JSON of the reply.
        name: of the question.
        kind: its type, one of ``TYPES``.
        labels: as on the scale; levels of a score in ascending order.

    Raises:
        EngineError: the reply answers another question, or its numbers are not probabilities; says what came.
    """
    answers = answer.get("answers") if isinstance(answer, dict) else None
    if not isinstance(answers, dict):
        raise _odd(f"no answers in it: {_shown(answer)}")
    if list(answers) != [name]:
        raise _odd(f'it answers {_names(answers)} where "{name}" was asked')
    given = answers[name]
    if not isinstance(given, dict) or given.get("type") != kind:
        came = given.get("type") if isinstance(given, dict) else given
        raise _odd(f"the type is {_shown(came)} where {kind} was asked")
    return _probabilities(given, kind, labels), _usage(answer.get("usage"))


def _probabilities(given: dict[str, Any], kind: str, labels: Sequence[str]) -> dict[str, float]:
    if kind == "noul":
        yes = _probability("noul", given.get("noul"))
        return {label: yes if label.casefold() == "yes" else 1 - yes for label in labels}
    keys = list(labels) if kind == "choice" else [str(level) for level in range(len(labels))]
    found = given.get("probabilities")
    if not isinstance(found, dict):
        raise _odd(f"its probabilities are {_shown(found)}")
    if set(found) != set(keys):
        raise _odd(f"it has probabilities of {_names(found)} where {_names(keys)} were asked")
    values = [_probability(key, found[key]) for key in keys]
    total = sum(values)
    if not abs(total - 1) <= max(TOLERANCE, _rounding(values)):
        raise _odd(f"its probabilities sum to {total:.4g}")
    return {label: value / total for label, value in zip(labels, values, strict=True)}


def _probability(key: str, value: Any) -> float:
    number = real(value)
    if number is None or not 0 <= number <= 1:
        raise _odd(f'the probability of "{clean(key)[:40]}" is {_shown(value)}')
    return number


def _rounding(values: Sequence[float]) -> float:
    """Return how far rounding each value to its visible decimals may move a sum of 1."""
    for decimals in range(COARSEST, 7):
        if all(math.isclose(value, round(value, decimals), abs_tol=1e-9) for value in values):
            return len(values) * 0.5 / 10**decimals + 1e-9
    return 0.0


def _usage(value: Any) -> Usage:
    """Return the server's token counts; an invalid count becomes 0."""
    counts = value if isinstance(value, dict) else {}
    read, written = (real(counts.get(key)) for key in ("input_tokens", "output_tokens"))
    return Usage(prompt_tokens=_count(read), completion_tokens=_count(written))


def _count(number: float | None) -> int:
    return round(number) if number is not None and 0 <= number < 2**53 else 0


def _odd(what: str) -> EngineError:
    return EngineError(
        f"the server did not answer the question: {what}; is it a System One server? "
        "`jevcompat test URL` shows where one departs from the API"
    )


def _names(names: Any) -> str:
    shown = ", ".join(clean(str(name))[:40] for name in list(names)[:4])
    return (shown + (", …" if len(names) > 4 else "")) or "nothing"


def _shown(value: Any) -> str:
    try:
        said = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "nested too deeply"
    return clean(said)[:80]
