"""What a plan says of many rows, from some that were measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mene.criteria_set import load_criteria
from mene.criterion import load_criterion
from mene.errors import UsageError
from mene.events import nowhere
from mene.judge.judge import Judge
from mene.judge.preset import preset_names
from mene.library.load import LIBRARY
from mene.runs.plan.forecast import by_api, choices, machines, on_gpu
from mene.runs.plan.measure import Mean, Measured, measure
from mene.runs.plan.prices import load_prices
from mene.runs.tables import Row
from mene.sample import Sample

PRICES = load_prices()
MEASURED = Measured(
    rows=50, failed=0, seconds=Mean(0.5, 0.4, 0.6), prompt=Mean(600, 540, 660), cached=Mean(100, 90, 110),
    written=Mean(0, 0, 0),
)  # fmt: skip


def rows(*texts: str) -> list[Row]:
    return [
        Row(n, f"row {n}", Sample(instruction="q", response=text, id=str(n)))
        for n, text in enumerate(texts)
    ]


def test_some_rows_are_judged_and_nothing_is_written(toy, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    judge = Judge("openai:toy@http://localhost", mode="verdict", engine=toy)
    criterion = load_criterion("helpfulness")
    found = measure(judge, criterion, rows("a", "bb", "ccc", "d"), most=3, events=nowhere)
    assert found.rows == len(toy.seen) == 3
    lengths = [len(request.messages[-1].content) for request in toy.seen]
    assert found.prompt.value == pytest.approx(sum(lengths) / 3)
    assert found.prompt.low < found.prompt.value < found.prompt.high
    assert found.read == found.prompt.value - found.cached.value
    assert not list(tmp_path.iterdir())
    both = load_criteria(["helpfulness", "tone"])
    again = measure(judge, both, rows("a", "bb", "ccc", "d"), most=3, events=nowhere)
    assert (again.rows, len(toy.seen)) == (3, 9)
    assert again.prompt.value > found.prompt.value  # a row is asked about twice
    toy.fail_on = "q"
    with pytest.raises(UsageError, match="no row could be judged, .*toy failure"):
        measure(judge, criterion, rows("x"), events=nowhere)


@pytest.mark.parametrize("texts", [["a"], ["a", "b", "c"]])  # one row, and several as long
def test_rows_that_do_not_differ_have_no_interval(toy, texts) -> None:
    judge = Judge("openai:toy@http://localhost", mode="verdict", engine=toy)
    found = measure(judge, load_criterion("helpfulness"), rows(*texts), events=nowhere)
    assert (found.seconds.low, found.seconds.high) == (None, None)
    assert found.prompt.high == (None if len(texts) == 1 else found.prompt.value)
    card, name = PRICES.gpus["h100"], "gpt-4o-mini"
    for way in (
        machines(found, 7200, 2, PRICES),
        on_gpu(found, 7200, card, 1, 8_000_000_000, PRICES.assumptions),
        by_api(found, 7200, name, PRICES.apis[name]),
    ):
        assert way is not None
        assert way.hours is None or (way.hours.value > 0 and way.hours.high is None)
        assert way.dollars is None or way.dollars.high in (None, way.dollars.value)


@pytest.mark.parametrize(
    ("settings", "criteria", "labels"),
    [
        ({}, ["helpfulness", "tone", "faithfulness"], 3),
        ({"samples": 4, "mode": "critique"}, ["helpfulness"], 4),
        ({"compare": "together"}, ["preference"], 1),
        ({"compare": "both-orders", "samples": 2, "mode": "critique"}, ["preference"], 4),
        ({"compare": "pointwise"}, ["preference", "helpfulness"], 3),
        ({"claims": True}, ["faithfulness"], 3),
    ],
)
def test_a_row_has_a_label_for_each_question(toy, settings, criteria, labels) -> None:
    settings = {"mode": "verdict", **settings}
    judge = Judge("openai:toy@http://localhost", engine=toy, **settings)
    pair = {"response_a": "He left.", "response_b": "She left."}
    both = [
        Row(n, str(n), Sample(instruction="q", context="c", response=f"It is {n}. It was red. It is old.", **pair))
        for n in range(2)
    ]  # fmt: skip
    found = measure(judge, load_criteria(criteria), both, events=nowhere)
    assert (found.labels, len(toy.seen)) == (labels, 2 * labels)


def test_machines_divide_the_time_and_each_keeps_a_share() -> None:
    one, four = machines(MEASURED, 7200, 1, PRICES), machines(MEASURED, 7200, 4, PRICES)
    assert one.hours is not None
    assert (one.hours.value, one.hours.low, one.hours.high) == pytest.approx((1.0, 0.8, 1.2))
    assert four.hours is not None
    assert four.hours.value == pytest.approx(1 / 4 / PRICES.assumptions.machines)
    assert one.dollars is None  # nobody has said what an hour costs


def test_a_gpu_reads_at_its_compute_and_writes_at_its_bandwidth() -> None:
    card, by = PRICES.gpus["h100"], PRICES.assumptions
    read = on_gpu(MEASURED, 3_600_000, card, 1, 8_000_000_000, by)
    assert read is not None
    assert read.hours is not None
    seconds = 2 * 8e9 * 500 / (989e12 * by.compute)
    assert read.hours.value == pytest.approx(seconds * 1000)
    assert read.dollars is not None
    assert read.dollars.value == pytest.approx(seconds * 1000 * card.hour)
    writing = Measured(**{**vars(MEASURED), "written": Mean(100, 90, 110)})
    more = on_gpu(writing, 3_600_000, card, 1, 8_000_000_000, by)
    assert more is not None
    assert more.hours is not None
    step = 16e9 / (3350e9 * by.bandwidth) / by.together
    assert more.hours.value - read.hours.value == pytest.approx(100 * step * 1000)
    assert on_gpu(MEASURED, 1, PRICES.gpus["l4"], 1, 70_000_000_000, by) is None


def test_an_api_costs_its_tokens() -> None:
    api = PRICES.apis["gpt-4o-mini"]
    way = by_api(MEASURED, 1_000_000, "m", api)
    assert way.hours is None
    assert way.dollars is not None
    assert way.dollars.value == pytest.approx(600 * api.read + api.written)
    three = by_api(replace(MEASURED, labels=3.0), 1_000_000, "m", api)
    assert three.dollars is not None
    assert three.dollars.value == pytest.approx(600 * api.read + 3 * api.written)
    # With critiques, what they vary counts too.
    reasons = by_api(replace(MEASURED, written=Mean(100, 50, 150)), 1_000_000, "m", api)
    assert reasons.dollars is not None
    assert reasons.dollars.low == pytest.approx(540 * api.read + 50 * api.written)
    assert reasons.dollars.high == pytest.approx(660 * api.read + 150 * api.written)


def test_the_cheapest_judge_is_one_that_surely_agrees() -> None:
    found = choices(MEASURED, 7200, "base", ["faithfulness"], 0.65, PRICES)
    each = {one.judge: one for one in found}
    # The cheapest first of those that surely agree.
    assert [one.judge for one in found] == ["small", "base", "nano"]
    # nano agrees on more than is wanted, but on so few rows that it may be less.
    assert [one.enough for one in found] == [True, True, False]
    nano = each["nano"].agreement["faithfulness"]
    assert nano.value > 0.65 > nano.low
    assert each["nano"].hours < each["small"].hours / 2 < each["base"].hours / 4
    assert each["nano"].hours < each["base"].hours / 5
    assert choices(MEASURED, 1, "base", ["faithfulness"], None, PRICES)[0].judge == "nano"
    assert choices(MEASURED, 1, "base", ["faithfulness", "tone"], 0.5, PRICES) == []
    own = choices(MEASURED, 7200, "mine", ["faithfulness"], 0.65, PRICES)  # of unknown size
    assert [(one.judge, one.hours) for one in own] == [
        ("small", None),
        ("base", None),
        ("nano", None),
    ]


def test_figures_are_the_users_to_change(tmp_path) -> None:
    text = (LIBRARY / "plan.yaml").read_text()
    mine = tmp_path / "mine.yaml"
    mine.write_text(text.replace("machine: {hour: 0.0", "machine: {hour: 3.0"))
    way = machines(MEASURED, 7200, 2, load_prices(mine))
    assert way.dollars is not None
    assert way.dollars.value == pytest.approx(3.0 / PRICES.assumptions.machines)
    mine.write_text(text.replace("tflops: 989, memory: 80", "tflop: 989, memory: 80"))
    with pytest.raises(UsageError, match=r"mine\.yaml.*tflop"):
        load_prices(mine)
    with pytest.raises(UsageError, match="cannot read"):
        load_prices(Path(tmp_path / "none.yaml"))


def test_what_ships_names_judges_that_there_are_and_where_prices_were_seen() -> None:
    assert set(PRICES.judges) <= set(preset_names())
    for one in (*PRICES.gpus.values(), *PRICES.apis.values()):
        assert "20" in one.seen
