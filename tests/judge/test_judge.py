"""The path from sample to verdict, around a toy engine."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene import Criterion, Judge, Sample, Scale
from mene.cli.console import Screen
from mene.cli.summary_shown import print_summary
from mene.engines.base import Completion, Request
from mene.errors import EngineError, SampleError, UsageError
from mene.judge.calibration import Calibration
from mene.judge.comparison import COMPARISONS, POINTWISE
from mene.judge.jury import Jury, whose_reasons
from mene.judge.preset import load_preset
from mene.report import render, summarise
from mene.report.words import lead, remarks
from mene.runs.summary import Summary
from mene.verdict import Verdict

PAIR = Criterion(name="pair", question="Which?", scale=Scale.pairwise())
SCORE = Criterion(name="score", question="How good?", scale=Scale.likert(0, 10))


def judge_of(toy, name: str = "openai:toy@http://localhost", **options) -> Judge:
    preset = load_preset("openai:toy@http://localhost").model_copy(update={"name": name})
    return Judge(preset, engine=toy, template="prefix", **options)


def test_order_is_kept_and_bad_rows_do_not_stop_the_good(toy) -> None:
    samples = [Sample(id=str(i), response=f"text {i}" if i % 7 else None) for i in range(600)]
    verdicts = list(judge_of(toy).judge(iter(samples), SCORE))
    assert [v.id for v in verdicts] == [s.id for s in samples]
    assert all(('field "response"' in v.error) if int(v.id) % 7 == 0 else v.label for v in verdicts)


ROWS = [
    {"response": "text 1"},
    "text 1",
    Sample(id="3", response="text 1"),
    {"id": "own", "actual_output": "text 1", "reference": float("inf"), "score": float("nan")},
    {"messages": [{"role": "assistant", "content": "text 1"}]},
    {"response": np.str_("text 1")},
]


def test_whatever_python_has_is_judged_alike(toy) -> None:
    asked = Criterion(question="Polite?", scale=Scale.binary(), uses=())
    verdicts = list(judge_of(toy).judge([*ROWS, {"answr": "x"}, 7, {"response": 1 << 20}], asked))
    assert len({v.key for v in verdicts[: len(ROWS)]}) == 1
    assert [v.id for v in verdicts] == ["1", "2", "3", "own", "5", "6", "7", "8", "9"]
    assert [v.error is None for v in verdicts] == [True] * 6 + [False, False, True]
    assert 'field "response" is missing' in verdicts[6].error
    assert "not a int" in verdicts[7].error
    assert [v.error for v in judge_of(toy).judge([{}], asked)] == [verdicts[6].error]


def test_a_row_that_cannot_be_read_keeps_its_id(toy) -> None:
    rows = [{"id": "x7", "response": float("inf")}, {"response": float("inf")}]
    verdicts = list(judge_of(toy).judge(rows, "Polite?"))
    assert [(v.id, v.error is None) for v in verdicts] == [("x7", False), ("2", False)]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_data_frame_is_its_rows(toy, library) -> None:
    frame = pytest.importorskip(library).DataFrame
    rows = [{"id": "a", "response": "x"}, {"id": "b", "response": None}]
    verdicts = list(judge_of(toy).judge(frame(rows), "Polite?"))
    assert [(v.id, v.error is None) for v in verdicts] == [("a", True), ("b", False)]


def test_one_call_with_a_missing_field_raises(toy) -> None:
    judge = judge_of(toy, criterion="Polite?")
    assert judge("x").key == judge(response="x").key == judge({"response": "x"}).key
    assert judge("x", instruction="q").key == judge(instruction="q", response="x").key
    assert len(list(judge.judge("x"))) == len(list(judge.judge({"response": "x"}))) == 1
    for call in (lambda: judge(), lambda: judge(instruction="q"), lambda: judge(Sample())):
        with pytest.raises(SampleError, match='field "response" is missing'):
            call()
    with pytest.raises(SampleError, match='field "response" has a lone surrogate'):
        judge(Sample(response="a\udc80b"))
    [bad, good] = judge.judge([Sample(response="a\udc80b"), Sample(response="x")])
    assert bad.error and good.label


def test_an_empty_response_is_judged_and_noted(toy) -> None:
    judge = judge_of(toy)
    verdict = judge(response=" ", criterion="Polite?")
    assert verdict.error is None and verdict.notes == ["response is empty"]
    assert "(empty)" in toy.seen[-1].messages[-1].content
    assert not judge(response="x", criterion="Polite?").notes


def test_score_is_the_expected_label(toy) -> None:
    verdict = judge_of(toy)(response="x", criterion=SCORE)
    assert verdict.score == pytest.approx(sum(int(k) * p for k, p in verdict.probabilities.items()))
    assert sum(verdict.probabilities.values()) == pytest.approx(1)
    assert verdict.confidence == verdict.probabilities[verdict.label]
    assert judge_of(toy)(response_a="x", response_b="y", criterion=PAIR).score is None


def test_both_orders_are_averaged(toy) -> None:
    one = judge_of(toy)(response_a="x", response_b="zz", criterion=PAIR)
    other = judge_of(toy)(response_a="zz", response_b="x", criterion=PAIR)
    both = judge_of(toy, compare="both-orders")(response_a="x", response_b="zz", criterion=PAIR)
    assert both.probabilities["A"] == pytest.approx(
        (one.probabilities["A"] + other.probabilities["B"]) / 2
    )
    assert both.consistent is (one.label != other.label)
    assert [p.label for p in both.parts] == [one.label, {"A": "B", "B": "A"}[other.label]]


def pointwise_judge(toy, **options) -> Judge:
    return judge_of(toy, compare="pointwise", **options)


def versus(a: Verdict, b: Verdict, scale: Scale) -> Verdict:
    return POINTWISE.conclude([a, b], scale)


def yes(p: float | None) -> Verdict:
    if p is None:
        return Verdict(label="Yes")
    return Verdict(label="Yes" if p >= 0.5 else "No", probabilities={"Yes": p, "No": 1 - p})


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_pointwise_the_odds_of_two_responses_are_the_ratio_of_theirs(a: float, b: float) -> None:
    p = versus(yes(a), yes(b), Scale.pairwise()).probabilities
    assert p["A"] / p["B"] == pytest.approx(a / (1 - a) / (b / (1 - b)))
    turned = versus(yes(b), yes(a), Scale.pairwise()).probabilities
    assert turned["B"] == pytest.approx(p["A"])
    tied = versus(yes(a), yes(b), Scale.pairwise(ties=True)).probabilities
    assert tied["tie"] == pytest.approx(a * b + (1 - a) * (1 - b))
    assert sum(tied.values()) == pytest.approx(1)


def test_pointwise_without_probabilities_or_with_sure_ones() -> None:
    even = versus(yes(1.0), yes(1.0), Scale.pairwise())
    assert even.probabilities == {"A": 0.5, "B": 0.5}
    assert versus(yes(None), yes(0.0), Scale.pairwise()).label == "A"
    assert versus(yes(None), yes(None), Scale.pairwise(ties=True)).label == "tie"
    failed = versus(Verdict(error="no answer"), yes(0.5), Scale.pairwise())
    assert failed.error == "1 of 2 responses failed; the first: no answer"


def test_pointwise_no_response_sees_the_other_and_no_order_can_sway(toy) -> None:
    judge = pointwise_judge(toy, mode="verdict")
    one = judge(response_a="first text", response_b="second text", criterion=PAIR)
    prompts = [r.messages[0].content for r in toy.seen]
    assert len(prompts) == 2  # both orders ask the same
    assert "first text" in prompts[0] and "second text" not in prompts[0]
    assert "second text" in prompts[1] and "first text" not in prompts[1]
    assert all(PAIR.question in text for text in prompts)
    other = judge(response_a="second text", response_b="first text", criterion=PAIR)
    assert other.probabilities["A"] == pytest.approx(one.probabilities["B"])
    assert one.consistent is None  # they cannot but agree, which says nothing
    assert (one.compare, one.parts) == ("pointwise", [])
    assert one.usage.completion_tokens == 2


@pytest.mark.parametrize("how", COMPARISONS)
def test_two_times_the_same_text_is_no_win_for_a_seat(toy, how) -> None:
    judge = Judge("nano", engine=toy, mode="verdict", compare=how)
    one = judge(response_a="Hello there", response_b="Hello there ", criterion=PAIR)
    assert one.probabilities == {"A": 0.5, "B": 0.5}
    assert one.consistent is None
    assert any("same text" in note for note in one.notes)
    assert judge.calibrated(one, PAIR) is one
    tied = PAIR.model_copy(update={"scale": Scale.pairwise(ties=True), "labels": {}})
    even = judge(response_a="Hello there", response_b="Hello there", criterion=tied)
    assert (even.label, even.confidence) == ("tie", 1)
    other = judge(response_a="Hello there", response_b="Hello", criterion=PAIR)
    assert not any("same text" in note for note in other.notes)
    # Whatever shows verdicts does not count it as a win of A.
    counted = Summary()
    counted.add(one)
    counted.add(other)
    assert (counted.even, sum(counted.labels.values())) == (1, 1)
    [section] = summarise([one, even, other])
    assert section.even == 1
    assert sum(section.shares.values()) == 2
    assert "same text" in " ".join(remarks(section))
    [alone] = summarise([one])
    assert "nothing to choose" in lead(alone)
    assert "nothing to choose" in render([one])


def test_screen_and_report_say_that_no_order_could_sway_pointwise_verdicts(toy, capsys) -> None:
    judge, counted = pointwise_judge(toy, mode="verdict"), Summary(rows=1, judged=1)
    verdict = judge(response_a="x", response_b="y", criterion=PAIR)
    counted.add(verdict)
    assert (counted.pointwise, counted.to_dict()["pointwise"], counted.orders) == (1, 1, [0, 0])
    print_summary(Screen(), [(PAIR, counted)], judge, None)
    said = " ".join(capsys.readouterr().out.split())
    assert "each response of 1 pair was judged alone" in said and "agree" not in said
    page = render([verdict])
    assert "each response judged alone" in page and "Orders agree" not in page
    both = judge.using(compare="both-orders")(response_a="x", response_b="y", criterion=PAIR)
    assert "Orders agree" in render([both])


def test_pointwise_reasons_and_draws_of_both_responses(toy) -> None:
    verdict = pointwise_judge(toy, samples=3)(response_a="x", response_b="y", criterion=PAIR)
    assert len(toy.seen) == 6
    assert verdict.critique.startswith("Response A: ")
    assert "\n\nResponse B: " in verdict.critique
    assert verdict.consistent is None


def test_pointwise_the_key_tells_ties_and_orders_and_the_way_of_asking(toy) -> None:
    sample = Sample(response_a="x", response_b="y")
    tied = Criterion(name="pair", question="Which?", scale=Scale.pairwise(ties=True))
    keys = {
        pointwise_judge(toy).ask(sample, PAIR).key,
        pointwise_judge(toy).ask(sample, tied).key,
        judge_of(toy, compare="both-orders").ask(sample, PAIR).key,
        judge_of(toy).ask(sample, PAIR).key,
    }
    assert len(keys) == 4


def test_pointwise_changes_nothing_for_single_responses(toy) -> None:
    sample = Sample(response="x")
    assert pointwise_judge(toy).ask(sample, SCORE).key == judge_of(toy).ask(sample, SCORE).key


def test_a_calibration_for_something_else_is_said(toy) -> None:
    learned = Calibration(
        criterion="score", question="How good?", labels=SCORE.scale.labels, mode="verdict",
        method="temperature", rows=20, temperature=2.0,
    )  # fmt: skip
    preset = load_preset("openai:toy@http://localhost").model_copy(
        update={"calibrations": (learned,)}
    )
    judge = Judge(preset, engine=toy, mode="verdict")
    assert judge.unfit(SCORE) is None
    assert "no calibration for pair in verdict mode (it has for score in verdict" in judge.unfit(
        PAIR
    )
    judge = judge.using(mode="critique")
    assert "no calibration for score in critique mode" in judge.unfit(SCORE)
    assert judge_of(toy).unfit(PAIR) is None


def test_a_calibration_of_a_criterion_goes_before_one_of_its_scale(toy) -> None:
    own = Calibration(
        criterion="score", question="How good?", labels=SCORE.scale.labels, mode="verdict",
        method="temperature", temperature=2.0,
    )  # fmt: skip
    general = own.model_copy(update={"criterion": None, "question": "", "temperature": 9.0})
    preset = load_preset("openai:toy@http://localhost").model_copy(
        update={"calibrations": (general, own), "mode": "verdict"}
    )
    judge = Judge(preset, engine=toy)
    assert judge.calibration(SCORE) is own
    assert judge.calibration(SCORE.model_copy(update={"question": "How bad?"})) is general
    assert judge.calibration(PAIR) is None
    other = Judge(preset, engine=toy, template="prefix")
    assert other.calibration(SCORE) is own  # it does not say of which template it is
    mine = own.model_copy(update={"template": judge.template.identity})
    assert mine.fits(SCORE, "verdict", judge.template.identity)
    assert not mine.fits(SCORE, "verdict", other.template.identity)


def test_another_calibration_means_other_probabilities_and_no_other_question(toy) -> None:
    learned = Calibration(
        criterion="score", question="How good?", labels=SCORE.scale.labels, mode="verdict",
        method="temperature", temperature=2.0,
    )  # fmt: skip
    preset = load_preset("openai:toy@http://localhost").model_copy(update={"mode": "verdict"})
    plain = Judge(preset, engine=toy)
    mine = Judge(preset.model_copy(update={"calibrations": (learned,)}), engine=toy)
    sample = Sample(response="x")
    raw, calibrated = plain(sample, criterion=SCORE), mine(sample, criterion=SCORE)
    assert raw.key == calibrated.key
    assert raw.probabilities
    assert calibrated.uncalibrated == raw.probabilities
    assert calibrated.probabilities == pytest.approx(learned.apply(raw.probabilities))
    there, back = mine.calibrated(raw, SCORE), plain.calibrated(calibrated, SCORE)
    assert (there.probabilities, there.score) == (calibrated.probabilities, calibrated.score)
    assert (back.probabilities, back.score, back.uncalibrated) == (
        raw.probabilities,
        raw.score,
        None,
    )
    assert (there.revision, back.revision) == (1, 1)
    assert mine.calibrated(calibrated, SCORE) is calibrated


def test_a_jury_of_both_modes_says_whose_reasons_it_gives(toy, capsys) -> None:
    nano = Judge("nano", engine=toy)
    jury = Jury([nano, Judge("nano-base", engine=toy)])
    said = (
        "nano-base gives reasons here, nano only labels; with --mode verdict all give only labels"
    )
    question = Criterion(question="Is it good?", scale=Scale.binary())
    print_summary(Screen(), [(question, Summary(rows=1, judged=1))], jury, None)
    assert f"Note: {said}" in " ".join(capsys.readouterr().out.split())
    agreed = Jury([nano, Judge("nano-base", engine=toy, mode="verdict")])
    print_summary(Screen(), [(question, Summary(rows=1, judged=1))], agreed, None)
    assert "gives reasons" not in capsys.readouterr().out


def test_a_jury_follows_the_calibrations_of_its_jurors(toy) -> None:
    turned = Calibration(
        criterion=None,
        labels=("Yes", "No"),
        mode="critique",
        method="bias",
        bias={"No": -40, "Yes": 40},
    )
    question = Criterion(question="Is it good?", scale=Scale.binary())
    other = load_preset("openai:toy@http://localhost").model_copy(update={"name": "other"})
    jury = Jury([judge_of(toy), Judge(other, engine=toy)])
    assert whose_reasons(jury.judges) == ""
    [(_, said)] = jury.stream([(0, Sample(response="x"), question)])
    mine = Jury(
        [judge_of(toy), Judge(other.model_copy(update={"calibrations": (turned,)}), engine=toy)]
    )
    [(_, expected)] = mine.stream([(0, Sample(response="x"), question)])
    said = said.model_copy(update={"row": 3, "content": "x", "question": "Is it good?"})
    new = mine.calibrated(said, question)
    assert new.probabilities == expected.probabilities != said.probabilities
    assert (new.row, new.content, new.question) == (3, "x", "Is it good?")
    assert (new.key, new.judge, new.revision) == (said.key, said.judge, 1)
    assert jury.calibrated(said, question) is said


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "bias", "bias": {"Yes": float("nan")}}, "finite"),
        ({"method": "isotonic", "curves": {"Yes": [], "No": [(0, 0)]}}, "a curve needs a point"),
    ],
)
def test_calibrations_that_would_break_a_run_are_refused(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        Calibration(criterion=None, labels=("Yes", "No"), mode="verdict", **values)


@pytest.mark.parametrize(("temperature", "same"), [(0.0, True), (0.7, False)])
def test_a_seed_is_part_of_the_key_where_something_is_drawn(toy, temperature, same) -> None:
    keys = [
        judge_of(toy, seed=seed, temperature=temperature)(response="x", criterion=SCORE).key
        for seed in (0, 5)
    ]
    assert (keys[0] == keys[1]) is same


def test_samples_draw_with_different_seeds(toy) -> None:
    judge = judge_of(toy, samples=3, seed=5)
    verdict = judge(response="x", criterion=SCORE)
    assert [r.seed for r in toy.seen] == [5, 6, 7]
    assert judge.preset.temperature == 0.7
    assert len(verdict.parts) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"samples": 2, "mode": "verdict"},
        {"samples": 2, "temperature": 0.0},
        {"mode": "other"},
        {"compare": "apart"},
        {"samples": 0},
        {"temperature": -1.0},
    ],
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


@pytest.mark.parametrize(
    "context",
    [
        "word " * 100_000,
        "a " * 700 + " " * 1_000_000 + "b",  # its end has many characters and no tokens
        "word " * 300 + "x" * 500_000 + " word" * 300,
        " " * 500_000 + "word " * 5000,
    ],
)
def test_a_very_long_text_is_counted_a_few_times_and_never_whole_again(
    toy, context: str, monkeypatch
) -> None:
    toy.context = 600
    counted: list[int] = []
    count = toy.count

    def counting(request: Request) -> int:
        counted.append(len(request.messages[-1].content))
        return count(request)

    monkeypatch.setattr(toy, "count", counting)
    sample = Sample(context=context, response="x")
    ask = judge_of(toy, truncate="context", mode="verdict").ask(sample, SCORE)
    assert count(ask.requests[0]) < 600
    assert len(counted) < 12
    assert sum(size >= len(context.strip()) for size in counted) <= 1


@pytest.mark.parametrize("jury", [False, True])
def test_a_row_whose_tokens_cannot_be_counted_is_that_rows_error(toy, jury, monkeypatch) -> None:
    def count(request) -> int:
        if "bad" in request.messages[-1].content:
            raise EngineError("no answer; try again")
        return 50

    monkeypatch.setattr(toy, "count", count)
    toy.context = 600
    options = {"truncate": "context", "mode": "verdict"}
    judge, second = judge_of(toy, **options), judge_of(toy, "second", **options)
    samples = [Sample(context=f"{w} " * 300, response="x") for w in ("good", "bad", "fine")]
    rows = [(n, sample, SCORE) for n, sample in enumerate(samples)]
    verdicts = [v for _, v in sorted((Jury([judge, second]) if jury else judge).stream(rows))]
    assert [bool(v.error) for v in verdicts] == [False, True, False]
    assert "try again" in str(verdicts[1].error)


def test_a_failed_part_fails_the_whole(toy) -> None:
    toy.fail_on = "bad"
    verdict = judge_of(toy, compare="both-orders")(response_a="bad", response_b="x", criterion=PAIR)
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
    first, second = judge_of(toy), judge_of(toy, "second", mode="verdict")
    whole = dict(Jury([first, second]).stream([(0, Sample(id="r", response="x"), SCORE)]))[0]
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
    preset = load_preset("nano").model_copy(update={"writes": True})
    assert preset.mode == "verdict"
    assert Judge(preset, engine=toy).mode == "verdict"
    assert Judge(preset, engine=toy, samples=3).mode == "critique"
    assert Judge(preset, engine=toy, critique_tokens=24).mode == "critique"
    assert Judge(preset, engine=toy, mode="critique").preset.critique_tokens == 128
    assert Judge(load_preset("nano-base"), engine=toy).mode == "critique"
    silent = load_preset("nano-base").model_copy(update={"writes": False})
    assert Judge(silent, engine=toy).mode == "verdict"


def test_tokens_of_a_critique_are_none_of_a_thought(toy) -> None:
    sample = Sample(response="x")
    for settings, thought in (({"critique_tokens": 9}, 0), ({"thought_tokens": 70}, 70)):
        [request] = judge_of(toy, mode="verdict", **settings).ask(sample, SCORE).requests
        assert (request.critique_tokens, request.thought_tokens) == (0, thought)


@pytest.mark.parametrize("options", [{"mode": "critique"}, {"samples": 3}, {"critique_tokens": 24}])
def test_a_judge_that_cannot_write_is_not_asked_to(toy, options) -> None:
    with pytest.raises(UsageError, match="nano was trained to give labels only"):
        Judge("nano", engine=toy, **options)


def test_whichever_way_its_mode_is_set_it_is_one_error(toy, tmp_path, here) -> None:
    """A preset that named critique mode was judged in the other one without a word."""
    path = tmp_path / "silent.yaml"
    path.write_text("engine: openai\nweights: {served: m}\nwrites: false\n")
    assert Judge(str(path), engine=toy).mode == "verdict"  # it names none
    table = tmp_path / "rows.jsonl"
    table.write_text('{"response": "x"}\n')
    command = ["judge", table, "-c", "tone", "-j", path]
    said = {here(*command, "-m", "critique").stderr}
    path.write_text(path.read_text() + "mode: critique\n")
    said = {text.strip().removeprefix("mene: ") for text in (*said, here(*command).stderr)}
    for make in (
        lambda: Judge(str(path), engine=toy),
        lambda: Judge(str(path), engine=toy, mode="critique"),
        lambda: Judge(str(path), engine=toy, mode="verdict").using(mode="critique"),
    ):
        with pytest.raises(UsageError) as refused:
            make()
        said.add(str(refused.value))
    [one] = said
    assert one.startswith("silent was trained to give labels only")


def test_using_gives_another_judge_on_the_same_engine_and_leaves_this_one(toy) -> None:
    judge = judge_of(toy, criterion="Polite?", mode="verdict")
    before = judge.preset
    other = judge.using(compare="pointwise", template="tags", samples=2)
    assert (other.compare, other.template.name, other.mode) == ("pointwise", "tags", "critique")
    assert (judge.preset, judge.template.name) == (before, "prefix")
    assert (other.engine, other.criterion) == (judge.engine, judge.criterion)
    assert other.using().preset == other.preset
    sample = Sample(response="x")
    assert other.ask(sample, SCORE).key != judge.ask(sample, SCORE).key
    assert other.using(mode="verdict", template="prefix", samples=1).ask(sample, SCORE).key == (
        judge.ask(sample, SCORE).key
    )
    with pytest.raises(AttributeError):
        judge.mode = "critique"  # type: ignore[misc]
    other.close()
    with pytest.raises(UsageError, match="was closed"):
        judge("x")


def test_a_preset_file_may_set_whatever_decides_a_verdict(toy, tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "engine: openai\nweights: {served: m}\ntemplate: prefix\ncompare: both-orders\nsamples: 3\nseed: 4\n"
        "truncate: context\ntemperature: 0.4\ncritique_tokens: 77\n"
    )
    judge = Judge(str(path), engine=toy)
    asked = judge.ask(Sample(response_a="x", response_b="y"), PAIR).requests
    assert [r.seed for r in asked] == [4, 5, 6] * 2
    assert {(r.temperature, r.critique_tokens) for r in asked} == {(0.4, 77)}
    assert judge.mode == "critique"


def test_nor_is_it_once_it_runs(toy) -> None:
    judge = Judge("nano", engine=toy)
    with pytest.raises(UsageError, match="nano was trained to give labels only"):
        judge.using(mode="critique")
    assert judge.mode == "verdict"
    judge = judge_of(toy, samples=3)
    with pytest.raises(UsageError, match="several samples add nothing"):
        judge.using(mode="verdict")
    with pytest.raises(UsageError, match='no mode "fast"'):
        judge.using(mode="fast")  # type: ignore[typeddict-item]
    assert judge.mode == "critique"


def test_a_closed_judge_says_so(toy) -> None:
    judge = judge_of(toy, mode="verdict")
    verdict = judge(response="x", criterion=SCORE)
    judge.close()
    judge.close()
    sample = Sample(response="x")
    for ask in (
        lambda: judge(sample, criterion=SCORE),
        lambda: list(judge.judge([sample], SCORE)),
        lambda: judge.prompt(sample, SCORE),
        lambda: judge.explain(sample, verdict, SCORE),
    ):
        with pytest.raises(UsageError, match="was closed; open a new one"):
            ask()


def test_ajudge_can_be_cancelled_while_the_model_works(toy, monkeypatch) -> None:
    begun, ended = threading.Event(), threading.Event()

    def slowly(requests, stop=None):
        try:
            for request in requests:
                begun.set()
                if stop is not None and stop.wait(120):
                    return
                yield Completion(request.index, error=EngineError("nobody stopped it"))
        finally:
            ended.set()

    monkeypatch.setattr(toy, "run", slowly)

    async def cancelled() -> float:
        async def all_of_them() -> list[Verdict]:
            return [v async for v in judge_of(toy).ajudge([Sample(response="x")] * 3, SCORE)]

        task = asyncio.create_task(all_of_them())
        await asyncio.to_thread(begun.wait, 120)
        start = time.perf_counter()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.perf_counter() - start

    assert asyncio.run(cancelled()) < 60
    assert ended.wait(60)


def test_ajudge_left_early_lets_the_engine_go(toy) -> None:
    async def first() -> str | None:
        samples = (Sample(response=str(i)) for i in range(10**9))
        async with aclosing(judge_of(toy).ajudge(samples, SCORE)) as verdicts:
            async for verdict in verdicts:
                return verdict.label
        return None

    assert asyncio.run(first())
    assert len(toy.seen) < 100
