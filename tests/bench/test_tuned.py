"""A judge before and after it was trained on labels."""

from __future__ import annotations

from mene.bench.align.tuned import tuned
from mene.cli.tuned_shown import in_words, tuned_json, tuned_markdown
from mene.scale import Scale
from mene.verdict import Verdict

YES_NO = Scale.binary()


def said(labels: str, sure: float) -> list[Verdict]:
    """Verdicts, Y or N, each as sure as that."""
    words = [{"Y": "Yes", "N": "No"}[one] for one in labels]
    return [
        Verdict(
            id=str(n),
            label=word,
            probabilities={word: sure, ({"Yes", "No"} - {word}).pop(): 1 - sure},
        )
        for n, word in enumerate(words)
    ]


def compared(gold: str, before: str, after: str, groups: list[int] | None = None):
    labels = ["Yes" if one == "Y" else "No" for one in gold]
    given = groups or list(range(len(gold)))
    return tuned(YES_NO, labels, said(before, 0.6), said(after, 0.9), given)


def test_rows_that_only_one_of_the_two_gets_right_are_counted() -> None:
    found = compared("YYNNYYNNYYNN", "NYNNNNNNNNNN", "YYNNYYNNYYNY")
    assert (found.gained, found.lost) == (5, 1)
    assert found.before.agreement.accuracy.value == 7 / 12
    assert found.after.agreement.accuracy.value == 11 / 12
    assert found.more.value is not None and abs(found.more.value - 4 / 12) < 1e-9
    assert found.more.low is not None and found.more.low < found.more.value < (found.more.high or 0)


def test_a_gain_on_many_rows_of_one_text_is_one_gain() -> None:
    apart = compared("YN" * 10, "NY" * 10, "YN" * 10)
    assert apart.p < 0.001
    together = compared("YN" * 10, "NY" * 10, "YN" * 10, groups=[0] * 20)
    assert together.p == 1


def test_the_same_verdicts_differ_by_nothing() -> None:
    found = compared("YYNN" * 5, "YNNY" * 5, "YNNY" * 5)
    assert (found.gained, found.lost, found.p) == (0, 0, 1)


def test_scores_are_compared_by_their_correlation_too() -> None:
    scale = Scale.likert(1, 5)
    gold = ["1", "2", "3", "4", "5"] * 4

    def scored(labels: list[str]) -> list[Verdict]:
        sure = [{one: 0.96 if one == said else 0.01 for one in scale.labels} for said in labels]
        return [
            Verdict(id=str(n), label=said, score=float(said), probabilities=p)
            for n, (said, p) in enumerate(zip(labels, sure, strict=True))
        ]

    near = [str(max(1, int(one) - 1)) for one in gold]  # one level too low
    found = tuned(scale, gold, scored(["3"] * 20), scored(near), list(range(20)))
    assert found.after.agreement.accuracy.value == 0.2
    assert "Pearson" in tuned_markdown("base", found)
    figures = tuned_json(found)["after"]
    assert figures["pearson"][0] > 0.9


def test_the_words_follow_the_interval() -> None:
    better = compared("YN" * 20, "NY" * 15 + "YN" * 5, "YN" * 20)
    assert "The new judge is better." in in_words(better)
    worse = compared("YN" * 20, "YN" * 20, "NY" * 15 + "YN" * 5)
    assert "use the one before" in in_words(worse)
    same = compared("YN" * 20, "YN" * 20, "YN" * 19 + "NY")
    assert "better:" not in in_words(same) or "not surely" in in_words(same)
