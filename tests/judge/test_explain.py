"""Reasons behind verdicts: who gets one, what is asked, and that nothing is asked twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mene import Judge, Sample
from mene.criterion import Criterion, load_criterion, parse_criterion
from mene.engines.base import Completion
from mene.errors import EngineError, UsageError
from mene.events import Advance, Event, Stop, Warn
from mene.judge.calibration import Calibration
from mene.judge.explain import finished
from mene.judge.explaining import Chosen, Explaining, explaining_of
from mene.judge.jury import Jury
from mene.judge.preset import load_preset
from mene.judge.reconsidered import before_reconsidering
from mene.runs.read_ledger import read_verdicts
from mene.runs.run import run
from mene.runs.summary import Summary
from mene.runs.tables import Row
from mene.scale import Scale
from mene.verdict import Verdict

FAITHFUL = load_criterion("faithfulness")
WRITER = load_preset("openai:toy@http://localhost").model_copy(
    update={"mode": "verdict", "critique_tokens": 40}
)


def rows(count: int) -> list[Row]:
    return [
        Row(
            n,
            f"file, line {n}",
            Sample(id=f"r{n}", context=f"Fact {n}.", response=f"Claim {n * 7}."),
        )
        for n in range(count)
    ]


def judge_of(toy, **more) -> Judge:
    return Judge(WRITER, engine=toy, **more)


def of_label(label: str, scale: Scale, **more) -> tuple[Verdict, Criterion]:
    return Verdict(label=label, **more), Criterion(question="Is it good?", scale=scale)


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        ("It names 1985. The passage says 19", "It names 1985."),
        ('It says "no." The passage', 'It says "no."'),
        ("It fails:\n1. The year is wrong.\n2. The", "It fails:\n1. The year is wrong."),
        ("It is wrong. Because:\n1.", "It is wrong."),
        ("年が違います。文には", "年が違います。"),
        ("nothing is finished here and 3.5 million", "nothing is finished here and 3.5 million"),
    ],
)
def test_a_reason_that_was_cut_ends_with_its_last_sentence(cut: str, kept: str) -> None:
    assert finished(cut) == kept


@pytest.mark.parametrize(
    ("label", "scale", "fails"),
    [
        ("No", Scale.binary(), True),
        ("Yes", Scale.binary(), False),
        ("2", Scale.likert(1, 5), True),
        ("3", Scale.likert(1, 5), False),
        ("5", Scale.likert(0, 10), False),
        ("4", Scale.likert(0, 10), True),
        ("0", Scale.likert(0, 1), True),
        ("ugly", Scale.classes("good", "bad", "ugly"), False),
        ("A", Scale.pairwise(), False),
    ],
)
def test_what_fails_depends_on_the_scale(label, scale, fails) -> None:
    assert Explaining("failing").selects(*of_label(label, scale)) is fails


def test_a_criterion_says_itself_what_fails() -> None:
    toxic = load_criterion("toxicity")
    assert Explaining("failing").selects(Verdict(label="Yes"), toxic)
    assert not Explaining("failing").selects(Verdict(label="No"), toxic)
    assert "failing" in toxic.to_yaml()
    assert "failing" not in FAITHFUL.to_yaml()
    with pytest.raises(ValueError, match='"Maybe" is not on the scale'):
        Criterion(question="Is it?", scale=Scale.binary(), failing=("Maybe",))


def test_other_choices_of_rows() -> None:
    unsure, sure = Verdict(label="Yes", confidence=0.55), Verdict(label="Yes", confidence=0.8)
    assert Explaining("uncertain").selects(unsure, FAITHFUL)
    assert not Explaining("uncertain").selects(sure, FAITHFUL)
    assert Explaining("all").selects(sure, FAITHFUL)
    assert not Explaining("none").selects(unsure, FAITHFUL)
    assert not Explaining("all").selects(Verdict(error="broken"), FAITHFUL)
    assert not Explaining("all").selects(Verdict(label="No", critique="said before it"), FAITHFUL)


def test_the_first_rows_of_the_table_are_chosen_in_whatever_order_they_come() -> None:
    chosen = Chosen(2)
    out = [
        chosen.add(n, Sample(response="x"), FAITHFUL, Verdict(id=str(n), label="No"))
        for n in (5, 1, 3, 0)
    ]
    assert [position for position, *_ in chosen] == [0, 1]
    assert [(place, v.id) for place, v in filter(None, out)] == [(5, "5"), (3, "3")]
    assert chosen.left_out == 2


def test_a_reason_is_asked_for_behind_the_verdict_it_is_for(toy) -> None:
    judge = judge_of(toy)
    sample = Sample(context="Paris is in France.", response="Paris is in Spain.")
    verdict = judge(sample, criterion=FAITHFUL)
    asked = toy.seen[-1]
    new = judge.explain(sample, verdict, FAITHFUL)
    request = toy.seen[-1]
    assert request.messages[: len(asked.messages)] == asked.messages  # read from the cache
    assert request.messages[-2] == ("assistant", f"**Result:** {verdict.label}")
    assert request.critique_tokens == 40
    assert new.critique == "because"
    assert (new.label, new.probabilities, new.key) == (
        verdict.label,
        verdict.probabilities,
        verdict.key,
    )
    assert new.first is None
    assert new.usage.prompt_tokens > verdict.usage.prompt_tokens


@pytest.mark.parametrize(
    ("settings", "labels", "reasons", "both"),
    [
        ({}, 0, 0, 0),
        ({"critic": "weights"}, 0, None, None),
        ({"explainer": "two.gguf"}, 0, 1, 0),
        ({"explainer": "two.gguf", "critic": "weights"}, 0, 1, None),
    ],
)
def test_reasons_are_written_by_the_adapter_that_explains(
    toy, settings, labels, reasons, both
) -> None:
    judge = Judge(WRITER.model_copy(update=settings), engine=toy)
    sample = Sample(context="Paris is in France.", response="Paris is in Spain.")
    verdict = judge(sample, criterion=FAITHFUL)
    assert toy.seen[-1].adapter == labels
    judge.explain(sample, verdict, FAITHFUL)
    assert toy.seen[-1].adapter == reasons
    judge.explain(sample, verdict, FAITHFUL, reconsider=True)  # the label is chosen anew
    assert toy.seen[-1].adapter == both


def test_reconsidered_behind_a_critique_that_was_not_told_the_label(toy) -> None:
    judge = judge_of(toy)
    sample = Sample(context="Paris is in France.", response="Paris is in Spain.")
    verdict = judge(sample, criterion=FAITHFUL)
    new = judge.explain(sample, verdict, FAITHFUL, reconsider=True)
    assert [m.role for m in toy.seen[-1].messages] == ["user"]
    assert new.probabilities != verdict.probabilities
    assert new.first is not None
    assert (new.first.label, new.first.probabilities) == (verdict.label, verdict.probabilities)
    back = before_reconsidering(new)
    assert (back.label, back.probabilities, back.critique) == (
        verdict.label,
        verdict.probabilities,
        None,
    )
    assert json.loads(new.to_json())["first"]["label"] == verdict.label
    assert Verdict.model_validate_json(new.to_json()) == new


def test_a_judge_of_labels_alone_is_not_asked_for_reasons(toy) -> None:
    judge = Judge("nano", engine=toy)
    sample = Sample(context="a", response="b")
    with pytest.raises(UsageError, match="trained to give labels only"):
        judge.explain(sample, judge(sample, criterion=FAITHFUL), FAITHFUL)


def test_a_judge_of_labels_with_an_adapter_that_explains_gives_reasons_for_them_only(toy) -> None:
    settings = {"writes": False, "explainer": "two.gguf", "explain": "failing"}
    judge = Judge(WRITER.model_copy(update=settings), engine=toy)
    sample = Sample(context="a", response="b")
    verdict = judge(sample, criterion=FAITHFUL)
    assert judge.explain(sample, verdict, FAITHFUL).critique == "because"
    assert explaining_of(judge.preset, [FAITHFUL], which=None).which == "failing"
    for refused in (
        lambda: judge.explain(sample, verdict, FAITHFUL, reconsider=True),
        lambda: explaining_of(judge.preset, [FAITHFUL], which=None, reconsider=True),
        lambda: Judge(judge.preset, engine=toy, mode="critique"),
    ):
        with pytest.raises(UsageError, match="gives reasons only for a label that it has given"):
            refused()


def judged(toy, path: Path | None, count: int = 12, **how) -> tuple[list[Verdict], Summary]:
    out: list[Verdict] = []
    summary = run(
        judge_of(toy),
        FAITHFUL,
        rows(count),
        path,
        on_verdict=out.append,
        explaining=Explaining(**how),
    )
    return out, summary


def test_every_row_has_its_verdict_before_the_first_critique(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"
    out, summary = judged(toy, path, which="failing")
    kinds = [bool(request.critique_tokens) for request in toy.seen]
    assert kinds == sorted(kinds)
    kept = list(read_verdicts(path))
    failing = [v for v in out if v.label == "No"]
    assert 0 < len(failing) < 12
    assert [v.id for v in kept] == [f"r{n}" for n in range(12)]
    assert {v.id for v in kept if v.critique} == {v.id for v in failing}
    assert (summary.explained, summary.unexplained) == (len(failing), 0)
    assert sum(summary.labels.values()) == 12


def test_run_again_nothing_is_asked_twice(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"
    judged(toy, path, which="failing")
    before, asked = path.read_bytes(), len(toy.seen)
    _, summary = judged(toy, path, which="failing")
    assert len(toy.seen) == asked
    assert path.read_bytes() == before
    assert summary.reused == 12
    assert summary.explained > 0
    judged(toy, path)  # --explain none: what is there stays
    assert path.read_bytes() == before


def test_a_run_stopped_between_critiques_goes_on_with_those_that_are_missing(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"
    seen: list[str] = []

    def stop(verdict: Verdict) -> None:
        seen.append(verdict.id)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(
            judge_of(toy), FAITHFUL, rows(12), path, explaining=Explaining("all"), on_explained=stop
        )
    asked = len(toy.seen)
    judged(toy, path, which="all")
    again = toy.seen[asked:]
    assert all(request.critique_tokens for request in again)
    assert len(again) == 10
    kept = list(read_verdicts(path))
    assert [v.id for v in kept] == [f"r{n}" for n in range(12)]
    assert all(v.critique for v in kept)


def test_only_so_many_rows_get_one_and_the_rest_is_counted(toy, tmp_path) -> None:
    _, summary = judged(toy, tmp_path / "v.jsonl", which="all", limit=3)
    kept = list(read_verdicts(tmp_path / "v.jsonl"))
    assert [v.id for v in kept if v.critique] == ["r0", "r1", "r2"]
    assert (summary.explained, summary.unexplained) == (3, 9)


def test_other_settings_mean_another_critique_and_no_other_verdict(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"
    judged(toy, path, which="all", limit=2)
    asked = len(toy.seen)
    judged(toy, path, which="all", limit=2, tokens=99)
    assert [r.critique_tokens for r in toy.seen[asked:]] == [99, 99]
    judged(toy, path, which="all", limit=2, reconsider=True)
    kept = list(read_verdicts(path))
    assert len(kept) == 12
    assert kept[0].first is not None


def test_a_reconsidered_label_takes_its_place_in_the_sums(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"
    _, summary = judged(toy, path, which="all", reconsider=True)
    kept = list(read_verdicts(path))
    counts = {label: sum(v.label == label for v in kept) for label in ("Yes", "No")}
    assert {k: v for k, v in summary.labels.items() if v} == {k: v for k, v in counts.items() if v}
    assert summary.reconsidered == sum(
        v.first is not None and v.first.label != v.label for v in kept
    )
    assert summary.reconsidered > 0


def test_without_a_file_every_row_is_handed_on_once(toy) -> None:
    out, _ = judged(toy, None, which="all", limit=4)
    assert sorted(v.id for v in out) == sorted(f"r{n}" for n in range(12))
    assert sum(v.critique is not None for v in out) == 4
    again: list[Verdict] = []

    def stop(verdict: Verdict) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(
            judge_of(toy), FAITHFUL, rows(12), None, on_verdict=again.append,
            explaining=Explaining("all", 4), on_explained=stop,
        )  # fmt: skip
    assert sorted(v.id for v in again) == sorted(f"r{n}" for n in range(12))


def test_a_critique_that_cannot_be_written_leaves_the_verdict(toy, tmp_path) -> None:
    told: list[Event] = []
    plain = toy.run

    def run_toy(requests, stop=None):
        for done in plain(requests):
            failed = done.critique is not None
            yield Completion(done.index, error=EngineError("no room")) if failed else done

    toy.run = run_toy
    path = tmp_path / "v.jsonl"
    summary = run(
        judge_of(toy), FAITHFUL, rows(3), path, explaining=Explaining("all"), events=told.append
    )
    assert (summary.unwritten, summary.explained, summary.errors) == (3, 0, 0)
    assert ["no critique: no room" in e.text for e in told if isinstance(e, Warn)] == [True] * 3
    assert told[-2:] == [Stop("faithfulness: reasons"), Stop("faithfulness")]
    assert told.count(Advance("faithfulness: reasons")) == 3
    assert all(v.label and v.critique is None for v in read_verdicts(path))
    with pytest.raises(EngineError, match="no critique: no room"):
        sample = Sample(context="a", response="b")
        judge_of(toy).explain(sample, Verdict(label="Yes"), FAITHFUL)


def failing(kept: list[Verdict]) -> list[str]:
    return [v.id for v in kept if v.critique]


def test_reconsidering_again_chooses_the_same_rows_and_asks_nothing(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"
    _, first = judged(toy, path, 30, which="failing", limit=4, reconsider=True)
    before, asked = path.read_bytes(), len(toy.seen)
    assert first.reconsidered > 0
    for _ in range(3):
        _, again = judged(toy, path, 30, which="failing", limit=4, reconsider=True)
        assert (again.explained, again.written, again.reconsidered) == (4, 0, first.reconsidered)
        assert again.labels == first.labels
    assert len(toy.seen) == asked
    assert path.read_bytes() == before


@pytest.mark.parametrize("which", ["none", "all"])
def test_a_run_that_asks_for_less_does_not_undo_what_was_reconsidered(toy, tmp_path, which) -> None:
    path = tmp_path / "v.jsonl"
    judged(toy, path, which="all", reconsider=True)
    before, asked = path.read_bytes(), len(toy.seen)
    shown: list[Verdict] = []
    run(
        judge_of(toy),
        FAITHFUL,
        rows(12),
        path,
        on_reused=shown.append,
        explaining=Explaining(which),
    )
    assert path.read_bytes() == before
    assert len(toy.seen) == asked
    assert shown == list(read_verdicts(path))


def test_a_stopped_run_counts_each_row_once_in_a_report(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"

    def stop(verdict: Verdict) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(
            judge_of(toy), FAITHFUL, rows(12), path, explaining=Explaining("all"), on_explained=stop
        )
    assert len(path.read_text().splitlines()) == 13
    kept = list(read_verdicts(path))
    assert sorted(v.id for v in kept) == sorted(f"r{n}" for n in range(12))
    assert len(failing(kept)) == 1


def test_rows_that_have_their_critique_are_not_counted_as_without(toy, tmp_path) -> None:
    path = tmp_path / "v.jsonl"
    judged(toy, path, which="all")
    _, summary = judged(toy, path, which="all", limit=3)
    assert (summary.explained, summary.written, summary.unexplained) == (3, 0, 0)


def test_a_calibration_touches_no_label_that_was_read_behind_a_critique(toy) -> None:
    learned = Calibration(
        criterion="faithfulness", question=FAITHFUL.question, labels=("Yes", "No"), mode="verdict",
        method="temperature", temperature=0.3,
    )  # fmt: skip
    judge = Judge(WRITER.model_copy(update={"calibrations": (learned,)}), engine=toy)
    sample = Sample(context="a", response="b")
    verdict = judge(sample, criterion=FAITHFUL)
    new = judge.explain(sample, verdict, FAITHFUL, reconsider=True)
    assert judge.calibrated(new, FAITHFUL) is new
    without = judge_of(toy).calibrated(new, FAITHFUL)
    assert without.probabilities == new.probabilities
    assert without.first is not None
    assert without.first.probabilities == verdict.uncalibrated


def test_a_critique_for_another_label_goes(toy) -> None:
    turned = Calibration(
        criterion=None,
        labels=("Yes", "No"),
        mode="verdict",
        method="bias",
        bias={"No": -40, "Yes": 40},
    )
    sample = Sample(context="a", response="b")
    plain = judge_of(toy)
    verdict = plain(sample, criterion=FAITHFUL).model_copy(
        update={"label": "No", "confidence": 0.9}
    )
    explained = plain.explain(sample, verdict, FAITHFUL)
    judge = Judge(WRITER.model_copy(update={"calibrations": (turned,)}), engine=toy)
    new = judge.calibrated(explained, FAITHFUL)
    assert (new.label, new.critique, new.critique_key) == ("Yes", None, "")


def test_pairs_are_not_reconsidered(toy) -> None:
    judge, pair = judge_of(toy), load_criterion("preference")
    sample = Sample(instruction="q", response_a="a", response_b="b")
    verdict = judge(sample, criterion=pair)
    assert judge.explain(sample, verdict, pair).critique == "because"
    with pytest.raises(UsageError, match="one critique cannot explain both answers"):
        judge.explain(sample, verdict, pair, reconsider=True)


def test_only_a_label_of_the_criterion_is_explained(toy) -> None:
    judge, sample = judge_of(toy), Sample(context="a", response="b")
    for verdict in (Verdict(label="Banana"), Verdict(error="broken")):
        with pytest.raises(UsageError, match="could explain"):
            judge.explain(sample, verdict, FAITHFUL)


def test_a_jury_is_not_asked_for_reasons(toy) -> None:
    jury = Jury([judge_of(toy), Judge("nano", engine=toy)])
    with pytest.raises(UsageError, match="a jury writes no critiques"):
        run(jury, FAITHFUL, rows(2), None, explaining=Explaining("all"))


def test_the_reason_still_fits_where_a_context_is_cut(toy) -> None:
    toy.context = 600
    judge = judge_of(toy, truncate="context")
    sample = Sample(context="word " * 2000, response="b")
    verdict = judge(sample, criterion=FAITHFUL)
    new = judge.explain(sample, verdict, FAITHFUL)
    words = sum(len(m.content.split()) for m in toy.seen[-1].messages)
    assert words + 40 < 600
    assert len(new.notes) == 2
    assert all(note.startswith("context truncated") for note in new.notes)


def test_a_new_critique_brings_its_own_notes(toy) -> None:
    judge, sample = judge_of(toy), Sample(context="a", response="b")
    verdict = judge(sample, criterion=FAITHFUL).model_copy(
        update={"notes": ["critique cut at 9 tokens", "x"]}
    )
    assert judge.explain(sample, verdict, FAITHFUL).notes == ["x"]


def test_a_length_of_critiques_is_that_of_the_reasons_where_a_judge_explains(toy) -> None:
    base = load_preset("base")
    assert Judge(base, engine=toy, critique_tokens=50).mode == "verdict"
    assert Judge(base, engine=toy, critique_tokens=50, mode="critique").preset.critique_tokens == 50
    assert Judge("nano-base", engine=toy, critique_tokens=50).mode == "critique"


@pytest.mark.parametrize(
    ("failing", "scale", "found"),
    [
        ("No", "yes/no", ("No",)),
        ("[no]", "yes/no", ("No",)),
        ("'no'", "yes/no", ("No",)),
        ("1", "1-5", ("1",)),
        ("[1, 2.0]", "1-5", ("1", "2")),
        ("[Bad]", "good/bad", ("bad",)),
        ("[]", "yes/no", ()),
    ],
)
def test_failing_labels_are_read_as_labels_are(failing, scale, found) -> None:
    text = f"question: Is it good?\nscale: {scale}\nfailing: {failing}\n"
    assert parse_criterion(text, "mine").failing == found


def test_failing_labels_that_are_none() -> None:
    mine = parse_criterion("question: Is it?\nscale: on/off\nfailing: [off]\n", "mine")
    assert mine.failing == ("off",)  # a text, as in the scale
    with pytest.raises(UsageError, match="failing"):
        parse_criterion("question: Is it?\nscale: on/off\nfailing: [of]\n", "mine")


def test_another_scale_keeps_the_sense_of_what_fails() -> None:
    assert load_criterion("toxicity", "1-5").failing == ()
    assert load_criterion("toxicity", "toxic/fine").failing == ()
    assert load_criterion("helpfulness", "0-10").failing == ("0", "1", "2", "3", "4")
    assert load_criterion("faithfulness", "good/bad").failing == ("bad",)


@pytest.mark.parametrize(
    ("output", "explain", "options", "which"),
    [
        (None, None, {}, "failing"),
        (None, None, {"mode": "verdict"}, "none"),  # who names it wants labels
        (None, "all", {"mode": "verdict"}, "all"),
        ("-", None, {}, "none"),
        ("-", "uncertain", {}, "uncertain"),
        (None, None, {"mode": "critique"}, "none"),
        (None, None, {"samples": 3}, "none"),
        (None, None, {"critique_tokens": 50}, "failing"),
    ],
)
def test_what_is_explained_where_nobody_says(output, explain, options, which) -> None:
    options = dict(options)
    tokens = options.pop("critique_tokens", None)
    found = explaining_of(
        load_preset("base"),
        [FAITHFUL],
        which=explain,
        tokens=tokens,
        at_once=output == "-",
        **options,
    )
    assert found.which == which
    assert found.tokens == tokens
