"""Reading a label out of what a remote server answers. Pure functions; nothing is ever guessed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from mene.engines.base import Request

OPENAI_URL = "https://api.openai.com/v1"

# A remote tokeniser is not at hand; these are the control tokens of the common model families.
CONTROL_TOKENS = frozenset(
    [
        "<|im_start|>",
        "<|im_end|>",
        "<|endoftext|>",
        "<|im_sep|>",
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|python_tag|>",
        "<s>",
        "</s>",
        "<unk>",
        "[INST]",
        "[/INST]",
        "<<SYS>>",
        "<</SYS>>",
        "[SYSTEM_PROMPT]",
        "[/SYSTEM_PROMPT]",
        "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]",
        "[TOOL_CALLS]",
        "[TOOL_RESULTS]",
        "[/TOOL_RESULTS]",
        "<bos>",
        "<eos>",
        "<pad>",
        "<start_of_turn>",
        "<end_of_turn>",
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|end|>",
        "<|start|>",
        "<|message|>",
        "<|channel|>",
        "<|return|>",
        "<|call|>",
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        "<｜User｜>",
        "<｜Assistant｜>",
        "<|START_OF_TURN_TOKEN|>",
        "<|END_OF_TURN_TOKEN|>",
        "<|fim_prefix|>",
        "<|fim_middle|>",
        "<|fim_suffix|>",
        "<|vision_start|>",
        "<|vision_end|>",
    ]
)

# vLLM: go on with the last (assistant) message instead of opening a new one.
CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}


def choose(labels: Sequence[str]) -> dict[str, Any]:
    """vLLM's constrained choice, under its present and its former name."""
    choice = [f" {label}" for label in labels]
    return {**CONTINUE, "structured_outputs": {"choice": choice}, "guided_choice": choice}


def prefilled(request: Request, start: str) -> list[dict[str, str]]:
    """The messages, and the beginning of the assistant's answer."""
    return [*(m._asdict() for m in request.messages), {"role": "assistant", "content": start}]


def exact_label(text: str, labels: Sequence[str]) -> str | None:
    """The label that ``text`` is, but for outer white space and case; else None."""
    folded = text.strip().casefold()
    return next((label for label in labels if label.casefold() == folded), None)


def parse_label(text: str, request: Request) -> str | None:
    """Read the label from a free answer, strictly.

    It is what follows the last cue, stripped of Markdown, brackets, quotes, a closing tag and a full
    stop, and must then equal one label. In verdict mode an answer that is just a label counts too.
    """
    _, found, rest = text.rpartition(request.cue)
    if not found and request.critique_tokens:
        return None
    rest = re.sub(r"</\w+>\s*$", "", rest.strip())
    return exact_label(
        rest.strip().strip("*_`\"'()[]<>").rstrip(".").strip("*_`\"'()[]<>"), request.labels
    )


def critique_of(text: str, request: Request) -> str:
    """The reasoning before the last cue, without its opening."""
    reasoning = text.rpartition(request.cue)[0].strip()
    return reasoning.removeprefix(request.opening).strip()


def correction(text: str, request: Request) -> list[dict[str, str]]:
    """What to say to a model whose answer did not end in a label."""
    labels = ", ".join(request.labels)
    return [
        {"role": "assistant", "content": text or "…"},
        {
            "role": "user",
            "content": f"Your answer must end with {request.cue} and then exactly one of: {labels}.",
        },
    ]


def label_place(tokens: Sequence[str], request: Request) -> int | None:
    """Index of the token in which the label begins: the first with a letter or digit after the cue."""
    text = "".join(tokens)
    start = text.rfind(request.cue)
    start = 0 if start < 0 else start + len(request.cue)
    at = 0
    for index, token in enumerate(tokens):
        if at + len(token) > start and any(c.isalnum() for c in token[max(start - at, 0) :]):
            return index
        at += len(token)
    return None


def visible_probabilities(
    content: Sequence[Any], place: int, labels: Sequence[str]
) -> dict[str, float] | None:
    """Probabilities of all labels from the top log-probabilities at one token, or None.

    Each label must begin with a token that is there and that no other label begins with; where one
    is missing, the answer is None, never a made-up number.
    """
    if place >= len(content):
        return None
    logs: dict[str, float] = {}
    for entry in content[place].top_logprobs or []:
        token = entry.token.strip().casefold()
        owners = [label for label in labels if token and label.casefold().startswith(token)]
        if len(owners) == 1:
            logs.setdefault(owners[0], -math.inf)
            logs[owners[0]] = float(logaddexp(logs[owners[0]], entry.logprob))
        elif owners:
            return None
    if set(logs) != set(labels) or not all(map(math.isfinite, logs.values())):
        return None
    top = max(logs.values())
    weights = {label: math.exp(logs[label] - top) for label in labels}
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}


def logaddexp(a: float, b: float) -> float:
    """``log(exp(a) + exp(b))``."""
    top = max(a, b)
    return top if math.isinf(top) else top + math.log(math.exp(a - top) + math.exp(b - top))


def context_sizes(message: str) -> tuple[int, int] | None:
    """(tokens, window) from a server's complaint about a prompt that is too long."""
    if "context" not in message.lower():
        return None
    window = re.search(
        r"(?:maximum context length|context size|context length)\D{0,20}(\d+)", message
    )
    tokens = re.search(
        r"(?:resulted in|request \(|requested|n_prompt_tokens\D{0,4})\s*(\d+)", message
    )
    return (int(tokens[1]), int(window[1])) if window and tokens else None
