"""Calibration from people's labels: judged on rows it did not learn from."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mene import Judge, Sample
from mene.bench.align.align import METHODS, align, learn
from mene.bench.align.labels import golds_of
from mene.bench.align.save import save
from mene.cli.aligned import Aligned, show_aligned
from mene.cli.console import Screen
from mene.cli.measuring import judged
from mene.criterion import Criterion, load_criterion
from mene.errors import UsageError
from mene.judge.calibration import Calibration
from mene.judge.preset import load_preset
from mene.runs.tables import Row, read_rows
from mene.scale import Scale

FAITHFUL = load_criterion("faithfulness")
YES, NO = FAITHFUL.scale.labels


def rows(count: int, temperature: float, bias: float, seed: int = 0):
    """Gold labels drawn from true probabilities, and a judge that distorts these."""
    lot = random.Random(seed)
    gold, said = [], []
    for _ in range(count):
        logit = lot.gauss(0, 1.5)
        gold.append(YES if lot.random() < 1 / (1 + math.exp(-logit)) else NO)
        p = 1 / (1 + math.exp(-(logit * temperature + bias)))
        said.append({YES: p, NO: 1 - p})
    return gold, said


def test_labels_with_other_names_are_one_line_with_one_option() -> None:
    """Ten rows gave ten lines, each with half an option, and every other half the wrong way round."""
    said = ["grounded", "hallucinated", "Yes"] * 5
    lines = [
        Row(n, f"file, line {n + 1}", Sample(response="x", label=label))
        for n, label in enumerate(said)
    ] + [Row(15, "file, line 16", Sample(response="x", label="No"))]
    found, [wrong] = golds_of(lines, FAITHFUL, "file", {})
    assert len(found) == 6
    assert wrong.startswith(
        '10 rows left out: "grounded" (file, line 1), "hallucinated" (file, line 2) are not on'
    )
    assert '--labels "grounded=Yes,hallucinated=No"' in wrong


def test_a_distorted_judge_is_set_right_on_held_out_rows() -> None:
    gold, said = rows(400, temperature=3, bias=4)
    found = align(FAITHFUL, "verdict", gold, said, [str(i) for i in range(400)], resamples=200)
    held = {h.name: h for h in found.held}
    before = found.before.agreement
    after = held["bias"].agreement
    assert before.ece.value is not None
    assert after.ece.value is not None
    assert after.ece.value < 0.08 < 0.2 < before.ece.value
    assert after.accuracy.value > before.accuracy.value + 0.05  # type: ignore[operator]
    assert found.chosen is not None
    assert found.chosen.method in ("bias", "isotonic")
    assert found.more == 1200


def test_the_table_fits_into_80_columns(capsys) -> None:
    """It broke `held / out` and the intervals."""
    gold, said = rows(60, temperature=3, bias=4)
    found = align(FAITHFUL, "verdict", gold, said, [str(i) for i in range(60)], resamples=50)
    one = Aligned("nano", found, 0, Path("rows.nano.aligned.jsonl"))
    show_aligned(Screen(width=80), FAITHFUL, one)
    shown = capsys.readouterr().out.splitlines()
    for name in ("as it is", *METHODS):
        [line] = [line for line in shown if line.startswith(name)]
        assert line.count("[") == line.count("]") == 2  # the calibration error has no interval
        assert len(line.split()[-1]) == 5  # the log loss
    # The example of the docs has the same columns, and no interval that mene does not give.
    page = (Path(__file__).parents[2] / "docs" / "bench.md").read_text("utf-8").splitlines()
    head = next(line for line in shown if "kappa" in line)
    assert next(line for line in page if line.split() == head.split())
    for name in ("as it is ", *METHODS):
        [line] = [line for line in page if line.startswith(name) and " % [" in line]
        assert line.count("[") == 2


def test_learned_numbers_undo_the_distortion() -> None:
    gold, said = rows(4000, temperature=2, bias=2)
    table = np.array([[p[YES], p[NO]] for p in said])
    codes = np.array([0 if g == YES else 1 for g in gold])
    found = learn("bias", FAITHFUL, "verdict", table, codes)
    assert found.temperature == pytest.approx(2, rel=0.1)
    assert found.bias[YES] - found.bias[NO] == pytest.approx(-1, abs=0.12)  # 2 / temperature


def test_a_calibrated_judge_is_left_alone() -> None:
    changed = 0
    for seed in range(8):
        gold, said = rows(100, temperature=1, bias=0, seed=seed)
        groups = [str(i) for i in range(100)]
        found = align(FAITHFUL, "verdict", gold, said, groups, resamples=200)
        changed += found.chosen is not None
    assert changed <= 1


def test_rows_of_one_context_cannot_be_held_out() -> None:
    gold, said = rows(40, temperature=3, bias=4)
    with pytest.raises(UsageError, match="other contexts"):
        align(FAITHFUL, "verdict", gold, said, ["same"] * 40)
    assert align(FAITHFUL, "verdict", gold, said, ["a", "b"] * 20, resamples=50).held


def test_rows_with_one_id_keep_their_own_labels(tmp_path, toy) -> None:
    lines = [
        Row(n, f"file, line {n}", Sample(id="doc", response="x", label=str(n))) for n in range(3)
    ]
    lines.append(Row(3, "file, line 3", Sample(id="doc (2)", response="y", label="5")))
    lines.append(Row(4, "file, line 4", None, "not JSON"))
    found, wrong = golds_of(lines, load_criterion("tone"), "file", {})
    assert found == {1: "1", 2: "2", 3: "5"}
    assert len(wrong) == 2  # the scale has no 0
    judge = Judge("nano", mode="verdict", engine=toy)
    for _ in range(2):  # judged, then found in the ledger
        verdicts = judged(
            judge,
            load_criterion("tone"),
            lines[:4],
            tmp_path / "v.jsonl",
            Console(stderr=True),
            quiet=True,
        )
        assert {n: v.id for n, v in verdicts.items()} == {
            0: "doc",
            1: "doc",
            2: "doc",
            3: "doc (2)",
        }


@given(
    st.lists(st.floats(0.01, 1), min_size=2, max_size=2),
    st.sampled_from(METHODS),
)
def test_calibrated_probabilities_sum_to_1_and_keep_rank(weights: list[float], method) -> None:
    gold, said = rows(60, 2, 0)
    table = np.array([[p[YES], p[NO]] for p in said])
    codes = np.array([0 if g == YES else 1 for g in gold])
    found = learn(method, FAITHFUL, "verdict", table, codes)
    p = {YES: weights[0] / sum(weights), NO: weights[1] / sum(weights)}
    out = found.apply(p)
    assert sum(out.values()) == pytest.approx(1)
    assert all(0 <= v <= 1 for v in out.values())
    surer = found.apply({YES: min(1.0, p[YES] + 0.05), NO: max(0.0, p[NO] - 0.05)})
    assert surer[YES] >= out[YES] - 1e-9


def test_a_free_questions_calibration_is_for_no_other_question() -> None:
    gold, said = rows(60, 3, 2)
    table = np.array([[p[YES], p[NO]] for p in said])
    codes = np.array([0 if g == YES else 1 for g in gold])
    polite = Criterion(question="Is the reply polite?", scale=Scale.binary())
    learned = learn("bias", polite, "verdict", table, codes)
    assert learned.fits(polite, "verdict", "t")
    assert not learned.fits(polite.model_copy(update={"question": "Is it French?"}), "verdict", "t")
    old = learned.model_copy(update={"question": "", "criterion": "custom"})
    assert not old.fits(polite, "verdict", "t")
    assert old.model_copy(update={"criterion": "faithfulness"}).fits(FAITHFUL, "verdict", "t")


def test_a_saved_judge_uses_what_it_learned_and_only_there(tmp_path, toy) -> None:
    learned = Calibration(
        criterion="faithfulness",
        labels=(YES, NO),
        mode="verdict",
        method="bias",
        temperature=0.5,
        bias={YES: 1.0},
    )
    raw = Judge("nano", mode="verdict", engine=toy)
    gold, said = rows(60, 3, 2)
    found = align(FAITHFUL, "verdict", gold, said, [str(i) for i in range(60)], resamples=20)
    learnt = type(found)(found.before, found.held, learned, found.more)
    for named in ("selene", "Selene"):
        other = raw.using(template=named, compare="both-orders", truncate="context")
        save(other.preset, learnt, tmp_path / "my.yaml")
        saved = load_preset(str(tmp_path / "my.yaml"))
        assert (saved.template, saved.compare, saved.truncate) == (
            "selene",
            "both-orders",
            "context",
        )
    save(raw.preset, learnt, tmp_path / "my.yaml")
    mine = Judge(str(tmp_path / "my.yaml"), engine=toy)  # in the mode that it was learned in
    assert mine.mode == "verdict"
    assert mine.name == "my"
    sample = Sample(context="Paris is in France.", response="Paris is in Spain.")
    before, after = raw(sample, criterion="faithfulness"), mine(sample, criterion="faithfulness")
    assert before.probabilities
    assert after.probabilities == pytest.approx(learned.apply(before.probabilities))
    assert after.key == before.key  # nothing is judged again for it
    assert after.uncalibrated == before.probabilities
    other = Sample(instruction="Hi", response="Hello")
    plain, same = raw(other, criterion="tone"), mine(other, criterion="tone")
    assert same.probabilities == plain.probabilities
    assert same.key == plain.key


def test_a_pair_learns_nothing_that_favours_a_seat() -> None:
    preference = load_criterion("preference")
    lot = random.Random(0)
    gold = [lot.choice("AB") for _ in range(60)]
    said = [{"A": p, "B": 1 - p} for p in (lot.uniform(0.05, 0.95) for _ in gold)]
    found = align(preference, "verdict", gold, said, [str(i) for i in range(60)], resamples=50)
    assert [h.name for h in found.held] == ["temperature"]


def test_calibrations_for_other_questions_stay_in_a_saved_judge(tmp_path, toy) -> None:
    raw = Judge("nano", mode="verdict", engine=toy)
    gold, said = rows(60, 3, 2)
    groups = [str(i) for i in range(60)]
    found = align(
        FAITHFUL, "verdict", gold, said, groups, resamples=20, template=raw.template.identity
    )
    own = learn(
        "bias",
        FAITHFUL,
        "verdict",
        np.array([[0.5, 0.5]] * 2),
        np.array([0, 1]),
        raw.template.identity,
    )
    general = own.model_copy(update={"criterion": None, "question": ""})
    learnt = type(found)(found.before, found.held, own, found.more)
    save(raw.preset, learnt, tmp_path / "my.yaml", [own.model_copy(update={"rows": 7}), general])
    saved = load_preset(str(tmp_path / "my.yaml")).calibrations
    assert [(c.criterion, c.rows) for c in saved] == [("faithfulness", 2), (None, 2)]


def test_copies_of_a_row_teach_and_prove_no_more_than_one() -> None:
    """A judge that is calibrated already, on 15 texts that five people labelled alike."""
    claimed = 0
    for seed in range(3):
        gold, said = rows(15, temperature=1, bias=0, seed=seed)
        texts = [f"text {i}" for i in range(15)] * 5
        found = align(FAITHFUL, "verdict", gold * 5, said * 5, texts, among=["bias"])
        claimed += found.chosen is not None
        accuracy = found.before.agreement.accuracy
        assert found.before.agreement.documents == 15
        assert accuracy.high - accuracy.low > 0.25  # type: ignore[operator]
        # Where nobody says what the rows share, the probabilities do.
        unsaid = align(FAITHFUL, "verdict", gold * 5, said * 5, range(75), among=["bias"])
        assert unsaid.before.agreement.accuracy == accuracy
        assert unsaid.chosen is None
    assert claimed == 0


def test_equal_shares_of_votes_are_not_taken_for_one_text() -> None:
    lot = random.Random(0)
    shares = [lot.randint(0, 5) / 5 for _ in range(60)]
    gold = [YES if lot.random() < p else NO for p in shares]
    said = [{YES: p, NO: 1 - p} for p in shares]
    found = align(FAITHFUL, "verdict", gold, said, range(60), among=["bias"])
    assert found.before.agreement.documents == 60


def test_a_broken_row_is_named_once(tmp_path) -> None:
    """It read: rows.jsonl, line 2: rows.jsonl, line 2: broken JSON."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"response": "a", "label": "5"}\n{broken\n')
    lines = list(read_rows(str(path), None, load_criterion("tone")))
    _, [wrong] = golds_of(lines, load_criterion("tone"), str(path), {})
    assert wrong.count("line 2") == 1


def test_a_tie_names_the_scale_that_has_one() -> None:
    """The hint was to read ties as A."""
    lines = [
        Row(n, f"file, line {n + 1}", Sample(response_a="x", response_b="y", label=label))
        for n, label in enumerate(["A", "B", "tie"] * 3)
    ]
    _, [wrong] = golds_of(lines, load_criterion("preference"), "file", {})
    assert "--scale a/b/tie" in wrong and "--labels" not in wrong
