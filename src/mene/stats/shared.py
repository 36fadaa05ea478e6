"""Which rows are not independent of each other: those that show a judge the same document, or the same text."""

from __future__ import annotations

from mene.sample import Sample


def shared(sample: Sample) -> tuple[str, ...]:
    """What rows that belong together have in common; to count by, and never to be split between learning and measuring.

    That is the context, where there is one: what is right in it is right in all its rows. Else all that is shown to a
    judge: a text that five people labelled is one text. The two seats of a pair are the same in either order.
    """
    if sample.context:
        return ("context", sample.context)
    pair = sorted((sample.response_a or "", sample.response_b or ""))
    others = (sample.instruction, sample.response, sample.reference)
    return ("text", *(text or "" for text in others), *pair)
