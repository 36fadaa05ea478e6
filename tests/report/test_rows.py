"""The table of all rows: worst first, compact, and text only."""

from __future__ import annotations

import json
import re

import pytest

from mene.report import page_of, summarise
from mene.report.rows import LONGEST, Rows, as_json
from mene.sample import Sample
from mene.verdict import Verdict

EVIL = (
    "</script><script>document.title = 'owned'</script><img src=x onerror=document.title='owned'>"
)


def verdict(
    row: int, label: str | None, criterion: str = "polite", p: float = 0.9, **more
) -> Verdict:
    error = None if label else "too long"
    odds = {"Yes": p, "No": 1 - p} if label == "Yes" else {"Yes": 1 - p, "No": p}
    if label not in ("Yes", "No"):
        odds = None
    return Verdict(
        id=f"r{row}", row=row, criterion=criterion, judge="nano", label=label, error=error,
        probabilities=odds, confidence=p if odds else None, question="Is it?", **more,
    )  # fmt: skip


def gathered(verdicts, texts=None, golds=None, most=10**6):
    rows, texts, golds = Rows(most), texts or {}, golds or {}

    def row_of(v):
        rows.add(v, None, golds.get(v.id), texts.get(v.id))
        return v.id

    return rows, summarise(verdicts, golds, texts, row_of)


def data_of(verdicts, texts=None, golds=None, most=10**6):
    rows, sections = gathered(verdicts, texts, golds, most)
    return rows.data(sections)


def test_errors_and_surest_failures_come_first():
    given = [
        verdict(1, "Yes", p=0.9), verdict(2, "No", p=0.6), verdict(3, None), verdict(4, "No", p=0.95),
        verdict(5, "Yes", p=0.6),
    ]  # fmt: skip
    assert [row[0] for row in data_of(given)["rows"]] == ["r3", "r4", "r2", "r5", "r1"]


def test_lowest_scores_come_first():
    given = [
        Verdict(id=str(n), row=n, criterion="good", judge="j", label=str(n), score=float(n),
                question="How good?", probabilities={str(k): float(k == n) for k in range(1, 6)})
        for n in (4, 1, 5, 2)
    ]  # fmt: skip
    data = data_of(given)
    assert [row[0] for row in data["rows"]] == ["1", "2", "4", "5"]
    assert data["sections"][0][4] == ["1", "2"]


def test_criteria_of_a_row_stand_side_by_side():
    given = [v for n in (1, 2) for v in (verdict(n, "Yes"), verdict(n, "No", "short"))]
    rows = data_of(given)["rows"]
    assert [sorted(row[2]) for row in rows] == [[0, 1], [0, 1]]


def test_rows_without_a_place_and_with_one_id_stay_apart():
    given = [verdict(1, label).model_copy(update={"row": None}) for label in ("Yes", "No")]
    assert len(data_of(given)["rows"]) == 2


def test_a_shared_text_stands_once_and_what_does_not_fit_is_counted():
    texts = {
        f"r{n}": Sample(id=f"r{n}", context="c" * 60, response="r" * 30 + str(n)) for n in (1, 2, 3)
    }
    given = [verdict(1, "Yes"), verdict(2, "No"), verdict(3, "Yes")]
    whole = data_of(given, texts)
    assert whole["without"] == 0 and whole["texts"].count("c" * 60) == 1
    short = data_of(given, texts, most=100)
    assert short["without"] == 2
    first = short["rows"][0]
    assert (first[0], first[3]) == ("r2", 0)  # the worst keeps its texts


def test_spans_count_as_a_browser_does_and_end_with_the_text():
    part = verdict(1, "No").say(span=(2, 5))
    late = verdict(1, "No").say(span=(LONGEST + 1, LONGEST + 9))
    texts = {"r1": Sample(id="r1", response="😀 bad" + "x" * LONGEST * 2)}
    [row] = data_of([verdict(1, "No", parts=[part, late])], texts)["rows"]
    assert row[2][0][6][0][:3] == [3, 6, "No"]
    assert row[2][0][6][1][0] == row[2][0][6][1][1]  # behind the cut: not marked


