"""The path from sample to verdict, around a toy engine."""

from __future__ import annotations

import asyncio

import pytest

from mene import Criterion, Judge, Sample, Scale
from mene.errors import UsageError
from mene.jury import Jury
from mene.preset import load_preset

PAIR = Criterion(name="pair", question="Which?", scale=Scale.pairwise())
SCORE = Criterion(name="score", question="How good?", scale=Scale.likert(0, 10))


def judge_of(toy, **options) -> Judge:
    return Judge("openai:toy@http://localhost", engine=toy, template="prefix", **options)


def test_order_is_kept_and_bad_rows_do_not_stop_the_good(toy) -> None:
    samples = [Sample(id=str(i), response=f"text {i}" if i % 7 else " ") for i in range(600)]
    verdicts = list(judge_of(toy).judge(iter(samples), SCORE))
    assert [v.id for v in verdicts] == [s.id for s in samples]
    assert all(('field "response"' in v.error) if int(v.id) % 7 == 0 else v.label for v in verdicts)


def test_score_is_the_expected_label(toy) -> None:
    verdict = judge_of(toy)(response="x", criterion=SCORE)
    assert verdict.score == pytest.approx(sum(int(k) * p for k, p in verdict.probabilities.items()))
    assert sum(verdict.probabilities.values()) == pytest.approx(1)
    assert verdict.confidence == verdict.probabilities[verdict.label]
    assert judge_of(toy)(response_a="x", response_b="y", criterion=PAIR).score is None


def test_swap_averages_both_orders(toy) -> None:
    one = judge_of(toy)(response_a="x", response_b="zz", criterion=PAIR)
    other = judge_of(toy)(response_a="zz", response_b="x", criterion=PAIR)
    both = judge_of(toy, swap=True)(response_a="x", response_b="zz", criterion=PAIR)
    assert both.probabilities["A"] == pytest.approx(
        (one.probabilities["A"] + other.probabilities["B"]) / 2
    )
    assert both.consistent is (one.label != other.label)
    assert [p.label for p in both.parts] == [one.label, {"A": "B", "B": "A"}[other.label]]


def test_samples_draw_with_different_seeds(toy) -> None:
    judge = judge_of(toy, samples=3, seed=5)
    verdict = judge(response="x", criterion=SCORE)
    assert [r.seed for r in toy.seen] == [5, 6, 7]
    assert judge.temperature == 0.7
    assert len(verdict.parts) == 3


@pytest.mark.parametrize(
    "options",
    [{"samples": 2, "mode": "verdict"}, {"samples": 2, "temperature": 0.0}, {"mode": "other"}],
)
def test_impossible_settings_are_refused(toy, options) -> None:
    with pytest.raises(UsageError):
        judge_of(toy, **options)


def test_the_key_names_all_that_was_asked(toy) -> None:
    sample = Sample(id="1", response="x")
    keys = {
        judge_of(toy).ask(sample, SCORE).key,
        judge_of(toy, mode="verdict").ask(sample, SCORE).key,
        judge_of(toy, critique_tokens=9).ask(sample, SCORE).key,
        judge_of(toy, temperature=0.5).ask(sample, SCORE).key,
        judge_of(toy, samples=2).ask(sample, SCORE).key,
        judge_of(toy).ask(Sample(id="1", response="y"), SCORE).key,
        judge_of(toy).ask(sample, SCORE.model_copy(update={"question": "How bad?"})).key,
    }
    toy.identity = "toy:2"
    keys.add(judge_of(toy).ask(sample, SCORE).key)
    assert len(keys) == 8
    assert judge_of(toy).ask(Sample(id="other", response="x"), SCORE).key in keys


def test_requests_that_begin_alike_stand_side_by_side(toy) -> None:
    samples = [Sample(context=f"document {i % 2}", response=f"r{i}") for i in range(10)]
    list(judge_of(toy).judge(samples, SCORE))
    documents = ["document 0" in r.messages[0].content for r in toy.seen]
    assert documents == sorted(documents, reverse=True)


def test_truncation_cuts_the_context_only_and_says_so(toy) -> None:
    toy.context = 600
    sample = Sample(instruction="keep this", context="word " * 5000, response="keep that")
    verdict = judge_of(toy, truncate="context", mode="verdict")(sample, criterion=SCORE)
    assert "context truncated to" in verdict.notes[0]
    text = toy.seen[0].messages[0].content
    assert "keep this" in text
    assert "keep that" in text
    assert 300 < text.count("word") < 600
    failed = judge_of(toy, truncate="context", mode="verdict")(
        Sample(context="a b", response="word " * 5000), criterion=SCORE
    )
    assert "fit" in failed.error


def test_a_failed_part_fails_the_whole(toy) -> None:
    toy.fail_on = "bad"
    verdict = judge_of(toy, swap=True)(response_a="bad", response_b="x", criterion=PAIR)
    assert verdict.label is None
    assert "2 of 2 parts failed" in verdict.error


def test_async_and_notebook(toy) -> None:
    async def inside_a_running_loop() -> list[str | None]:
        return [v.label async for v in judge_of(toy).ajudge([Sample(response="x")] * 3, SCORE)]

    assert len(asyncio.run(inside_a_running_loop())) == 3

    async def plain_call() -> str | None:
        return judge_of(toy)(response="x", criterion=SCORE).label

    assert asyncio.run(plain_call())


def test_jury_is_the_mean_and_keeps_each_verdict(toy) -> None:
    first, second = judge_of(toy), judge_of(toy, mode="verdict")
    second.name = "second"
    whole = dict(Jury([first, second]).stream([(0, Sample(id="r", response="x"))], SCORE))[0]
    assert [p.judge for p in whole.parts] == [first.name, "second"]
    for label, p in whole.probabilities.items():
        assert p == pytest.approx(sum(part.probabilities[label] for part in whole.parts) / 2)
    with pytest.raises(UsageError, match="two or more different"):
        Jury([first, first])


def test_closing_the_iterator_early_stops_the_engine(toy) -> None:
    verdicts = judge_of(toy).judge((Sample(response=str(i)) for i in range(10**9)), SCORE)
    assert next(verdicts).label
    verdicts.close()
    assert len(toy.seen) < 100


def test_the_mode_is_the_presets_unless_a_critique_is_asked_for(toy) -> None:
    preset = load_preset("nano")
    assert preset.mode == "verdict"
    assert Judge(preset, engine=toy).mode == "verdict"
    assert Judge(preset, engine=toy, samples=3).mode == "critique"
    assert Judge(preset, engine=toy, critique_tokens=24).mode == "critique"
    assert Judge(preset, engine=toy, mode="critique").critique_tokens == 128
    assert Judge(load_preset("nano-base"), engine=toy).mode == "critique"
