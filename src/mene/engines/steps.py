"""The requests to a llama.cpp server for one judgement, embedded or remote: bodies out, answers in.

Generators yield the bodies of completion requests and are sent the answers, so that the same steps serve blocking and async
callers. No I/O here.

Label probabilities are exact. A logit bias raises the labels' tokens, all by the same amount, above the rest of the
vocabulary; sampling then uses the softmax over the labels' own logits, however small they were. For labels of several tokens,
inner nodes are read one child at a time, as log-probabilities over the whole vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

from mene.engines.base import Completion, Request, best
from mene.engines.hear import Hearing
from mene.engines.labels import LabelPaths, label_probabilities
from mene.engines.remote.answer import clean, read_usage, real
from mene.errors import ContextOverflow, EngineError
from mene.text.redact import secrets
from mene.text.thought import MARKS, closing, split_thought

# Raises a label's logit above any other; float32 still resolves 2e-5 at this size.
LIFT = 200.0
# Raises a stand-in token so far above the labels' that it is surely drawn; the labels' shares still fit a float32.
LIFT_WHOLE = 40.0
# Tokens reserved for the cue and the label after a critique.
RESERVE = 32
# Advice for a prompt that does not fit.
ROOM = (
    "cut its context with --truncate context, shorten the row, or use a model with a larger context"
)
# A reason of one or two sentences that becomes a list, starts again, or goes on to another part of the prompt, is complete.
ENOUGH = ("\n3.", "\n\n\n", "\n\n**")


Body = dict[str, Any]
Steps = Generator[Body, Body, None]


def ends(request: Request) -> tuple[str, ...]:
    """Return the texts that end a request's critique."""
    return (request.cue, *(() if request.choose else ENOUGH))


def up_to_end(request: Request, written: str) -> str:
    """Return a request's critique up to the first text that ends it."""
    return min((written.partition(end)[0] for end in ends(request)), key=len)


class Heard:
    """Passes a critique on to its listener while these steps write it."""

    def __init__(self, request: Request, hear: Callable[[str], None]) -> None:
        marks = (mark for pair in MARKS for mark in pair)
        self._own = request.opening + request.cue
        self._hearing = Hearing(hear, [request.cue, *marks, *secrets()])

    def so_far(self, written: str) -> None:
        """Pass on the text so far, without thoughts."""
        _, said, is_open = split_thought(written, self._own)
        if not is_open:
            self._hearing.so_far(clean(said))

    def end(self, done: Completion) -> None:
        """Pass on the rest of a completion's critique; add a note to the completion if the listener failed."""
        self._hearing.end(done.critique)
        done.notes += self._hearing.notes


def judgement(
    request: Request,
    text: str,
    paths: LabelPaths,
    room: int,
    done: Completion,
    heard: Heard | None = None,
) -> Steps:
    """Run all steps of one judgement; fill ``done``.

    Args:
        text: the prompt with the chat template applied, no thought open at its end, and in critique mode the opening.
        room: maximum number of tokens of the critique.
        heard: gets the end of the critique; the caller passes on the text before it.
    """
    if request.critique_tokens:
        answer = yield _critique(request, text, room)
        choice = _read(answer)
        done.usage = read_usage(answer.get("usage"))
        if choice["finish_reason"] == "length":
            done.notes.append(f"critique cut at {room} tokens")
        written: str = choice["text"]
        thought, said, _ = split_thought(written, request.opening + request.cue)
        done.critique = clean(said.strip() or thought.strip())
        if heard is not None:
            heard.end(done)
        if not request.choose:
            return
        # The label is not part of a thought: close an open one before the cue.
        text = request.closed((text + written).rstrip() + "\n" + closing(written))
    logs: dict[tuple[int, ...], dict[int, float]] = {}
    for path, children in paths.branches.items():
        prompt = [text, *paths.shared, *path]
        whole = paths.whole
        found: dict[int, float] = {}
        if not path or whole is not None:
            answer = yield _next(prompt, children, whole, post_sampling_probs=True)
            top = _token(answer)["top_probs"]
            if not path and not request.critique_tokens:  # each later step continues this prompt
                used = read_usage(answer.get("usage"))
                done.usage = used.model_copy(update={"completion_tokens": 0})
            found = {entry["id"]: _number(entry["prob"]) for entry in top}
            logs[path] = {t: _log(found.get(t, 0.0)) for t in children}
        if path and whole is not None:
            # These are relative to the whole token's probability, which is read next.
            answer = yield _next(prompt, (), whole, post_sampling_probs=False)
            told = _number(_token(answer)["logprob"])
            offset = told - _log(found.get(whole, 0.0)) + LIFT_WHOLE
            logs[path] = {t: log + offset for t, log in logs[path].items()}
        elif path:
            logs[path] = {}
            for child in children:
                answer = yield _next(prompt, (child,), post_sampling_probs=False)
                logs[path][child] = min(_number(_token(answer)["logprob"]), 0.0)
    try:
        done.probabilities = label_probabilities(paths, logs)
    except ValueError as error:
        raise EngineError(f"the model gave no usable probability to a label: {error}") from None
    done.label = best(done.probabilities)


def _critique(request: Request, text: str, room: int) -> Body:
    sampling = (
        {"samplers": ["temperature"], "temperature": request.temperature, "seed": request.seed}
        if request.temperature > 0
        else {"samplers": ["top_k"], "top_k": 1, "temperature": 1.0}
    )
    return {
        "prompt": text,
        "n_predict": room,
        "max_tokens": room,
        "stop": [*ends(request)],
        "cache_prompt": True,
        **sampling,
    }


def _next(
    prompt: list[str | int], tokens: tuple[int, ...], whole: int | None = None, **how: bool
) -> Body:
    """Request the probabilities of ``tokens`` as the next; ``whole``: a stand-in that is drawn instead of them."""
    bias = [[t, LIFT] for t in tokens]
    if whole is not None:
        bias.append([whole, LIFT + LIFT_WHOLE])
    return {
        "prompt": prompt,
        "n_predict": 1,
        "max_tokens": 1,
        "logit_bias": bias,
        "samplers": ["top_k"],
        "top_k": len(bias),
        "temperature": 1.0,
        "n_probs": len(bias),
        "cache_prompt": True,
        **how,
    }


def _read(answer: Body) -> Body:
    """Return the answer's only choice.

    Raises:
        ContextOverflow, EngineError: the answer is an error.
    """
    if "choices" not in answer:
        error = answer.get("error", answer)
        if error.get("type") == "exceed_context_size_error":
            raise overflow(error["n_prompt_tokens"], error["n_ctx"])
        raise EngineError(f"llama.cpp failed: {clean(str(error.get('message', error)))[:200]}")
    return answer["choices"][0]


def _token(answer: Body) -> Body:
    """Return the probabilities at the answer's only token.

    Raises:
        ContextOverflow, EngineError: the answer has none.
    """
    logprobs = _read(answer).get("logprobs")
    if not logprobs or not logprobs.get("content"):
        raise EngineError("llama.cpp sent no probabilities for the labels; choose other labels")
    return logprobs["content"][0]


def overflow(tokens: int, limit: int) -> ContextOverflow:
    """Return the error of a prompt that does not fit, with the same text for every engine."""
    return ContextOverflow(
        f"the prompt has {tokens:,} tokens and the context window {limit:,}; {ROOM}"
    )


def _number(value: Any) -> float:
    """Return a probability or its log from a server's answer.

    Raises:
        EngineError: it is not a number.
    """
    number = real(value)
    if number is None:
        raise EngineError(f"llama.cpp gave a label the probability {value!r}; judge the row again")
    return number


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
