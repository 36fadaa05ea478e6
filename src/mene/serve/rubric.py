"""Parser for Atla's evaluation criteria: texts that contain the scale, and often a description of each score.

Is the answer helpful? Your score should be an integer between 1 and 5.
Score 1: Not at all. … Score 5: Very.        or  "No": …  "Yes": …, each on its own line
"""

from __future__ import annotations

import re

from pydantic import ValidationError

from mene.criterion import Criterion, load_criterion
from mene.library.load import CRITERIA, built_in
from mene.scale import Scale
from mene.serve.remember import remembered

MOST = 100  # steps of a scale
MOST_LINES = 255  # with a score each; a text with more is not a rubric
NUMBERS = re.compile(r"\b(?:between|from) (-?\d{1,4}) (?:and|to) (-?\d{1,4})\b", re.IGNORECASE)
WORDS = re.compile(r'\beither "([^"\n]{1,40})" or "([^"\n]{1,40})"', re.IGNORECASE)
YES_NO = re.compile(r"\b(?:yes ?(?:/|or) ?no|no ?(?:/|or) ?yes)\b", re.IGNORECASE)
SCORE = re.compile(r"\b(?:score|rating|rate|grade|scale|integer|number)\b", re.IGNORECASE)
LINE = re.compile(
    r'^[ \t]{0,20}(?:[-*] )?(?:"([^"\n]{1,40})"|Score (-?\d{1,4})) ?: ?', re.IGNORECASE | re.MULTILINE
)  # fmt: skip


@remembered
def criterion_in(text: str) -> Criterion:
    """Return a criterion by its name in mene's library, or from the text. The default scale is 1 to 5.

    Raises:
        ValueError: the text is empty, or its scores are not a valid scale.
    """
    if (name := built_in(CRITERIA, text.strip())) is not None:
        return load_criterion(name)
    if not text.strip():
        raise ValueError("the criteria are empty; write what to judge by")
    question, described = _rubric(text)
    scale = _scale(question, tuple(described))
    known = {scale.match(label): said for label, said in described.items()}
    if set(known) != set(scale.labels) or not question or len(known) < len(described):
        question, known = text.strip(), {}
    labels = {label: said for label, said in known.items() if label is not None}
    try:
        return Criterion(question=question, scale=scale, labels=labels)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None


def _rubric(text: str) -> tuple[str, dict[str, str]]:
    """Return the text around the score lines, and score -> description; each ends at the next one, the last at an empty line."""
    lines = list(LINE.finditer(text))
    if not 0 < len(lines) <= MOST_LINES:
        return text.strip(), {}
    last, gap, rest = text[lines[-1].end() :].partition("\n\n")
    ends = [line.start() for line in lines[1:]] + [lines[-1].end() + len(last)]
    found = {
        line[1] or line[2]: text[line.end() : end].strip()
        for line, end in zip(lines, ends, strict=True)
    }
    if len(found) < len(lines):  # a score occurs twice
        return text.strip(), {}
    question = (text[: lines[0].start()].rstrip() + gap + rest).strip()
    return question, {label: said for label, said in found.items() if said}


def _scale(text: str, described: tuple[str, ...]) -> Scale:
    """Return the scale that the text states, else that of the score lines, else 1 to 5."""
    if (words := WORDS.search(text)) is not None:
        return _classes(words[1], words[2])
    for span in NUMBERS.finditer(text):
        sentence = text[max(text.rfind("\n", 0, span.start()), span.start() - 80, 0) : span.start()]
        if SCORE.search(sentence) and 0 < int(span[2]) - int(span[1]) <= MOST:
            return Scale.likert(int(span[1]), int(span[2]))
    if len(described) > 1:
        if all(label.lstrip("-").isdecimal() for label in described):
            numbers = sorted(map(int, described))
            if numbers[-1] - numbers[0] <= MOST:
                return Scale.likert(numbers[0], numbers[-1])
        return _classes(*described)
    return Scale.binary() if YES_NO.search(text) else Scale.likert(1, 5)


def _classes(*labels: str) -> Scale:
    if {label.casefold() for label in labels} == {"yes", "no"}:
        return Scale.binary()
    try:
        return Scale.classes(*labels)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None
