"""Points from a user's own labelled tables."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from mene.curate.own import own_points
from mene.curate.run import curate, needs_sets
from mene.errors import UsageError
from mene.recipe import Own, load_recipe

ROWS = [
    {"id": "a", "context": "Open on Monday.", "response": "It opens on Monday.", "label": "Yes"},
    {"id": "a", "context": "Open on Monday.", "response": "It opens on Friday.", "label": 0},
    {"context": "Closed.", "answer": "It is closed.", "label": "yes"},
    {"context": "Closed.", "response": "Perhaps.", "label": "unsure"},
    {"context": "Closed.", "response": "It opens."},
    {"context": "Closed.", "label": "No"},
]


def table(tmp_path: Path, rows: list[dict], **more: str) -> Own:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Own(rows=str(path), criterion="faithfulness", **more)


def test_labelled_rows_are_points_and_the_others_are_named(tmp_path) -> None:
    told: list[str] = []
    found = list(own_points([table(tmp_path, ROWS)], lambda own, text: told.append(text)))
    assert [point.gold for point in found] == ["Yes", "No", "Yes"]
    assert found[0].id != found[1].id  # although their ids are the same
    assert found[0].group == found[1].group != found[2].group  # by context
    assert {point.source for point in found} == {"mine.jsonl"}
    assert [text.count("line") for text in told] == [1, 1]
    assert "unsure" in told[0] and "response" in told[1]  # the row without a label is not an error


def test_one_text_is_one_group_in_whatever_table(tmp_path) -> None:
    one = table(tmp_path, ROWS[:2])
    groups = [point.group for point in own_points([one, one])]
    assert len(groups) == 4 and len(set(groups)) == 1


def test_other_names_of_labels_and_columns(tmp_path) -> None:
    rows = [
        {"context": "Closed.", "said": "It is closed.", "label": "good"},
        {"context": "Closed.", "said": "It opens.", "label": "bad"},
    ]
    own = table(tmp_path, rows, labels="good=Yes,bad=No").model_copy(
        update={"map": {"response": "said"}}
    )
    assert [point.gold for point in own_points([own])] == ["Yes", "No"]
    with pytest.raises(UsageError, match="not on the scale"):
        list(own_points([table(tmp_path, rows, labels="good=Perfect")]))


def test_a_table_without_labels_or_of_no_file_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match="no row has"):
        list(own_points([table(tmp_path, ROWS[4:5])]))
    with pytest.raises(UsageError, match="nowhere"):
        list(own_points([Own(rows=str(tmp_path / "nowhere.jsonl"), criterion="tone")]))


def many(count: int) -> list[dict]:
    return [
        {"context": f"Number {n}.", "response": f"{n + n % 2}", "label": "No" if n % 2 else "Yes"}
        for n in range(count)
    ]


def recipe_of(tmp_path: Path, own: Own, more: str = ""):
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"""base: smollm2-135m
adapter: {{}}
data:
  own:
    - {{rows: {own.rows}, criterion: faithfulness}}
  development: 0.3
{more}"""
    )
    return load_recipe(str(path))


def test_a_recipe_of_own_rows_needs_no_sets(tmp_path) -> None:
    recipe = recipe_of(tmp_path, table(tmp_path, many(40)))
    assert not needs_sets(recipe)
    made = curate(recipe, None, None, tmp_path / "data", events=lambda event: None)
    counts = made.counts["mine.jsonl"]
    assert counts.read == 40 and sum(counts.kept.values()) == 40 and counts.kept["dev"] > 3
    lines = (tmp_path / "data" / "train.jsonl").read_text().splitlines()
    assert len(lines) == counts.kept["train"]
    assert {json.loads(line)["source"] for line in lines} == {"mine.jsonl"}
    again = curate(recipe, None, None, tmp_path / "again", events=lambda event: None)
    assert again.pairs == made.pairs
    assert (tmp_path / "again/train.jsonl").read_text().splitlines() == lines


def test_own_rows_beside_others_keep_benchmarks_out(tmp_path) -> None:
    text = "The harbour of Odrin was closed in the winter of 1911 because of ice, and opened again in the first week of April."
    rows = [*many(40), {"context": text, "response": "It was closed.", "label": "Yes"}]
    recipe = recipe_of(tmp_path, table(tmp_path, rows), "  make: {arithmetic: 10}\n")
    bench = tmp_path / "bench"
    bench.mkdir()
    row = {"id": "1", "context": text, "response": "x", "label": "Yes"}
    (bench / "some.jsonl.gz").write_bytes(gzip.compress(f"{json.dumps(row)}\n".encode()))
    made = curate(recipe, None, bench, tmp_path / "data", events=lambda event: None)
    assert made.counts["mine.jsonl"].in_bench == 1
    assert made.counts["arithmetic"].read == 10


def test_the_command_says_that_nothing_was_compared_with_benchmarks(
    here, tmp_path, monkeypatch
) -> None:
    monkeypatch.delenv("MENE_DATA", raising=False)
    recipe_of(tmp_path, table(tmp_path, [*many(40), {"response": "x", "label": "Yes"}]))
    monkeypatch.chdir(tmp_path)
    done = here("curate", "mine.yaml")
    assert done.returncode == 1  # of the row without a context
    assert (
        "not compared with the benchmarks" in done.stderr and "mine.jsonl, line 41" in done.stderr
    )
    assert "40 points" in done.stdout


def test_rows_that_differ_in_what_is_not_shown_are_one_text(tmp_path) -> None:
    """With a context that the criterion does not show, equal prompts were divided between learning and measuring."""
    rows = [
        {"response": "Thanks!", "context": f"Page {n}.", "label": str(1 + n % 5)} for n in range(6)
    ]
    own = table(tmp_path, rows).model_copy(update={"criterion": "tone"})
    assert len({point.group for point in own_points([own])}) == 1
