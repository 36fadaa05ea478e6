"""A verdict on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from mene.engines.base import best
from mene.judge.combine import SAME_TEXT
from mene.runs.summary import is_empty_response
from mene.text.visible import visible
from mene.verdict import Verdict

ID = 40  # characters of an id
CLAIM = 160  # characters of a claim


def print_verdict(
    console: Console, verdict: Verdict, words: str = "", place: str = "", criterion: str = ""
) -> None:
    """Print one verdict for people: id, label, confidence, a few words of the row, and the critique below.

    Args:
        criterion: its name, if there are several.
        place: of a failed row (``file, line 7``).
    """
    name = visible(verdict.id)
    line = Text(f"{name if len(name) <= ID else name[: ID - 3] + '...':>6}  ")
    if criterion:
        line.append(f"{visible(criterion)}  ", style="dim")
    if verdict.error is not None:
        place = f"{place}: " if place else ""
        error = visible(" ".join(f"{place}{verdict.error}".split()))
        console.print(line.append(f"error: {error}", style="red"), soft_wrap=True)
        return
    label = visible(verdict.label or verdict.likeliest)
    sure = "" if verdict.confidence is None else f"p={verdict.confidence:.2f}"
    if verdict.abstained:
        line.append("ask a person", style="yellow").append(f"  (likeliest {label}")
        line.append(f", {sure})" if sure else ")")
    elif verdict.score is not None and sure:
        # The likeliest label of a scale and the mean over all of them often differ, so both are named.
        line.append("likeliest ").append(label, style="bold")
        line.append(f" ({sure}), mean {verdict.score:.2f}")
    else:
        line.append(label, style="bold").append(f"  {sure}" if sure else "")
    for wanted, at in (verdict.threshold or {}).items():
        if verdict.label == best(verdict.probabilities or {wanted: 1.0}):
            continue  # without a threshold the label would be the same
        from_on = f"from p={at:.2f} on" if at > 0 else "always"
        line.append(f"  ({visible(wanted)} {from_on})", style="dim")
    if verdict.first is not None:
        line.append(f"  (before its critique: {visible(verdict.first.label)})", style="dim")
    if verdict.consistent is False:
        line.append("  the two orders disagree", style="yellow")
    if SAME_TEXT in verdict.notes:
        line.append(f"  {SAME_TEXT}", style="yellow")
    for empty in filter(is_empty_response, verdict.notes):
        line.append(f"  {visible(empty)}", style="yellow")
    if words:
        line.append(f"  {words}", style="dim")
    console.print(line, soft_wrap=True)
    if verdict.critique:
        said = visible(" ".join(verdict.critique.split()))
        console.print(Text(said, style="dim"), width=min(96, console.width))


def print_claims(
    console: Console, failing: Sequence[Verdict], of: int, response: str, most: int = 5
) -> None:
    """Print the failing claims of a response, in its own words.

    Args:
        failing: parts of the verdict, each with its ``span``.
        of: number of the claims of the response.
        most: maximum number of claims shown.
    """
    head = f"{len(failing)} of {of} claims fail:" if of > 1 else ""
    if not head:  # the whole response, which is shown above
        return
    console.print(Text(f"        {head}", style="dim"), soft_wrap=True)
    for part in failing[:most]:
        start, end = part.span or (0, 0)
        said = visible(" ".join(response[start:end].split()))
        said = said if len(said) <= CLAIM else said[: CLAIM - 4].rsplit(" ", 1)[0] + " ..."
        sure = "" if part.confidence is None else f"p={part.confidence:.2f}  "
        said = said or f"characters {start} to {end}"
        console.print(Text(f"        ✗ {sure}").append(said, style="red"), soft_wrap=True)
    if len(failing) > most:
        console.print(Text(f"        and {len(failing) - most} more", style="dim"), soft_wrap=True)
