"""Samples to draw."""

from __future__ import annotations

import json

import pytest

from mene.arena.samples import Samples, bundled, of_file
from mene.criterion import load_criterion
from mene.errors import UsageError
from mene.serve.wanted import criterion_of


def test_every_bundled_sample_can_be_judged_and_says_whose_it_is() -> None:
    rows = bundled()
    assert len(Samples(rows).rows) == len(rows) > 70
    for row in rows:
        criterion = criterion_of(row.criterion, None, "criterion")
        criterion.check(row.sample)
        assert row.label in criterion.scale.labels, row.id
        assert row.source and row.licence and row.credit and "NC" not in row.licence


def test_a_draw_hides_the_label_and_is_another_one() -> None:
    samples = Samples(bundled())
    first = samples.draw("faithfulness")
    assert first is not None and "label" not in json.dumps(first.shown()["sample"])
    assert set(first.shown()) == {"id", "sample", "criterion", "source", "licence", "credit"}
    assert all(samples.draw("", first.id) is not first for _ in range(50))
    assert samples.draw("no-such-criterion") is None


def test_a_drawn_sample_is_known_again_unless_it_was_changed() -> None:
    samples = Samples(bundled())
    row = samples.rows[0]
    assert samples.find(row.id, row.sample) is row
    assert samples.find(row.id, row.sample.model_copy(update={"response": "other"})) is None
    assert samples.of_source(row.named, row.sample) is row
    assert samples.of_source("typed", row.sample) is None


def test_rows_of_a_file(tmp_path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [
        {"answer": "Yes, gladly.", "label": "yes"},
        {"question": "no answer"},
        {"answer": "No."},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    found, wrong = of_file(str(path), load_criterion("tone"), "CC0")
    assert [row.label for row in found] == [load_criterion("tone").scale.match("yes"), None]
    assert found[0].named == "rows.jsonl, row 1 (CC0)" and found[1].id == "rows.jsonl:3"
    assert found[0].criterion == "tone" and len(wrong) == 1 and "line 2" in wrong[0]
    own = load_criterion("Is it polite?", "good/fair/bad")
    again = criterion_of(of_file(str(path), own)[0][0].criterion, None, "criterion")
    assert again.question == own.question and again.scale.labels == own.scale.labels


def test_a_file_without_a_row_to_judge_is_refused(tmp_path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"answer": "x"}')
    with pytest.raises(UsageError, match="no row can be judged by preference"):
        of_file(str(path), load_criterion("preference"))
