"""Agreement figures: against scikit-learn and SciPy, by hand, by simulation, and for any input."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from mene.scale import Scale
from mene.stats.agreement import Agreement, Figure, agreement

FIVE = Scale.likert()
YES_NO = Scale.binary()
PAIR = Scale.pairwise()


def simulate(rng: np.random.Generator, n: int, k: int = 5, skill: float = 2.0):
    """Gold labels and the probabilities of a judge that is right more often than not."""
    gold = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) + skill * np.eye(k)[gold]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return gold, p


def figures(found: Agreement) -> list[Figure]:
    named = [getattr(found, f.name) for f in dataclasses.fields(found)]
    return [f for f in named if isinstance(f, Figure)] + [b.over for b in found.baselines]


def test_points_equal_the_libraries():
    rng = np.random.default_rng(1)
    gold, p = simulate(rng, 400)
    label = p.argmax(axis=1)
    found = agreement((gold + 1).tolist(), [str(i + 1) for i in label], FIVE, probabilities=p)
    expected = p @ np.arange(1, 6)
    for figure, value in (
        (found.accuracy, metrics.accuracy_score(gold, label)),
        (found.balanced_accuracy, metrics.balanced_accuracy_score(gold, label)),
        (found.kappa, metrics.cohen_kappa_score(gold, label)),
        (found.weighted_kappa, metrics.cohen_kappa_score(gold, label, weights="quadratic")),
        (found.pearson, stats.pearsonr(expected, gold)[0]),
        (found.spearman, stats.spearmanr(expected, gold)[0]),
        (found.brier, np.mean(((p - np.eye(5)[gold]) ** 2).sum(axis=1))),
    ):
        assert figure.value == pytest.approx(value, abs=1e-6)
        assert figure.low < figure.value < figure.high
        assert figure.n == 400
    assert found.ece.low is None  # no interval of it keeps its promise
    table = metrics.confusion_matrix(gold, label)
    assert np.array_equal(np.array(found.confusion)[:, :5], table)
    assert sum(b.count for b in found.bins) == 400


def test_brier_of_two_classes_is_twice_the_one_of_scikit_learn():
    rng = np.random.default_rng(2)
    gold, p = simulate(rng, 200, k=2)
    words = np.array(["Yes", "No"])
    found = agreement(words[gold].tolist(), words[p.argmax(1)].tolist(), YES_NO, probabilities=p)
    assert found.brier.value == pytest.approx(2 * metrics.brier_score_loss(gold, p[:, 1]))


def test_intervals_are_near_a_plain_bootstrap():
    """On many rows of a middling judge, where a bootstrap is right too, both say the same."""
    rng = np.random.default_rng(3)
    gold, p = simulate(rng, 400)
    label = p.argmax(axis=1)
    found = agreement((gold + 1).tolist(), [str(i + 1) for i in label], FIVE, probabilities=p)
    plain = {
        "accuracy": metrics.accuracy_score,
        "kappa": metrics.cohen_kappa_score,
        "weighted_kappa": lambda a, b: metrics.cohen_kappa_score(a, b, weights="quadratic"),
        "balanced_accuracy": lambda a, b: metrics.recall_score(a, b, average="macro"),
    }
    drawn = [rng.integers(0, 400, 400) for _ in range(100)]
    for name, statistic in plain.items():
        figure = getattr(found, name)
        spread = np.std([statistic(gold[i], label[i]) for i in drawn])
        assert figure.high - figure.low == pytest.approx(2 * 1.96 * spread, rel=0.25), name


def test_kappa_by_hand():
    # Wikipedia's example: 20 both yes, 15 both no, 5 and 10 apart: (0.7 - 0.5) / (1 - 0.5) = 0.4.
    gold = ["Yes"] * 25 + ["No"] * 25
    said = ["Yes"] * 20 + ["No"] * 5 + ["Yes"] * 10 + ["No"] * 15
    assert agreement(gold, said, YES_NO).kappa.value == pytest.approx(0.4)
    # Squared costs: observed 0 + 1 + 4 over 3 rows, by chance (1 * 6 + 4 * 2) / 3 over 3 rows.
    three = Scale.likert(1, 3)
    found = agreement([1, 2, 3], ["1", "3", "1"], three)
    table = np.array([[1, 0, 0], [0, 0, 1], [1, 0, 0]])
    cost = np.array([[0, 1, 4], [1, 0, 1], [4, 1, 0]])
    chance = np.outer(table.sum(1), table.sum(0)) / 3
    want = 1 - (cost * table).sum() / (cost * chance).sum()
    assert found.weighted_kappa.value == pytest.approx(want)


def test_calibration_error_by_hand():
    p = np.array([[0.95, 0.05]] * 4 + [[0.65, 0.35]] * 4)
    gold = ["Yes", "Yes", "Yes", "No", "Yes", "Yes", "No", "No"]
    found = agreement(gold, ["Yes"] * 8, YES_NO, probabilities=p)
    assert found.ece.value == pytest.approx(0.5 * abs(0.75 - 0.95) + 0.5 * abs(0.5 - 0.65))
    assert [(b.count, b.accuracy) for b in found.bins if b.count] == [(4, 0.5), (4, 0.75)]


def test_failed_rows_count_as_wrong_and_are_reported():
    found = agreement(["Yes", "Yes", "No", "No"], ["Yes", None, "No", None], YES_NO)
    assert (found.n, found.failed) == (4, 2)
    assert found.accuracy.value == 0.5
    assert found.balanced_accuracy.value == 0.5
    assert found.confusion == ((1, 0, 1), (0, 1, 1))
    scored = agreement([1, 2, 3, 4], ["1", "2", "3", None], FIVE)
    assert scored.accuracy.value == 0.75
    assert scored.pearson.n == 3


def test_a_probability_of_a_failed_row_is_not_used():
    found = agreement(["Yes", "No"], ["Yes", None], YES_NO, probabilities=[{"Yes": 1.0}] * 2)
    assert found.brier.n == found.ece.n == 1


def test_constant_judge_is_no_better_than_chance():
    rng = np.random.default_rng(4)
    gold = rng.choice(["Yes", "No"], 500, p=[0.8, 0.2]).tolist()
    found = agreement(gold, ["Yes"] * 500, YES_NO)
    assert found.no_better_than_chance and not found.beats_majority
    assert found.baselines[0].over.value == 0
    assert found.kappa.value == 0
    coin = agreement(gold, rng.choice(["Yes", "No"], 500).tolist(), YES_NO)
    assert coin.no_better_than_chance
    good = agreement(gold, gold, YES_NO)
    assert good.beats_majority and not good.no_better_than_chance
    assert good.kappa.value == 1


def test_a_judge_of_rare_labels_may_lose_to_the_majority_and_still_tell_them_apart():
    gold = ["No"] * 950 + ["Yes"] * 50
    said = ["No"] * 855 + ["Yes"] * 95 + ["Yes"] * 45 + ["No"] * 5
    found = agreement(gold, said, YES_NO)
    assert not found.beats_majority
    assert not found.no_better_than_chance
    assert found.chance == 0.5


def test_pairs_have_seat_and_length_baselines():
    gold = ["A", "A", "B", "B", "B"]
    lengths = [(9, 1), (1, 9), (1, 9), (5, 5), (1, 2)]
    found = agreement(gold, gold, PAIR, lengths=lengths)
    assert {b.key: b.accuracy for b in found.baselines} == {
        "majority": 0.6,
        "first": 0.4,
        "longer": pytest.approx(0.7),
    }
    assert [b.key for b in agreement(gold, gold, PAIR).baselines] == ["majority", "first"]


def test_gold_between_and_off_the_labels():
    gold = [1, 2.4, 2.5, 5.0, "3", 9, "good", None, True, math.nan]
    found = agreement(gold, ["1", "2", "2", "5", "3", *["1"] * 5], FIVE)
    assert (found.n, found.rounded, found.off_scale) == (5, 2, 5)
    assert found.accuracy.value == 1
    assert found.pearson.value == pytest.approx(
        stats.pearsonr([1, 2, 2, 5, 3], [1, 2.4, 2.5, 5, 3])[0]
    )


def test_rows_that_share_a_document_widen_the_interval():
    rng = np.random.default_rng(6)
    right = rng.random(40) < 0.7  # all ten rows of a document are right, or all are wrong
    said = np.repeat(np.where(right, "Yes", "No"), 10).tolist()
    rows = agreement(["Yes"] * 400, said, YES_NO)
    documents = agreement(["Yes"] * 400, said, YES_NO, groups=np.repeat(range(40), 10).tolist())
    width = [f.accuracy.high - f.accuracy.low for f in (rows, documents)]
    assert width[1] == pytest.approx(width[0] * math.sqrt(10), rel=0.15)
    assert (rows.documents, documents.documents) == (None, 40)
    assert agreement(["Yes"] * 4, ["Yes"] * 4, YES_NO, groups=[1] * 4).accuracy.low is None


def test_a_good_judge_on_few_rows_is_not_said_to_be_perfect():
    gold = ["Yes", "No"] * 4
    for n in (2, 4):  # nothing can be said
        few = agreement(gold[:n], gold[:n], YES_NO)
        assert (few.accuracy.value, few.accuracy.low, few.accuracy.high) == (1, None, None)
        assert few.no_better_than_chance and not few.beats_majority
    eight = agreement(gold, gold, YES_NO)
    assert 0.5 < eight.accuracy.low < 0.75 and eight.accuracy.high == 1
    for figure in (eight.balanced_accuracy, eight.kappa, eight.baselines[0].over):
        assert figure.low < figure.value - 0.2


def test_copies_of_a_row_do_not_narrow_an_interval():
    rng = np.random.default_rng(7)
    right = rng.random(30) < 0.8
    said = np.where(right, "Yes", "No").tolist()
    once = agreement(["Yes"] * 30, said, YES_NO)
    five = agreement(["Yes"] * 150, said * 5, YES_NO, groups=list(range(30)) * 5)
    assert five.documents == 30
    for name in ("accuracy", "balanced_accuracy"):
        a, b = getattr(once, name), getattr(five, name)
        assert (b.low, b.high) == pytest.approx((a.low, a.high), abs=0.02)


def test_ten_thousand_rows_take_seconds():
    gold, p = simulate(np.random.default_rng(8), 10_000)
    label = [str(i + 1) for i in p.argmax(axis=1)]
    start = time.process_time()
    agreement((gold + 1).tolist(), label, FIVE, probabilities=p)
    assert time.process_time() - start < 15  # about 2 s


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="as many rows"):
        agreement(["Yes"], [], YES_NO)


chance = st.floats(0, 1) | st.floats() | st.just(1e-300)
gold_value = st.sampled_from(["1", "2", "3", "yes", "", None, True, "9"]) | st.floats()
label_value = st.sampled_from(["1", "2", "3", "A", None])
row = st.tuples(
    gold_value,
    label_value,
    st.none() | st.dictionaries(st.sampled_from(["1", "2", "3", "x"]), chance),
    st.integers(0, 2),
)


@settings(max_examples=150)
@given(
    st.lists(row, max_size=12),
    st.booleans(),
    st.sampled_from([Scale.likert(1, 3), Scale.classes("1", "2", "3"), Scale.parse("1/yes")]),
)
def test_any_input_gives_figures_in_range_or_none(rows, grouped, scale):
    gold, labels, probabilities, groups = ([r[i] for r in rows] for i in range(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = agreement(
            gold,
            labels,
            scale,
            probabilities=probabilities,
            groups=groups if grouped else None,
        )
    assert found.n + found.off_scale == len(rows)
    for figure in figures(found):
        ends = [figure.low, figure.value, figure.high]
        assert all(v is None or -1 - 1e-9 <= v <= 2 + 1e-9 for v in ends)
        assert (figure.low is None) == (figure.high is None)
        if figure.low is not None:
            assert figure.low <= figure.value <= figure.high
    for figure in (found.accuracy, found.balanced_accuracy, found.ece):
        assert figure.value is None or 0 <= figure.value <= 1
    assert found.no_better_than_chance in (True, False)
