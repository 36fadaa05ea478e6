"""Two runs on the same rows: which rows belong together, what changed, and the page about it."""

from __future__ import annotations

import re
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mene.errors import UsageError
from mene.gate.compare import compare
from mene.gate.match import match, unmatched
from mene.gate.page import lead, page_of
from mene.gate.sections import Said, sections_of
from mene.sample import Sample
from mene.stats import intervals

EVIL = "<script>alert(1)</script>\"'></div>{{ 7*7 }}"


def both(a, b, **more):
    return compare(sections_of(a), sections_of(b), names=("old", "new"), **more)


def row(name: str, place: int = 0, content: str = "", label: str | None = "Yes") -> Said:
    return Said(name, place, content, label, None, None, label is None, False, False, "", ())


def ids(found) -> list[tuple[str, str]]:
    return [(a.id, b.id) for a, b in found.pairs]


def test_rows_are_matched_by_id_whatever_their_text() -> None:
    a, b = (
        [row("x", 1, "t1"), row("y", 2, "t2")],
        [row("y", 1, "u2"), row("x", 2, "u1"), row("z", 3)],
    )
    found = match(a, b)
    assert ids(found) == [("x", "x"), ("y", "y")] and found.by == "id"
    assert (found.only_a, found.only_b, found.repeated) == ([], ["z"], [])
    assert unmatched(found, "old", "new") == ["1 row of new not in old, and left out: z"]


def test_ids_that_repeat_are_told_apart_by_text_then_by_place_or_said() -> None:
    a = [row("x", 1, "t1"), row("x", 2, "t2"), row("y", 3, "t3"), row("y", 4, "t4")]
    b = [row("x", 7, "t2"), row("x", 8, "t1"), row("y", 3, "u3"), row("y", 9, "u4")]
    found = match(a, b)
    assert [(x.row, y.row) for x, y in found.pairs] == [(2, 7), (1, 8), (3, 3)] or [
        (x.row, y.row) for x, y in found.pairs
    ] == [(1, 8), (2, 7), (3, 3)]
    assert found.repeated == ["y"]
    assert "cannot be told apart" in unmatched(found, "old", "new")[0]


def test_no_id_in_common_is_matched_by_text() -> None:
    a, b = [row("1", 1, "t1"), row("2", 2, "t2")], [row("r7", 1, "t2"), row("r9", 2, "t1")]
    assert match(a, b).by == "content" and ids(match(a, b)) == [("1", "r9"), ("2", "r7")]
    assert ids(match(a, b, "row")) == [("1", "r7"), ("2", "r9")]
    asked = {"1": "hi", "2": "ho", "r7": "hi", "r9": None}
    assert ids(match(a, b, "instruction", lambda _, r: asked[r.id])) == [("1", "r7")]
    with pytest.raises(UsageError, match="no row of one run is in the other .*--match content"):
        match(a, [row("q", 1, "other")])


_ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.sampled_from(["", "t", "u"])),
    max_size=8,
)


@settings(max_examples=25)
@given(_ROWS, _ROWS)
def test_no_row_is_matched_twice_or_to_another_id(a, b) -> None:
    left, right = ([row(*one) for one in rows] for rows in (a, b))
    try:
        found = match(left, right, "id")
    except UsageError:
        assert not {r.id for r in left} & {r.id for r in right} or left
        return
    assert all(x.id == y.id for x, y in found.pairs)
    assert (
        len({id(x) for x, _ in found.pairs})
        == len(found.pairs)
        == len({id(y) for _, y in found.pairs})
    )
    assert len(found.pairs) + len(found.only_a) <= len(left)


def test_labels(verdicts) -> None:
    a = verdicts(*["Yes"] * 60, *["No"] * 40)
    b = verdicts(*["No"] * 20, *["Yes"] * 45, *["No"] * 35)
    one = both(a, b).criteria[0]
    assert (one.figure, one.a.value, one.b.value) == ("share(Yes)", 0.6, 0.45)
    assert (one.wins, one.losses, one.ties) == (5, 20, 75)
    change = np.array([-1] * 20 + [0] * 40 + [1] * 5 + [0] * 35)
    assert one.difference == intervals.mean(change, low=-1, high=1)
    assert one.p == pytest.approx(stats.binomtest(5, 25).pvalue) and one.test == "McNemar"
    assert one.flips == {("Yes", "Yes"): 40, ("No", "No"): 35, ("Yes", "No"): 20, ("No", "Yes"): 5}
    assert one.shares == {"Yes": (60, 45), "No": (40, 55)}
    assert [r.size for r in one.rows] == pytest.approx([-0.8] * 20 + [0.8] * 5)
    assert lead(one, ("old", "new")).startswith("new is worse than old: share(Yes) −15.0 points [")


