"""Finding critiques that would teach something wrong, counted by reason, with a few examples."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mene.curate.make.edits import sentences, words

SHORTEST = 4  # words
LONGEST = 300  # words
RUN = 4  # words of a run checked for repetition
REPEATED = 0.2  # share of runs that occurred before

# Phrases of a critique that argues on request: "I was asked to argue for …", "the given label".
_LEAK = re.compile(
    r"\bI(?:'m| am| was|'ve been| have been) (?:asked|told|instructed|required|supposed)\b"
    r"|\bargu(?:e|ing) for (?:the|this|a) (?:label|result|score|verdict)\b"
    r"|\b(?:assigned|desired|given|required|requested|target) (?:label|verdict)\b"
    r"|\bas you (?:asked|instructed|told)\b",
    re.I,
)
# Writers of adversarial statements add why a model would fail, and what they did; neither is a reason for the label.
_MACHINE = re.compile(
    r"\b(?:system|model|ai|bot|computer|machine)\b.{0,80}"
    r"\b(?:wrong|incorrect\w*|confus\w*|fool\w*|trick\w*|difficult\w*|hard|struggl\w*|stump\w*|problem\w*"
    r"|detect\w*|fail\w*|miss\w*|know|understand|got|think|thought|pick\w*)\b"
    r"|\b(?:confus\w*|fool\w*|trick\w*|stump\w*|difficult|hard)\b.{0,60}\b(?:system|model|ai|bot|computer)\b"
    r"|\b(?:it's|it is|may be|might be|was) (?:difficult|hard|tricky) because\b"
    r"|\bI(?:'m| am)? (?:added|believe|changed|chose|didn't|included|just|made|put|rephrased|reworded"
    r"|sorry|switched|think|thought|took|tried|used|wanted|wrote)\b",
    re.I,
)
_SAYS = r"\b(?:answer|class|grade|label|rating|result|score|verdict)\W{0,4}(?:is|of|should be|:|=)\W{0,6}"
_CLOSES = re.compile(r"\b(?:hence|in conclusion|overall|so|therefore|thus)\b", re.I)


def trimmed(critique: str) -> str:
    """Return a person's critique without sentences about the model that it was meant to fool."""
    return " ".join(s for s in sentences(critique) if not _MACHINE.search(s))


def flaw(critique: str, label: str, labels: Sequence[str], cue: str = "**Result:**") -> str | None:
    """Return why a critique must not be used for training, or None where it is usable.

    ``too short`` and ``too long`` (under 4, over 300 words), ``leaks`` (says that it was asked for a label, or contains the
    cue),
    ``repeats`` (over a fifth of its runs of four words occurred before; the measure of Rae et al. 2021, arXiv 2112.11446, with
    our threshold), ``contradicts`` (concludes with another label).
    """
    said = words(critique)
    if len(said) < SHORTEST:
        return "too short"
    if len(said) > LONGEST:
        return "too long"
    if cue in critique or _LEAK.search(critique):
        return "leaks"
    runs = [tuple(said[i : i + RUN]) for i in range(len(said) - RUN + 1)]
    if len(runs) - len(set(runs)) > REPEATED * len(runs):
        return "repeats"
    concluded = conclusion(critique, labels)
    if concluded is not None and concluded != label:
        return "contradicts"
    return None


def conclusion(critique: str, labels: Sequence[str]) -> str | None:
    """Return the label that a critique itself concludes with, or None where that is unclear.

    It is the last one stated explicitly ("the score is 4", "[[4]]"), or the only one named in a last sentence that begins like
    a
    conclusion ("so …", "overall …").
    """
    longest_first = sorted(labels, key=len, reverse=True)
    # A and B count as labels only in capitals.
    flags = re.NOFLAG if all(len(label) == 1 for label in labels) else re.I
    any_label = "|".join(map(re.escape, longest_first))
    outright = re.compile(rf"(?i:{_SAYS})(?P<a>{any_label})\b|\[\[(?P<b>{any_label})\]\]", flags)
    by_name = {label.casefold(): label for label in labels}
    if found := list(outright.finditer(critique)):
        return by_name[(found[-1]["a"] or found[-1]["b"]).casefold()]
    last = (sentences(critique) or [""])[-1]
    # "Yes" and numbers also occur in sentences that conclude something else.
    if min(len(label) for label in labels) > 3 and _CLOSES.match(last):
        named = {m.casefold() for m in re.findall(rf"\b({any_label})\b", last, flags)}
        if len(named) == 1 and not re.search(r"\b(?:not|isn't|cannot)\b", last):
            return by_name[named.pop()]
    return None
