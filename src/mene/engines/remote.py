"""What to say to a remote server and how to read what it answers: labels, probabilities, complaints.

Functions without I/O. Nothing is ever guessed.
"""

from __future__ import annotations

import json
import math
import random
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import openai

from mene.engines.base import Request, best
from mene.engines.steps import overflow
from mene.errors import ContextOverflow, EngineError, MeneError, ModelError

OPENAI_URL = "https://api.openai.com/v1"
# What reading an answer of another shape than the API's raises.
MALFORMED = (KeyError, IndexError, TypeError, AttributeError, ValueError)
# A server that asks for a longer pause than this (seconds) is asked again earlier.
LONGEST_PAUSE = 120.0

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


def is_openai(url: str) -> bool:
    """True for OpenAI itself, which needs a key."""
    return urlsplit(url).hostname == urlsplit(OPENAI_URL).hostname


def room(request: Request) -> int:
    """Tokens that cue and label need at most; a token has a byte or more."""
    return max(24, 16 + max(len(label.encode()) for label in request.labels))


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

    It is what follows the last cue, and must equal one label, as it stands or stripped of Markdown,
    brackets, quotes, a closing tag and a full stop. In verdict mode an answer that is just a label counts too.
    """
    _, found, rest = text.rpartition(request.cue)
    if not found and request.critique_tokens:
        return None
    bare = re.sub(r"</\w+>\s*$", "", rest.strip()).strip()
    bare = bare.strip("*_`\"'()[]<>").rstrip(".").strip("*_`\"'()[]<>")
    return exact_label(rest, request.labels) or exact_label(bare, request.labels)


def critique_of(text: str, request: Request) -> str:
    """The reasoning before the last cue (without one: all of it), without its opening."""
    before, cue, rest = text.rpartition(request.cue)
    return (before if cue else rest).strip().removeprefix(request.opening).strip()


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
    """Index of the token in which the label begins: the first after the cue with more than decoration."""
    text = "".join(tokens)
    start = text.rfind(request.cue)
    start = 0 if start < 0 else start + len(request.cue)
    at = 0
    for index, token in enumerate(tokens):
        if at + len(token) > start and any(
            c.isalnum() or c in "+-" for c in token[max(start - at, 0) :]
        ):
            return index
        at += len(token)
    return None


def visible_probabilities(
    content: Sequence[Any], place: int, labels: Sequence[str], fold: bool
) -> dict[str, float] | None:
    """Probabilities of all labels from the top log-probabilities at one token, or None.

    Each label must begin with a token that is there and that no other label begins with; where one
    is missing, the answer is None, never a made-up number.

    Args:
        fold: count spellings in another case as the label, as ``parse_label`` does.
    """
    written = {label: label.casefold() if fold else label for label in labels}
    logs: dict[str, float] = {}
    for entry in content[place].top_logprobs or []:
        token = entry.token.strip()
        token = token.casefold() if fold else token
        owners = [label for label in labels if token and written[label].startswith(token)]
        if len(owners) == 1:
            logs.setdefault(owners[0], -math.inf)
            logs[owners[0]] = logaddexp(logs[owners[0]], entry.logprob)
        elif owners:
            return None
    if set(logs) != set(labels) or not all(map(math.isfinite, logs.values())):
        return None
    top = max(logs.values())
    weights = {label: math.exp(logs[label] - top) for label in labels}
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}


def read_probabilities(
    choice: Any, request: Request, label: str, fold: bool
) -> dict[str, float] | None:
    """The labels' probabilities, if the answer shows them all and they agree with ``label``."""
    content = choice.logprobs.content if choice.logprobs else None
    place = label_place([token.token for token in content or []], request)
    if not content or place is None:
        return None
    found = visible_probabilities(content, place, request.labels, fold)
    return found if found and best(found) == label else None


def logaddexp(a: float, b: float) -> float:
    """``log(exp(a) + exp(b))``."""
    top = max(a, b)
    return top if math.isinf(top) else top + math.log(math.exp(a - top) + math.exp(b - top))


def may_pass(error: Exception) -> bool:
    """True for a fault that a later try may not meet."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 429) or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError | json.JSONDecodeError | TimeoutError)


def pause(tried: int, headers: Mapping[str, str], backoff_s: float) -> float:
    """Seconds until the next try: what ``Retry-After`` says, in either form, else ever longer."""
    asked = (headers.get("retry-after") or "").strip()
    jitter = random.uniform(0.75, 1.0) * backoff_s
    if re.fullmatch(r"\d+(\.\d+)?", asked):
        return min(float(asked), LONGEST_PAUSE) + jitter
    try:
        wait = parsedate_to_datetime(asked).timestamp() - time.time()
        return min(max(wait, 0.0), LONGEST_PAUSE) + jitter
    except (ValueError, OverflowError):
        return min(jitter * 2**tried, LONGEST_PAUSE)


def named(message: str, words: Iterable[str]) -> str | None:
    """The first of ``words`` that ``message`` names, as a whole word."""
    return next((w for w in words if re.search(rf"\b{w}\b", message)), None)


def is_too_long(message: str) -> bool:
    """Is this a server's complaint about a prompt that does not fit?"""
    return bool(
        re.search(
            r"context[ _](length|size|window)|maximum model length|input tokens exceed|must be at least 1, got -",
            message,
            re.I,
        )
    )


def context_sizes(message: str) -> tuple[int | None, int | None]:
    """(tokens, window) from that complaint; None for what it does not say."""
    tokens = re.search(
        r"(?:resulted in|you requested|request has|at least|passed|request \(|\(length|n_prompt_tokens\W{1,4})"
        r"\s*(\d[\d,]*)\b(?! output)",
        message,
    )
    window = re.search(
        r"(?:context length|context size|model length|configured limit|n_ctx)\D{0,20}(\d[\d,]*)",
        message,
    )
    return _whole(tokens), _whole(window)


def _whole(found: re.Match[str] | None) -> int | None:
    return int(found[1].replace(",", "")) if found else None


def failure(error: Exception, server: str, model: str, timeout_s: float) -> MeneError:
    """What happened and what to do; a ModelError where no other request can succeed."""
    lines = str(error).strip().splitlines()
    reason = lines[0][:200].rstrip(".") if lines else type(error).__name__
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return ModelError(f"{server} refuses the key ({reason}); check OPENAI_API_KEY")
    if isinstance(error, openai.NotFoundError):
        return ModelError(
            f'{server} has no model "{model}" ({reason}); check the name and that the URL ends in /v1'
        )
    if isinstance(error, openai.BadRequestError) and is_too_long(str(error)):
        tokens, window = context_sizes(str(error))
        if tokens and window and tokens > window:
            return overflow(tokens, window)
        return ContextOverflow(f"{server}: {reason}; shorten the row or lower --critique-tokens")
    if isinstance(error, openai.RateLimitError):
        advice = "lower --concurrency or set --rpm"
    elif isinstance(error, openai.APITimeoutError | TimeoutError):
        reason = f"no answer within {timeout_s:g} s"
        advice = "the server is too slow or stuck; lower --concurrency"
    elif isinstance(error, openai.APIConnectionError):
        advice = "check that the server runs and the URL is right"
    elif isinstance(error, MALFORMED):
        reason = f"the answer is none ({type(error).__name__}: {reason})"
        advice = "is it an OpenAI-compatible server?"
    else:
        advice = "run the same command again to retry the failed rows"
    return EngineError(f"{server}: {reason}; {advice}")