def test_what_only_an_engine_rounds_is_no_change(verdicts) -> None:
    a, b = verdicts("Yes", "No", p=0.9), verdicts("Yes", "No", p=0.901)
    assert not compare(sections_of(a), sections_of(b)).criteria[0].rows
    flipped = verdicts("Yes", "Yes", p=0.501)
    a = verdicts("Yes", "No", p=0.501)
    assert [r.b.label for r in compare(sections_of(a), sections_of(flipped)).criteria[0].rows] == [
        "Yes"
    ]


def test_scores(verdicts) -> None:
    a = verdicts(*["3", "4", "5", "2"] * 10, criterion="helpfulness")
    b = verdicts(*["4", "4", "5", "1"] * 10, criterion="helpfulness")
    one = both(a, b).criteria[0]
    assert (one.figure, one.a.value, one.b.value, one.difference.value) == ("mean", 3.5, 3.5, 0.0)
    assert (one.wins, one.losses, one.ties, one.test) == (10, 10, 20, "sign flips") and one.p > 0.5
    assert [r.size for r in one.rows] == [-1.0] * 10 + [1.0] * 10
    assert lead(one, ("old", "new")).startswith("No difference is shown")


def test_pairs(verdicts) -> None:
    a = verdicts(*["A"] * 30, *["tie"] * 10, *["B"] * 10, criterion="better")
    b = verdicts(*["B"] * 20, *["A"] * 10, *["tie"] * 20, criterion="better")
    one = both(a, b).criteria[0]
    assert (one.figure, one.a.value, one.b.value, one.directed) == ("won by A", 0.7, 0.4, False)
    assert abs(one.rows[0].size) == 1.0


def test_labels_of_which_none_is_good(verdicts) -> None:
    a = verdicts(*["red"] * 30, *["blue"] * 30, *["green"] * 5, criterion="colour")
    b = verdicts(*["blue"] * 25, *["red"] * 5, *["blue"] * 30, *["green"] * 5, criterion="colour")
    one = both(a, b).criteria[0]
    assert (one.figure, one.difference.value, one.test) == ("", None, "Stuart-Maxwell")
    assert one.p == pytest.approx(stats.chi2.sf(25, 1)) and len(one.rows) == 25
    assert "25 of 65 rows have another label; the shares of the labels differ" in lead(
        one, ("old", "new")
    )


def test_what_has_no_label_is_left_out_and_said(verdicts) -> None:
    a, b = verdicts(*["Yes"] * 10, None, "abstain"), verdicts(None, *["Yes"] * 9, "No", "Yes")
    one = both(a, b).criteria[0]
    assert (one.a.n, one.unlabelled, one.failed) == (9, 3, 2)


def test_holm_over_criteria(verdicts) -> None:
    a = [v for c in ("tone", "faithfulness") for v in verdicts(*["Yes"] * 50, criterion=c)]
    b = [
        *verdicts(*["No"] * 8, *["Yes"] * 42, criterion="tone"),
        *verdicts(*["No"] * 6, *["Yes"] * 44, criterion="faithfulness"),
    ]
    found = both(a, b).criteria
    assert [one.p for one in found] == pytest.approx([2 * 0.5**8, 2 * 0.5**6])
    assert [one.p_holm for one in found] == pytest.approx([4 * 0.5**8, 2 * 0.5**6])
    assert [one.criterion for one in both(a, b, criteria=["tone"]).criteria] == ["tone"]


def test_what_cannot_be_compared_is_said(verdicts) -> None:
    a = [*verdicts("Yes", "No"), *verdicts("Yes", criterion="tone")]
    b = [*verdicts("Yes", "No"), *verdicts("No", criterion="style")]
    assert both(a, b).said == (
        "tone: not compared: new has no verdict on it",
        "style: not compared: old has no verdict on it",
    )
    with pytest.raises(UsageError, match="no criterion in common: tone; style"):
        both(a[2:], b[2:])
    with pytest.raises(UsageError, match='no verdict on "ton"; did you mean "tone"'):
        both(a, b, criteria=["ton"])
    two = [*verdicts("Yes", judge="x"), *verdicts("Yes", judge="y")]
    with pytest.raises(UsageError, match="--judge-a"):
        both(two, verdicts("Yes", judge="z"))
    assert [one.judges for one in both(two, two).criteria] == [("x", "x"), ("y", "y")]
    other = [
        v.model_copy(update={"probabilities": {"1": 0.2, "2": 0.8}, "label": "2"})
        for v in verdicts("3", criterion="new")
    ]
    assert "has the scale" in both(verdicts("3", criterion="new"), other).said[0]


