"""Shortening a row's context, or the tool results in it, until the prompt fits, with a note of what is left."""

from __future__ import annotations

import re
from collections.abc import Callable

from mene.engines.base import Engine, Request
from mene.errors import ContextOverflow
from mene.sample import Sample

# A text of this many characters per token of the window surely fills it: prose has 4 or 5.
SURELY_FULL = 16
SPARE = 64  # tokens for chat template, cue and label
# A tool result in a transcript (``values/value.py``): on the line of its tool, or fenced below.
RESULT = re.compile(
    r"^(?P<who>Tool(?: \([^\n]*\))?:)(?: (?P<line>[^\n]+)$|\n(?P<fence>`{3,})\n(?P<text>.*?)\n(?P=fence)$)",
    re.MULTILINE | re.DOTALL,
)
# Characters kept of each result; the largest value that fits.
KEPT = (8000, 4000, 2000, 1000, 500, 250)


def with_short_results(
    engine: Engine, render: Callable[[Sample], Request], sample: Sample, reserve: int = 0
) -> tuple[Request, str | None]:
    """Return a request whose tool results are shortened in their middle until the prompt fits, and a note of the length kept.

    Args and raises: as for ``fitted``.
    """
    request = render(sample)
    tokens = engine.count(request)
    room = (engine.context or 0) - request.critique_tokens - reserve - SPARE
    if not engine.context or tokens is None or tokens <= room:
        return request, None
    for most in KEPT:
        texts = {"instruction": sample.instruction, "response": sample.response}
        short = {field: shortened(text, most) for field, text in texts.items() if text}
        request = render(sample.model_copy(update=short))
        tokens = engine.count(request) or 0
        if tokens <= room:
            return request, f"results of tools shortened to {most} characters each"
    raise ContextOverflow(
        f"the prompt has {tokens} tokens even with each result of a tool cut to {KEPT[-1]} characters, but only {room} fit; "
        "shorten the row, or use a model with a larger context"
    )


def shortened(text: str, most: int) -> str:
    """Return a transcript whose results have at most ``most`` characters each, with a mark where text was left out."""

    def cut(found: re.Match[str]) -> str:
        said = found["text"] if found["fence"] else found["line"]
        if len(said) <= most:
            return found[0]
        start, end = said[: most * 2 // 3], said[len(said) - most // 3 :]
        left = f"[… {len(said) - len(start) - len(end):,} characters left out …]"
        if found["fence"]:
            ticks = found["fence"]
            return f"{found['who']}\n{ticks}\n{start}\n{left}\n{end}\n{ticks}"
        return f"{found['who']} {start} {left} {end}"

    return RESULT.sub(cut, text)


def fitted(
    engine: Engine, render: Callable[[Sample], Request], sample: Sample, reserve: int = 0
) -> tuple[Request, str | None]:
    """Return a request whose context is cut at its end until the prompt fits, and a note of what is left (None: all).

    Args:
        render: makes the request for a sample.
        reserve: tokens that must still fit after the prompt.

    Raises:
        ContextOverflow: it does not fit even without a context.
        EngineError: the engine cannot count its tokens.
    """
    request = render(sample)
    if engine.context is None:
        engine.count(request)  # a remote engine learns its window from its first request
    window = engine.context
    room = (window or 0) - request.critique_tokens - reserve - SPARE
    whole = sample.context or ""
    size = sum(len(m.content.encode()) for m in request.messages)
    if not window or not whole or size < room:  # a token has at least one byte
        return request, None

    def with_context(text: str) -> Request:
        return render(sample.model_copy(update={"context": text or "…"}))

    kept, margin = whole[: SURELY_FULL * max(room, 1)], 0.02
    tokens = None
    # An overlong text is not counted in full: its first part is usually too long already.
    if kept != whole:
        tokens = engine.count(with_context(kept))
    if tokens is None or tokens <= room:
        kept, tokens = whole, engine.count(request)
    if tokens is None or tokens <= room:
        return request, None
    others = engine.count(with_context("")) or 0
    if others >= room:
        raise ContextOverflow(
            f"the prompt has {others} tokens even without its context, but only {room} fit; "
            "shorten the instruction or the response"
        )
    while tokens > room:
        # Estimate from the context's own characters per token, less 2 % for uneven text, and shrink further where that is not
        # enough, so that a text is counted only a few times.
        share = (room - others) / (tokens - others)
        kept = kept[: int(len(kept) * share * (1 - margin))]
        margin = min(2 * margin, 0.5)
        request = with_context(kept)
        tokens = engine.count(request) or 0
    return request, f"context truncated to {len(kept)} of {len(whole)} characters"
