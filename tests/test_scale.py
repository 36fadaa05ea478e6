"""Scales: short forms, matching a person's label, scores, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene.scale import Scale

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_ ]{0,8}[A-Za-z0-9_]", fullmatch=True)
nominal = st.lists(names, min_size=2, max_size=6, unique_by=str.casefold).map(
    lambda labels: Scale.classes(*labels)
)
likert = st.tuples(st.integers(-50, 50), st.integers(1, 30)).map(
    lambda pair: Scale.likert(pair[0], pair[0] + pair[1])
)
steps = st.lists(st.integers(-40, 40), min_size=2, max_size=6, unique=True).map(
    lambda values: Scale(kind="ordinal", labels=tuple(str(v / 2) for v in sorted(values)))
)
pairwise = st.booleans().map(Scale.pairwise)
scales = st.one_of(nominal, likert, steps, pairwise)


@given(scales)
def test_the_short_form_reads_back(scale: Scale) -> None:
    assert Scale.parse(str(scale)) == scale


@pytest.mark.parametrize(
    ("text", "kind", "labels"),
    [
        ("1-5", "ordinal", ("1", "2", "3", "4", "5")),
        ("0–2", "ordinal", ("0", "1", "2")),
        ("1..3", "ordinal", ("1", "2", "3")),
        ("-1 to 1", "ordinal", ("-1", "0", "1")),
        ("-3--1", "ordinal", ("-3", "-2", "-1")),
        ("0/0.5/1", "ordinal", ("0", "0.5", "1")),
        (" YES/no ", "nominal", ("Yes", "No")),
        ("pass/fail", "nominal", ("pass", "fail")),
        ("good, bad, ugly", "nominal", ("good", "bad", "ugly")),
        ("good|bad", "nominal", ("good", "bad")),
        ("a/b", "pairwise", ("A", "B")),
        ("A/B/Tie", "pairwise", ("A", "B", "tie")),
        ("a/b/c", "nominal", ("a", "b", "c")),
    ],
)
def test_short_forms(text: str, kind: str, labels: tuple[str, ...]) -> None:
    scale = Scale.parse(text)
    assert (scale.kind, scale.labels) == (kind, labels)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot read scale ''"),
        ("good", "write it like 1-5"),
        ("5-1", "the lowest score comes first"),
        ("3-3", "the lowest score comes first"),
        ("0-1000000000", "more than 101 labels"),
        ("good//bad", "a label is empty"),
        ("good/", "a label is empty"),
        ("good/Good", "differ only by case"),
        ("3/1/2", "rising order"),
        ("1/1.0/2", "rising order"),
    ],
)
def test_bad_short_forms_say_why_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        Scale.parse(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=20))
def test_any_text_is_a_scale_or_a_value_error(text: str) -> None:
    try:
        scale = Scale.parse(text)
    except ValueError as error:
        assert "validation error" not in str(error)
    else:
        assert len(scale.labels) >= 2
        str(scale)


@pytest.mark.parametrize(
    ("kind", "labels", "reason"),
    [
        ("nominal", ["only"], "at least two"),
        ("nominal", ["a", " "], "empty"),
        ("nominal", ["x", "X "], "differ only by case"),
        ("nominal", ["x", "y "], "white space"),
        ("nominal", ["x", "y\nz"], "line breaks"),
        ("ordinal", ["1", "two"], "must be numbers"),
        ("ordinal", ["2", "1"], "rising order"),
        ("ordinal", ["1", "1.0"], "rising order"),
        ("pairwise", ["B", "A"], "labels A, B"),
        ("pairwise", ["left", "right"], "labels A, B"),
    ],
)
def test_bad_labels_are_refused(kind: str, labels: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Scale.model_validate({"kind": kind, "labels": labels})


def test_yaml_numbers_and_booleans_become_labels() -> None:
    assert Scale.model_validate({"kind": "ordinal", "labels": [1, 2.5]}).labels == ("1", "2.5")
    assert Scale.model_validate({"kind": "nominal", "labels": [True, False]}) == Scale.binary()


def test_the_text_of_a_wide_scale_is_not_counted_out() -> None:
    assert str(Scale(kind="ordinal", labels=("0", "1000000000000"))) == "0/1000000000000"


@given(scales)
def test_every_label_matches_itself_in_any_case(scale: Scale) -> None:
    for label in scale.labels:
        assert scale.match(label) == label
        assert scale.match(f"  {label.upper()} ") == label


@pytest.mark.parametrize(
    ("scale", "value", "label"),
    [
        ("1-5", 3, "3"),
        ("1-5", 3.0, "3"),
        ("1-5", "3.00", "3"),
        ("1-5", "+3", "3"),
        ("1-5", 3.5, None),
        ("1-5", 6, None),
        ("1-5", True, None),
        ("1-5", "3 out of 5", None),
        ("1-5", float("nan"), None),
        ("yes/no", True, "Yes"),
        ("yes/no", "True", "Yes"),
        ("yes/no", "FALSE", "No"),
        ("yes/no", np.bool_(False), "No"),
        ("no/yes", True, "yes"),
        ("fail/pass", "True", "pass"),
        ("fail/pass", False, "fail"),
        ("off/on", True, "on"),
        ("false/true", True, "true"),
        ("true/false/unknown", False, "false"),
        ("yes/no/maybe", "True", "yes"),
        ("good/bad", "true", "good"),
        ("0-1", True, "1"),
        ("0-1", "False", "0"),
        ("1-5", "True", None),
        ("1-5", np.float64(3), "3"),
        ("1-5", np.int64(3), "3"),
        ("yes/no", False, "No"),
        ("pass/fail", False, "fail"),
        ("yes/no", "yes.", None),
        ("yes/no", "y", None),
        ("yes/no", 1, None),
        ("good/bad/ugly", True, None),
        ("a/b", True, None),
        ("a/b", "b", "B"),
        ("a/b", "tie", None),
        ("a/b/tie", "TIE", "tie"),
        ("none/some", None, None),
        ("none/some", "None", "none"),
    ],
)
def test_match_is_strict(scale: str, value: object, label: str | None) -> None:
    assert Scale.parse(scale).match(value) == label


@given(likert, st.data())
def test_expected_is_the_weighted_mean(scale: Scale, data: st.DataObject) -> None:
    size = len(scale.labels)
    weights = data.draw(st.lists(st.integers(0, 9), min_size=size, max_size=size).filter(any))
    shares = {label: w / sum(weights) for label, w in zip(scale.labels, weights, strict=True)}
    wanted = sum(int(label) * w for label, w in zip(scale.labels, weights, strict=True))
    assert scale.expected(shares) == pytest.approx(wanted / sum(weights))


def test_expected_only_where_a_mean_makes_sense() -> None:
    assert Scale.likert(1, 3).expected({"1": 0.5, "2": 0.0, "3": 0.5}) == 2
    assert Scale.binary().expected({"Yes": 0.9, "No": 0.1}) is None
    assert Scale.pairwise().expected({"A": 0.9, "B": 0.1}) is None


def test_swapped_exchanges_the_seats_and_keeps_the_tie() -> None:
    scale = Scale.pairwise(ties=True)
    shares = {"A": 0.6, "B": 0.3, "tie": 0.1}
    assert scale.swapped(shares) == {"A": 0.3, "B": 0.6, "tie": 0.1}
    assert scale.swapped(scale.swapped(shares)) == shares


def test_values_and_binary() -> None:
    assert Scale.likert(0, 2).values == (0, 1, 2)
    assert Scale.classes("x", "y", "z").values == (0, 1, 2)
    assert Scale.binary().is_binary and Scale.binary("pass", "fail").labels[0] == "pass"
    assert not Scale.pairwise().is_binary and not Scale.likert(0, 1).is_binary


def test_a_scale_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Scale.binary().labels = ("a", "b")  # type: ignore[misc]