def test_two_judges_of_the_same_texts(verdicts) -> None:
    one = both(verdicts("Yes", "No", judge="x"), verdicts("Yes", "Yes", judge="y")).criteria[0]
    assert one.judges == ("x", "y") and one.wins == 1


def test_the_page_is_safe_and_shows_regressions_first(verdicts) -> None:
    a = verdicts(*["Yes"] * 30, *["No"] * 3, criterion=EVIL, judge=EVIL, critique=EVIL)
    b = verdicts(*["No"] * 9, *["Yes"] * 24, criterion=EVIL, judge=EVIL, critique="b" + EVIL)
    found = both(a, b)
    texts = {
        (run, EVIL, EVIL, 1, "r0"): Sample(response=f"{run} {EVIL}", instruction=EVIL)
        for run in (0, 1)
    }
    page = page_of(found, (EVIL, "new"), texts, when=datetime(2026, 1, 5))
    assert "<script" not in page and "49" not in re.findall(r"\{\{ 7\*7 \}\}|49", page)
    assert "default-src 'none'" in page and "http" not in re.sub(r"http-equiv", "", page)
    assert page.index("Regressions") < page.index("Improvements")
    assert (
        page.count('<details class="row">') == 12
        and "A: Response" in page
        and "B: Response" in page
    )
    assert page.count("<div") == page.count("</div>") and page.count("<section") == page.count(
        "</section>"
    )


def test_a_page_of_few_rows(verdicts) -> None:
    page = page_of(both(verdicts("Yes", None), verdicts("No", "Yes")), ("old", "new"))
    assert "too few for an interval" in page
    assert "No row has a label in both runs" in page_of(
        both(verdicts(None), verdicts("Yes")), ("old", "new")
    )


def test_rows_without_ids_at_other_places_are_noticed() -> None:
    a = [row(str(n), n, f"t{n}") for n in range(1, 25)]
    shifted = [row(str(n), n, f"t{n + 1}") for n in range(1, 24)]
    with pytest.raises(UsageError, match="22 of 23 texts are at another place"):
        match(a, shifted)
    assert len(match(a, shifted, "content").pairs) == 23
    new = [row(str(n), n, f"u{n}") for n in range(1, 25)]
    assert unmatched(match(a, new), "old", "new") == [
        "the rows have no ids and were matched by their place in the table"
    ]
    few = [*new[:20], *(row(str(n), n, f"t{n - 1}") for n in range(21, 25))]
    assert "but 4 of 24 texts of old" in unmatched(match(a, few), "old", "new")[0]


def test_a_comparison_is_the_same_from_either_side(verdicts) -> None:
    one = [v.model_copy(update={"content": "one text"}) for v in verdicts(*["Yes"] * 40)]
    many = verdicts(*["No"] * 10, *["Yes"] * 30)
    for a, b in ((one, many), (many, one)):
        [found] = both(a, b).criteria
        assert found.difference.low is None  # all rows share a text, in one of the runs


def test_labels_that_a_threshold_changed_are_listed(verdicts) -> None:
    a = verdicts(*["Yes"] * 30)
    b = [v.model_copy(update={"label": "No"}) if n < 4 else v for n, v in enumerate(a)]
    [found] = both(a, b).criteria
    assert found.losses == 4
    assert [one.a.id for one in found.rows if one.way < 0] == ["r0", "r1", "r2", "r3"]
    assert "Regressions" in page_of(both(a, b), ("old", "new"))


def test_a_text_that_repeats_changes_its_label_once(verdicts) -> None:
    def run(label: str):
        facts = {"criterion": "colour", "scale": "red/green/blue"}
        copies = [
            v.model_copy(update={"content": "one text"}) for v in verdicts(*[label] * 30, **facts)
        ]
        return [*copies, *verdicts(*["blue"] * 60, **facts)[30:]]

    [found] = both(run("red"), run("green")).criteria
    assert found.test == "Stuart-Maxwell" and found.p > 0.1
