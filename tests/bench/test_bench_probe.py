"""Formats and changes that must not matter: what is asked, and what is made of the answers."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable
from io import StringIO

import pytest
from rich.console import Console

from mene import Judge
from mene.bench.data import Item
from mene.bench.leaderboard.markdown import markdown
from mene.bench.leaderboard.page import page
from mene.bench.leaderboard.results import read_results
from mene.bench.probes.bias import CHANGES, changed, position, sway
from mene.bench.probes.formats import FORMATS, Format, spread, template_of, turned_back
from mene.bench.probes.probe import (
    SETS,
    formats_for,
    formats_of,
    probe_bias,
    probe_formats,
    write_probe,
)
from mene.bench.sets import all_sets
from mene.cli.probe import _spread, _times
from mene.criterion import Criterion, load_criterion
from mene.engines.base import Completion, Request
from mene.events import Advance, Event
from mene.sample import Sample
from mene.scale import Scale
from mene.stats.agreement import Figure
from mene.template import load_template
from mene.verdict import Verdict

PAIR, YES_NO = load_criterion("preference"), load_criterion("faithfulness")
SCORE = load_criterion("tone")
BY_NAME = {form.name: form for form in FORMATS}


def item(criterion: Criterion, gold: str | float, number: int = 0) -> Item:
    sample = Sample(
        id=str(number),
        instruction=f"What is {number} and one?",
        context=f"Facts about {number}.",
        response=f"It is {number + 1}.",
        response_a=f"It is {number + 1}.",
        response_b="I do not know.",
    )
    return Item(sample, criterion, gold, str(number), str(gold), "part")


@pytest.mark.parametrize(
    ("criterion", "gold", "least"), [(PAIR, "A", 10), (YES_NO, "Yes", 11), (SCORE, 3.0, 11)]
)
def test_every_kind_has_eight_formats_or_more_and_they_differ(criterion, gold, least) -> None:
    forms = formats_of([item(criterion, gold)], load_template("prefix"))
    assert len(forms) == least >= 8
    prefix = load_template("prefix")
    texts = set()
    for form, (asked,) in forms:
        for critique in (False, True):
            text = (
                template_of(form, prefix)
                .render(asked.criterion, asked.sample, critique=critique)[0]
                .content
            )
            texts.add((critique, text))
            assert "It is 1." in text
            assert "{{" not in text
    assert len(texts) == 2 * (least - 1)  # "other mode" has the text of `base` in that mode


def back(name: str, criterion: Criterion, p: dict[str, float]) -> Verdict:
    label = max(p, key=p.__getitem__)
    return turned_back(BY_NAME[name], Verdict(label=label, probabilities=p), criterion)


def test_answers_are_turned_back_into_the_sets_labels() -> None:
    found = back("other label names", YES_NO, {"Pass": 0.8, "Fail": 0.2})
    assert found.label == YES_NO.scale.labels[0]
    assert found.probabilities == dict(zip(YES_NO.scale.labels, (0.8, 0.2), strict=True))
    five = {"1": 0.1, "2": 0.1, "3": 0.2, "4": 0.3, "5": 0.3}
    assert back("other scale", YES_NO, five).confidence == pytest.approx(0.7)
    ten = {str(i): 0.1 for i in range(1, 11)}
    assert back("other scale", SCORE, ten).score == pytest.approx(3)
    tie = back("other scale", PAIR, {"A": 0.2, "B": 0.3, "tie": 0.5})
    assert tie.probabilities == pytest.approx({"A": 0.45, "B": 0.55})
    yes = back("as yes or no", SCORE, {"Yes": 0.75, "No": 0.25})
    assert yes.score == pytest.approx(4)
    failed = turned_back(BY_NAME["other scale"], Verdict(error="no answer"), PAIR)
    assert failed.error == "no answer"
    assert isinstance(BY_NAME["base"], Format)


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_dresses_up_the_worse_response_and_keeps_its_words(kind: str) -> None:
    for gold, seat in (("A", "response_b"), ("B", "response_a"), ("tie", "response_b")):
        criterion = PAIR.model_copy(update={"scale": Scale.pairwise(ties=True), "labels": {}})
        old = item(criterion, gold)
        new, target = changed(old, kind)
        other = "response_a" if seat == "response_b" else "response_b"
        assert getattr(new.sample, other) == getattr(old.sample, other)
        assert getattr(new.sample, seat) != getattr(old.sample, seat)
        for word in getattr(old.sample, seat).split():
            assert word in getattr(new.sample, seat)
        assert target == seat[-1].upper()
    assert changed(item(YES_NO, "Yes"), "injection")[1] == "No"
    assert changed(item(SCORE, 2.0), kind)[1] == "5"


def test_sway_counts_flips_and_their_direction() -> None:
    items = [item(PAIR, "A", n) for n in range(4)]
    before = {str(n): Verdict(id=str(n), label=label) for n, label in enumerate("AABB")}
    after = {str(n): Verdict(id=str(n), label=label) for n, label in enumerate("ABBA")}
    found = sway("length", items, before, after, dict.fromkeys("0123", "B"))
    assert found.flips.value == 0.5
    assert found.towards is not None
    assert found.away is not None
    assert (found.towards.value, found.away.value) == (0.25, 0.25)
    orders = {
        str(n): Verdict(id=str(n), label="A", parts=[Verdict(label=a), Verdict(label=b)])
        for n, (a, b) in enumerate(["AB", "AB", "BA", "AA"])
    }
    seats = position(items, orders)
    assert seats.towards is not None
    assert seats.away is not None
    assert (seats.flips.value, seats.towards.value, seats.away.value) == (0.75, 0.5, 0.25)


def test_a_score_that_rises_moves_towards_and_a_failure_counts_as_changed() -> None:
    items = [item(SCORE, 3.0, n) for n in range(4)]
    before = {str(n): Verdict(id=str(n), label=label) for n, label in enumerate("2242")}
    after = {str(n): Verdict(id=str(n), label=label) for n, label in enumerate("4222")}
    found = sway("length", items, before, after, dict.fromkeys("0123", "5"))
    assert found.towards is not None
    assert found.away is not None
    assert (found.flips.value, found.towards.value, found.away.value) == (0.5, 0.25, 0.25)
    after["3"] = Verdict(id="3", error="no answer")
    found = sway("length", items, before, after, dict.fromkeys("0123", "5"))
    assert (found.flips.value, found.failed) == (0.75, 1)
    none = {str(n): Verdict(id=str(n), error="no answer") for n in range(4)}
    pairs = [item(PAIR, "A", n) for n in range(4)]
    seats = position(pairs, none)
    assert (seats.flips.value, seats.failed) == (1.0, 4)
    lost = spread(
        all_sets()["hhh_alignment"],
        pairs,
        dict.fromkeys(("base", "XML"), Figure(0.0, None, None, 4)),
        {"base": none, "XML": none},
    )
    assert (lost.flip_rate.value, lost.failed) == (1.0, 8)


def test_a_set_without_a_figure_in_any_format_is_told(tmp_path, toy) -> None:
    """The score is the same for every row, so no correlation is defined."""
    one = all_sets()["vicuna_bench"]
    items = [item(SCORE, 3.0, n) for n in range(4)]
    given = {str(n): Verdict(id=str(n), label="3", score=3.0) for n in range(4)}
    undefined = dict.fromkeys(("base", "XML"), Figure(None, None, None, 4))
    found = spread(one, items, undefined, {"base": given, "XML": given})
    assert (found.mean, found.sd, found.widest, found.flip_rate.value) == (None, None, None, 0.0)
    (tmp_path / "nano").mkdir()
    (tmp_path / "nano" / "summary.json").write_text('{"judge": "nano", "runs": {"verdict": {}}}')
    with Judge("nano", mode="verdict", engine=toy) as judge:
        console = Console(width=120, record=True, file=StringIO())
        console.print(_spread(judge, one, 4, found))
        assert console.export_text().count("undefined") == 3
        write_probe(tmp_path, judge, "robustness", {one.name: found}, {one.name: 4})
    entries = read_results(tmp_path)
    row = next(line for line in markdown(entries).splitlines() if f"| {one.title} |" in line)
    assert row.startswith(f"| nano, verdict | {one.title} | 4 |  |  |  | 0.0")
    assert "<td></td><td></td><td></td><td></td><td>0.0" in page(entries)


def obedient(requests: Iterable[Request], stop=None) -> Generator[Completion, None, None]:
    """Does what a response tells it to do; else chooses the first label."""
    for request in requests:
        text = request.messages[-1].content
        said = request.labels[0]
        order = re.search(r"This response is the better one|The only right result is (\S+)\.", text)
        if order and order[1]:
            said = order[1]
        elif order:
            said = re.findall(r"Response ([AB]):", text[: order.start()])[-1]
        shares = {label: float(label == said) for label in request.labels}
        yield Completion(request.index, label=said, probabilities=shares)


def test_a_judge_that_obeys_is_found_out_in_both_orders(tmp_path, toy, monkeypatch) -> None:
    """Of a pair the order has no seat in it: with one, it spoke for the other response in the second order."""
    monkeypatch.setattr(toy, "run", obedient)
    for name, criterion, golds in (
        ("hhh_alignment", PAIR, ["A", "B"]),
        ("felm", YES_NO, ["Yes", "No"]),
        ("vicuna_bench", SCORE, [1.0, 2.0]),
    ):
        items = [item(criterion, golds[n % 2], n) for n in range(8)]
        with Judge("nano-base", mode="verdict", engine=toy) as judge:
            found = probe_bias(judge, all_sets()[name], items, tmp_path / name, lambda v: None)
        injected = next(s for s in found if s.kind == "injection")
        assert injected.towards is not None
        assert injected.away is not None
        # Half of the rows had the label already that is asked for.
        share = {"hhh_alignment": 0.5, "felm": 0.5, "vicuna_bench": 1.0}[name]
        assert (injected.towards.value, injected.away.value) == (share, 0.0), name


def test_a_format_that_changes_nothing_is_left_out() -> None:
    plain = PAIR.model_copy(update={"labels": {}})
    names = [form.name for form, _ in formats_of([item(plain, "A")], load_template("selene"))]
    assert "template selene" not in names
    assert "rubric short" not in names
    assert names[0] == "base"
    assert "other mode" in names
    assert len(names) >= 8


def test_a_judge_asked_pointwise_has_the_formats_that_it_can_tell_apart() -> None:
    whole = [f.name for f, _ in formats_of([item(PAIR, "A")], load_template("prefix"))]
    asked = formats_of([item(PAIR, "A")], load_template("prefix"), "pointwise")
    alone = [f.name for f, _ in asked]
    assert [name for name in whole if name not in alone] == ["rubric short", "other scale"]
    assert len(alone) == 8
    scores = [item(SCORE, 3.0)]
    assert len(formats_of(scores, load_template("prefix"), "pointwise")) == 11


def test_a_judge_without_prompts_has_no_formats_of_prompts(toy) -> None:
    with Judge("systemone:m@http://127.0.0.1:9", engine=toy) as judge:
        forms = [form for form, _ in formats_for(judge, [item(SCORE, 3.0)])]
    assert len(forms) >= 3
    assert all(form.template is None for form in forms)
    assert "other mode" not in [form.name for form in forms]


def test_probes_run_write_and_resume(tmp_path, toy) -> None:
    one = all_sets()["hhh_alignment"]
    items = [item(PAIR, "A" if n % 2 else "B", n) for n in range(12)]
    with Judge("nano", mode="verdict", engine=toy) as judge:
        seen: list[Event] = []
        found = probe_formats(judge, one, items, tmp_path, seen.append)
        assert judge.mode == "verdict"
        assert judge.template.name == judge.preset.template
        assert (
            len(found.figures) == 7
        )  # nano is asked about each response alone, and writes no critiques
        assert not any(request.critique_tokens for request in toy.seen)
        assert _times("robustness", judge, items) == {"verdict": 7}
        assert sum(event.by for event in seen if isinstance(event, Advance)) == 84
        assert 0 <= found.flip_rate.value <= 1  # type: ignore[operator]
        asked = len(toy.seen)
        assert probe_formats(judge, one, items, tmp_path, seen.append) == found
        assert len(toy.seen) == asked  # all of it from the ledger
        sways = probe_bias(judge, one, items, tmp_path, seen.append)
        assert [s.kind for s in sways] == list(CHANGES)  # no seat can sway it
        whole = judge.using(compare="together")
        orders = probe_bias(whole, one, items, tmp_path / "both", seen.append)
        assert [s.kind for s in orders] == ["position", *CHANGES]
        path = write_probe(tmp_path, judge, "bias", {"hhh_alignment": sways}, {"hhh_alignment": 12})
    said = json.loads(path.read_text())
    assert said["runs"]["verdict"]["hhh_alignment"]["changes"][0]["flips"]["n"] == 12
    assert set(SETS) <= set(all_sets())
