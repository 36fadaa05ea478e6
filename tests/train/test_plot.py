import json
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mene.errors import UsageError
from mene.stats import intervals
from mene.stats.intervals import share_ends
from mene.train.plot import page, plot, read_log

KEYS = st.sampled_from(["step", "loss", "dev_accuracy", "dev_rows"]) | st.text(max_size=4)


def step(number, **values):
    line = {"step": number, "loss": 1.5, "dpo": 0.6, "sft": 0.9, "margin": 0.1, "preferred": 0.6}
    return {**line, "tokens_per_second": 380.0, "steps": 40, **values}


def judged(number, accuracy=0.6, rows=60):
    found = {"dev_accuracy": accuracy, "dev_mean_of_sets": 0.5, "dev_ece": 0.2, "dev_log_loss": 0.9}
    return {"step": number, **found, "dev_rows": rows}


def write(folder, *lines, end=""):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "log.jsonl").write_text(text + end)
    return folder


def drawings(text):
    """The drawings of a page, which is well-formed XML from the body on."""
    body = text[text.index("<body>") : text.index("</html>")]
    return ElementTree.fromstring(body).findall(".//figure")


def names(text):
    return [figure.find(".//h4").text.strip() for figure in drawings(text)]


def test_a_run_becomes_a_page_of_six_charts(tmp_path):
    lines = [judged(0), *(step(n) for n in range(5, 41, 5)), judged(20, 0.7), judged(40, 0.75)]
    found = plot(write(tmp_path, *lines))
    text = found.read_text()
    assert found == tmp_path / "run.html"
    assert names(text) == [
        *("Loss", "Margin", "Preferred", "Development accuracy", "Calibration error", "Log loss")
    ]
    assert "40 of 40 steps, 380 tokens a second. 75.0% of 60 development rows" in text
    assert "http:" not in text and "https:" not in text and "<script" not in text
    assert not list(tmp_path.glob("*.part"))


def test_without_dpo_there_is_no_margin(tmp_path):
    lines = [step(n, dpo=0.0, margin=0.0) for n in (5, 10)]
    text = plot(write(tmp_path, *lines)).read_text()
    assert names(text) == ["Loss", "Preferred"]
    assert ">SFT " not in text  # it is the whole loss


def test_the_loss_of_compared_pairs_is_shown_beside_that_of_the_others(tmp_path):
    lines = [
        step(5, dpo=0.0, bradley_terry=0.7),
        step(10, dpo=0.0, bradley_terry=0.5),
        {"step": 15, "loss": 0.5},
    ]
    text = plot(write(tmp_path, *lines)).read_text()
    assert ">SFT 0.90<" in text and ">choice 0.50<" in text and "DPO" not in text


def test_a_run_that_has_only_begun(tmp_path):
    text = plot(write(tmp_path, judged(0))).read_text()
    assert names(text) == ["Development accuracy", "Calibration error", "Log loss"]
    text = plot(write(tmp_path, step(5))).read_text()
    assert "have not been judged yet" in text


@pytest.mark.parametrize(
    "torn", ['{"step": 15, "lo', '{"step": 15, "lo{"step": 20}\n', "[]\n", "7"]
)
def test_torn_lines_are_left_out(tmp_path, torn):
    steps, found = read_log(write(tmp_path, judged(0), step(5), step(10), end=torn) / "log.jsonl")
    assert [line["step"] for line in steps] == [5, 10]
    assert len(found) == 1


def test_steps_that_a_resumed_run_repeats_count_once(tmp_path):
    old = [judged(0), step(5), step(10), judged(10), step(15), step(20), judged(20, 0.1)]
    new = [step(15, loss=7.0), step(20, loss=8.0), judged(20, 0.9)]
    steps, found = read_log(write(tmp_path, *old, *new) / "log.jsonl")
    assert [line["loss"] for line in steps] == [1.5, 1.5, 7.0, 8.0]
    assert [(line["step"], line["dev_accuracy"]) for line in found] == [
        (0, 0.6),
        (10, 0.6),
        (20, 0.9),
    ]


def test_values_that_are_not_numbers_are_left_out(tmp_path):
    lines = [step(5, loss=float("nan")), step(10), step(15, margin=float("inf"))]
    assert "nan" not in plot(write(tmp_path, *lines)).read_text().lower()


def test_names_at_the_ends_do_not_lie_on_each_other(tmp_path):
    text = plot(write(tmp_path, step(5), step(10, loss=1.0, sft=1.0, dpo=1.0))).read_text()
    places = [
        float(t.get("y"))
        for t in drawings(text)[0].findall(".//text")
        if (t.get("class") or "").startswith("start")
    ]
    assert len(places) == 3
    assert all(b - a >= 14 for a, b in zip(sorted(places), sorted(places)[1:], strict=False))


def test_a_name_is_escaped():
    assert "<b>" not in page([step(5)], [], "<b>{css}</b>")


def test_a_difference_within_the_interval_is_called_so():
    near = page([], [judged(0, 0.55), judged(40, 0.60)], "run")
    far = page([], [judged(0, 0.30), judged(40, 0.90)], "run")
    assert "chance may have made" in near and "chance may have made" not in far


def test_the_interval_is_that_of_every_share():
    rows = intervals.mean([1.0] * 7 + [0.0] * 3)
    assert share_ends(0.7, 10) == pytest.approx((rows.low, rows.high))
    assert share_ends(0.0, 10)[0] == 0.0 and share_ends(1.0, 10)[1] == pytest.approx(1.0)
    assert share_ends(0.5, 0) == share_ends(1.0, 2) == (0.0, 1.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.dictionaries(KEYS, JSON) | JSON, max_size=6), st.text(max_size=10))
def test_whatever_stands_in_a_log_it_is_read_by_step(tmp_path, lines, end):
    try:
        found = read_log(write(tmp_path, *lines, step(7), end=end) / "log.jsonl")
    except UsageError as error:
        pytest.fail(f"the good line goes on: {error}")
    for kind in found:
        assert [line["step"] for line in kind] == sorted({line["step"] for line in kind})


def test_no_log_and_an_empty_one(tmp_path):
    with pytest.raises(UsageError, match="give the folder of a run"):
        plot(tmp_path)
    with pytest.raises(UsageError, match="nothing in it yet"):
        plot(write(tmp_path, end='{"step'))
