"""A client's criterion is data: text that the model's tokeniser would read as a control token is broken up."""

from __future__ import annotations

from mene.criterion import Criterion
from mene.errors import UsageError
from mene.serve.remember import remembered
from mene.text.fence import break_up, control_pattern

MOST_LABELS = 255  # of one scale; System One's maximum of options


@remembered  # criteria are asked about many rows
def plain_text(text: str, tokens: frozenset[str]) -> str:
    """Return the text with control tokens broken up."""
    return break_up(text, control_pattern(tokens))


def plain_criterion(criterion: Criterion, tokens: frozenset[str]) -> Criterion:
    """Return the criterion without control tokens in its texts; the same object if there are none.

    Raises:
        UsageError: a label contains one (the model writes labels verbatim, so they cannot change), or there are too many labels.
    """
    if len(criterion.scale.labels) > MOST_LABELS:
        raise UsageError(f"a scale may have {MOST_LABELS} labels here; ask with fewer")
    for label in criterion.scale.labels:
        if plain_text(label, tokens) != label:
            raise UsageError(f'label "{label}" is a control token of the model; choose another')
    question = plain_text(criterion.question, tokens)
    labels = {label: plain_text(text, tokens) for label, text in criterion.labels.items()}
    if question == criterion.question and labels == criterion.labels:
        return criterion
    return criterion.model_copy(update={"question": question, "labels": labels})
