"""Which rows are not independent of each other: those with the same document, or the same text."""

from __future__ import annotations

from mene.sample import Sample


def shared(sample: Sample) -> tuple[str, ...]:
    """Return what dependent rows have in common: statistics cluster by it, and splits into training and test never divide it.

    It is the context, if there is one, since all rows about it share its facts. Else it is everything shown to a judge: a text
    that five people labelled is one text. The order of the two responses of a pair does not matter.
    """
    if sample.context:
        return ("context", sample.context)
    pair = sorted((sample.response_a or "", sample.response_b or ""))
    others = (sample.instruction, sample.response, sample.reference)
    return ("text", *(text or "" for text in others), *pair)
