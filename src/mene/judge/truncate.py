"""Cutting the context of a row that does not fit, and saying how much of it is left."""

from __future__ import annotations

from collections.abc import Callable

from mene.engines.base import Engine, Request
from mene.errors import ContextOverflow
from mene.sample import Sample

# Characters per token of the context window that fill it, as a rule: prose has 4 or 5.
SURELY_FULL = 16
SPARE = 64  # tokens: of a chat template, a cue and a label


def fitted(
    engine: Engine, render: Callable[[Sample], Request], sample: Sample, reserve: int = 0
) -> tuple[Request, str | None]:
    """A request with the sample's context cut, from its end, until the prompt fits; and a note of what is left (None: all).

    Args:
        render: makes the request of a sample.
        reserve: tokens that must fit behind it.

    Raises:
        ContextOverflow: it does not even fit without a context.
        EngineError: its tokens cannot be counted.
    """
    request = render(sample)
    if engine.context is None:
        engine.count(request)  # a remote engine learns its window when it first asks
    window = engine.context
    room = (window or 0) - request.critique_tokens - reserve - SPARE
    whole = sample.context or ""
    size = sum(len(m.content.encode()) for m in request.messages)
    if not window or not whole or size < room:  # a token is at least one byte
        return request, None

    def with_context(text: str) -> Request:
        return render(sample.model_copy(update={"context": text or "…"}))

    kept, margin = whole[: SURELY_FULL * max(room, 1)], 0.02
    tokens = None
    if kept != whole:  # so long a text is not counted whole: its start is too much, as a rule
        tokens = engine.count(with_context(kept))
    if tokens is None or tokens <= room:
        kept, tokens = whole, engine.count(request)
    if tokens is None or tokens <= room:
        return request, None
    others = engine.count(with_context("")) or 0
    if others >= room:
        raise ContextOverflow(
            f"the prompt has {others} tokens even with its context cut away, and {room} fit; "
            "shorten the instruction or the response"
        )
    while tokens > room:
        # What fits by the context's own characters per token, less 2 % for uneven text; where that does not do, ever more,
        # so that no text is counted more than a few times.
        share = (room - others) / (tokens - others)
        kept = kept[: int(len(kept) * share * (1 - margin))]
        margin = min(2 * margin, 0.5)
        request = with_context(kept)
        tokens = engine.count(request) or 0
    return request, f"context truncated to {len(kept)} of {len(whole)} characters"
