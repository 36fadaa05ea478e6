"""Bad critiques are found by their flaw; good ones pass."""

from __future__ import annotations

import pytest

from mene.curate.critiques.filter import conclusion, flaw, trimmed
from mene.curate.stage import Stage

YES_NO = ("Yes", "No")
SCORES = tuple(str(n) for n in range(1, 11))
NLI = ("Entailed", "Contradicted", "Neutral")
GOOD = "The context says that the tower was built in 1907, and the response says the same."


@pytest.mark.parametrize(
    ("critique", "label", "labels", "reason"),
    [
        (GOOD, "Yes", YES_NO, None),
        ("It is.", "Yes", YES_NO, "too short"),
        (" ".join(f"word{n}" for n in range(301)), "Yes", YES_NO, "too long"),
        (f"I was asked to argue for Yes. {GOOD}", "Yes", YES_NO, "leaks"),
        (f"{GOOD} So the given label is fine.", "Yes", YES_NO, "leaks"),
        (f"{GOOD} **Result:** Yes", "Yes", YES_NO, "leaks"),
        (f"{GOOD} {GOOD} {GOOD}", "Yes", YES_NO, "repeats"),
        (f"{GOOD} The answer is No.", "Yes", YES_NO, "contradicts"),
        (f"{GOOD} The answer is: Yes.", "Yes", YES_NO, None),
        ("It is good but short. Rating: [[5]]", "4", SCORES, "contradicts"),
        ("It is good but short. Rating: [[5]]", "5", SCORES, None),
        ("It lacks much. The score is 10 of 10.", "1", SCORES, "contradicts"),
        ("Nothing is said of it. So the statement is neutral.", "Entailed", NLI, "contradicts"),
        ("Nothing is said of it. So the statement is neutral.", "Neutral", NLI, None),
        ("The answer is a good one, and B is not.", "B", ("A", "B"), None),
        ("It is the better one. The answer is A.", "B", ("A", "B"), "contradicts"),
    ],
)
def test_every_flaw_has_its_name(critique, label, labels, reason) -> None:
    assert flaw(critique, label, labels) == reason


def test_the_last_conclusion_counts() -> None:
    assert conclusion("At first the score is 2. After all the score is 3.", SCORES) == "3"
    assert conclusion("Four legs are good.", SCORES) is None


def test_talk_about_the_fooled_model_is_cut() -> None:
    text = "It was founded in 1907. The system may have gotten this wrong because of the year."
    assert trimmed(text) == "It was founded in 1907."
    assert trimmed("It is not said. I used original language.") == "It is not said."
    assert trimmed(GOOD) == GOOD


def test_a_stage_keeps_a_few_samples_of_every_reason() -> None:
    stage = Stage()
    for n in range(9):
        stage.drop("short" if n % 2 else "long", str(n), "x" * 900)
    assert stage.dropped == {"short": 4, "long": 5}
    assert len(stage.samples) == 6
    assert len(stage.samples[0]["text"]) == 300