def test_gold_labels_are_those_of_the_figures():
    """A 1 that stands for Yes is no disagreement, and one off the scale is not scored."""
    given = [verdict(1, "Yes"), verdict(2, "No"), verdict(3, "No")]
    rows = data_of(given, golds={"r1": "1", "r2": "yes", "r3": "maybe"})["rows"]
    assert {row[0]: row[2][0][5] for row in rows} == {"r1": "Yes", "r2": "Yes", "r3": None}


def test_a_path_in_a_ledger_is_never_read(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("no: criterion")
    v = verdict(1, "No", str(path)).model_copy(update={"question": ""})
    assert data_of([v])["sections"][0][4] == ["No"]


def test_no_text_can_end_the_data():
    rows, sections = gathered(
        [verdict(1, "No", critique=EVIL)], {"r1": Sample(id="r1", response=EVIL)}
    )
    text = as_json(rows.data(sections))
    assert "<" not in text
    assert json.loads(text)["rows"][0][2]["0"][3] == EVIL
    page = page_of(sections, rows=rows)
    assert re.findall(r"<script[^>]*>", page) == [
        "<script>", '<script type="application/json" id="rows-data">',
    ]  # fmt: skip


@pytest.fixture
def tab(chromium):
    tab = chromium.new_page()
    tab.set_default_timeout(20_000)
    yield tab
    tab.close()


def test_the_table_in_a_browser(tab, tmp_path):
    said = []
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("console", lambda told: said.append(told.text) if told.type == "error" else None)
    part = verdict(2, "No", critique="It is not.").say(span=(2, 5))
    given = [
        v for n in range(1, 301)
        for v in (
            verdict(n, "No" if n == 2 else "Yes", parts=[part] if n == 2 else [], critique=EVIL if n == 2 else "Fine."),
            verdict(n, None if n == 7 else "Yes", "short", p=0.65 if n == 9 else 0.9),
        )
    ]  # fmt: skip
    texts = {
        f"r{n}": Sample(id=f"r{n}", response=f"😀 bad {EVIL if n == 2 else n}")
        for n in range(1, 301)
    }
    rows, sections = gathered(given, texts)
    path = tmp_path / "page.html"
    path.write_text(page_of(sections, "Rows", rows=rows), "utf-8")
    tab.goto(path.as_uri())

    def shown():
        return tab.locator(".grid .open-row").all_inner_texts()

    assert shown()[:2] == ["r7", "r2"] and len(shown()) == 60
    tab.locator("#rows .end").scroll_into_view_if_needed()
    tab.locator(".grid .open-row").nth(119).wait_for()
    tab.select_option("#rows .state", "error")
    assert shown() == ["r7"]
    tab.select_option("#rows .which", label="polite")
    assert shown() == []
    tab.select_option("#rows .state", "bad")
    assert shown() == ["r2"]
    tab.click(".grid .open-row")
    assert tab.inner_text(".grid .opened mark") == "bad"
    assert EVIL in tab.inner_text(".grid .opened")
    tab.select_option("#rows .state", "")
    tab.select_option("#rows .which", label="short")
    tab.select_option("#rows .sure", "0.8")
    assert shown() == ["r9"]
    tab.select_option("#rows .sure", "1")
    tab.fill("#rows .search", "bad 123")
    tab.locator("#rows .count", has_text="1 of 300").wait_for()  # no script may be evaluated here
    assert shown() == ["r123"]
    tab.fill("#rows .search", "")
    tab.select_option("#rows .label", "No")
    assert tab.inner_text("#rows .count") == "0 of 300 rows"
    assert tab.title() == "Rows" and said == []


def test_labels_that_fail_are_those_that_the_verdicts_tell():
    told = {"scale": "Yes/No", "failing": ["Yes"]}  # "Is it rude?"
    given = [verdict(1, "No", p=0.9, **told), verdict(2, "Yes", p=0.9, **told)]
    data = data_of(given)
    assert [row[0] for row in data["rows"]] == ["r2", "r1"] and data["sections"][0][4] == ["Yes"]
    data = data_of([v.model_copy(update={"scale": "", "failing": []}) for v in given])
    assert [row[0] for row in data["rows"]] == ["r1", "r2"]  # of an earlier version: guessed
