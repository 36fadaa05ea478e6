"""Messages for a remote server, and reading a label from its answer.

Functions without I/O. Nothing is ever guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from mene.engines.base import Request, best
from mene.engines.remote.answer import Answer, Token
from mene.text.thought import end_of_thought

# Additional tokens for a model that reasons before it answers.
REASONING = 4096

# Characters that may surround a label, or close what was opened before it.
DECORATION = "*_`\"'()[]<>{} \t\r\n"

# vLLM: continue the last (assistant) message instead of starting a new one.
CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}


def room(request: Request) -> int:
    """Return the maximum number of tokens of cue and label; a token has at least one byte."""
    return max(24, 16 + max(len(label.encode()) for label in request.labels))


def choose(request: Request) -> dict[str, Any]:
    """Return vLLM's constrained choice, under its current and its former name."""
    choice = [request.joint + label for label in request.labels]
    return {**CONTINUE, "structured_outputs": {"choice": choice}, "guided_choice": choice}


def asked(request: Request) -> list[dict[str, str]]:
    """Return the request's messages."""
    return [m._asdict() for m in request.messages]


def prefilled(request: Request, start: str) -> list[dict[str, str]]:
    """Return the messages, and the beginning of the assistant's answer."""
    return [*asked(request), {"role": "assistant", "content": start}]


def exact_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the label that equals ``text``, ignoring outer white space and case; else None."""
    folded = text.strip().casefold()
    return next((label for label in labels if label.casefold() == folded), None)


def read_label(answer: Answer, request: Request) -> str | None:
    """Return the label of a finished answer; None where it has none, or more than one."""
    return parse_label(answer.text, request) if answer.finished else None


def parse_label(text: str, request: Request) -> str | None:
    """Return the label of a free answer, parsed strictly; None if there is none.

    It is the text after the last cue, and must equal one label, as it is or without Markdown, brackets, quotes, a closing tag
    and a full stop. In verdict mode, an answer that is only a label counts too. If an earlier cue is followed by another label,
    the answer has two results, and none is used.
    """
    before, *rests = text.split(request.cue)
    if not rests:
        return None if request.critique_tokens else _bare_label(before, request.labels)
    label = _bare_label(rests[-1], request.labels)
    others = {begins_with(rest, request.labels) for rest in rests[:-1]} - {None, label}
    return None if others else label


def _bare_label(text: str, labels: Sequence[str]) -> str | None:
    bare = re.sub(r"(</\w+>|<\|\w+\|>)\s*$", "", text.strip()).strip()
    bare = bare.strip(DECORATION).rstrip(".").strip(DECORATION)
    return exact_label(text, labels) or exact_label(bare, labels)


def begins_with(text: str, labels: Sequence[str]) -> str | None:
    """Return the longest label that ``text`` begins with as a whole word, ignoring decoration."""
    start = text.lstrip("*_`\"'()[]<>: \t\r\n").casefold()
    for label in sorted(labels, key=len, reverse=True):
        bare = label.casefold().lstrip("*_`\"'()[]<>: ")
        if bare and start.startswith(bare) and not start[len(bare) : len(bare) + 1].isalnum():
            return label
    return None


def critique_of(answer: Answer, request: Request) -> str:
    """Return the reasons: the text before the last cue (without one: all of it), without its opening. If a model puts
    all of them into its thought, that is used."""
    before, cue, rest = answer.text.rpartition(request.cue)
    if not cue and not request.critique_tokens:
        return ""
    said = (before if cue else rest).strip().removeprefix(request.opening).strip()
    return said or answer.thought.strip().removeprefix(request.opening).strip()


def seen(answer: Answer, request: Request, room: int) -> str:
    """Describe an answer without a label, for the person who must fix it."""
    end = f" (it ends {answer.text[-60:]!r})" if answer.text.strip() else ""
    if answer.cut:
        where = " inside a thought" if answer.thought and not answer.text.strip() else ""
        return f"it was cut at {room} tokens{where}{end}"
    if not answer.text.strip():
        return (
            "the model reasoned, but gave no answer after it" if answer.thought else "it is empty"
        )
    if not answer.finished:
        said = f'"{answer.ending}"' if answer.ending else "nothing"
        return f"the server does not say that it is finished (finish_reason: {said}){end}"
    given = {begins_with(rest, request.labels) for rest in answer.text.split(request.cue)[1:]}
    return f"it gives several results{end}" if len(given - {None}) > 1 else end.strip(" ()")


def unfinished(answer: Answer, room: int) -> list[str]:
    """Return notes for the reader of a critique."""
    if answer.cut:
        return [f"critique cut at {room} tokens"]
    return [] if answer.finished else ["critique not finished"]


def advice(answer: Answer, request: Request) -> str:
    """Return what to do about an answer without a label."""
    if answer.cut:
        return f"give it more room with --{'critique' if request.critique_tokens else 'thought'}-tokens"
    if not answer.text.strip():
        return "switch off the server's reasoning parser, or use a model that answers after its reasoning"
    return "use a model that follows the format"


def correction(answer: Answer, request: Request) -> list[dict[str, str]]:
    """Return the message to a model whose answer did not end in a label."""
    labels = ", ".join(request.labels)
    return [
        {"role": "assistant", "content": answer.text.strip() or "…"},
        {
            "role": "user",
            "content": f"Your answer must end with {request.cue} and then exactly one of: {labels}. "
            "Write that line once.",
        },
    ]


def label_place(tokens: Sequence[Token], request: Request) -> int | None:
    """Return the index of the token where the label begins: the first after thought and cue that is not just decoration."""
    text = "".join(token.text for token in tokens)
    start = text.rfind(request.cue)
    start = max(end_of_thought(text), 0 if start < 0 else start + len(request.cue))
    at = 0
    for index, token in enumerate(tokens):
        part = token.text[max(start - at, 0) :]
        if at + len(token.text) > start and any(c.isalnum() or c in "+-" for c in part):
            return index
        at += len(token.text)
    return None


def visible_probabilities(
    token: Token, labels: Sequence[str], fold: bool
) -> dict[str, float] | None:
    """Return the probabilities of all labels from the top log-probabilities at one token, or None.

    Each label must begin with a listed token that no other label begins with. If one is missing, the result is None, never a
    made-up number.

    Args:
        fold: count spellings in another case as the label, as ``parse_label`` does.
    """
    written = {label: label.casefold() if fold else label for label in labels}
    logs: dict[str, float] = {}
    for text, log in token.alternatives:
        start = text.strip()
        start = start.casefold() if fold else start
        owners = [label for label in labels if start and written[label].startswith(start)]
        if len(owners) == 1:
            logs.setdefault(owners[0], -math.inf)
            logs[owners[0]] = logaddexp(logs[owners[0]], log)
        elif owners:
            return None
    if set(logs) != set(labels):
        return None
    top = max(logs.values())
    weights = {label: math.exp(logs[label] - top) for label in labels}
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}


def read_probabilities(
    answer: Answer, request: Request, label: str, fold: bool
) -> dict[str, float] | None:
    """Return the labels' probabilities, if the answer shows all of them and they agree with ``label``."""
    place = label_place(answer.tokens, request)
    if place is None:
        return None
    found = visible_probabilities(answer.tokens[place], request.labels, fold)
    return found if found and best(found) == label else None


def logaddexp(a: float, b: float) -> float:
    """Return ``log(exp(a) + exp(b))``."""
    top = max(a, b)
    return top if math.isinf(top) else top + math.log(math.exp(a - top) + math.exp(b - top))
