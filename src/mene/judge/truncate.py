"""Cutting the context of a row that does not fit, or the results of tools in it, and saying how much is left."""

from __future__ import annotations

import re
from collections.abc import Callable

from mene.engines.base import Engine, Request
from mene.errors import ContextOverflow
from mene.sample import Sample

# Characters per token of the context window that fill it, as a rule: prose has 4 or 5.
SURELY_FULL = 16
SPARE = 64  # tokens: of a chat template, a cue and a label
# A result as a transcript has it (``values/value.py``): on the line of its tool, or fenced below.
RESULT = re.compile(
    r"^(?P<who>Tool(?: \([^\n]*\))?:)(?: (?P<line>[^\n]+)$|\n(?P<fence>`{3,})\n(?P<text>.*?)\n(?P=fence)$)",
    re.MULTILINE | re.DOTALL,
)
KEPT = (8000, 4000, 2000, 1000, 500, 250)  # characters of each result, the most that fits


def with_short_results(
    engine: Engine, render: Callable[[Sample], Request], sample: Sample, reserve: int = 0
) -> tuple[Request, str | None]:
    """A request with the results of tools shortened in their middle until the prompt fits; and a note of how far.

    Args, raises: as of ``fitted``.
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
    """A transcript whose results have ``most`` characters at most, and a mark where some were left out."""

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
            f"the prompt has {others} tokens even without its context, but only {room} fit; "
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
