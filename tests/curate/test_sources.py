"""Raw sets: every row gives its points or a line that says why not."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.curate.raw.rows import read_row, read_source
from mene.curate.raw.sources import all_sources, find_source
from mene.errors import SampleError, UsageError


def folder_of(tmp_path: Path, name: str, rows: Sequence[object]) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    return tmp_path


CLAIM = {"id": "1", "context": "Rome is in Italy.", "response": "Rome is in Italy."}


def test_one_label_answers_several_questions(tmp_path) -> None:
    source = find_source("anli_dev")
    rows = [{**CLAIM, "label": "neutral", "critique": " It is open. "}]
    whole, yes_no = read_source(folder_of(tmp_path, "anli_dev", rows), source, print)
    assert (whole.label, yes_no.label) == ("Neutral", "No")
    assert whole.criterion.scale.labels == ("Entailed", "Contradicted", "Neutral")
    assert whole.critique == "It is open."
    assert whole.id == yes_no.id == "anli_dev/1"
    # The question of its own says which task it is; that of a view is one wording of many.
    assert (whole.own_question, yes_no.own_question) == (whole.criterion.question, "")
    assert whole.task == "anli_dev Entailed/Contradicted/Neutral"
    assert whole.name == f"anli_dev/1 {whole.task}"
    assert whole.group == yes_no.group


def test_what_responses_of_a_pair_are_depends_on_the_row(tmp_path) -> None:
    row = {"instruction": "How?", "response_a": "So.", "response_b": "I cannot say.", "label": "A"}
    kinds = ("safety-refuse", "safety-response", "chat", None)
    rows = [{**row, "id": str(n), "source": kind} for n, kind in enumerate(kinds)]
    source = find_source("rm_bench")
    found = list(read_source(folder_of(tmp_path, "rm_bench", rows), source, print))
    assert [(p.each.better, p.each.worse) if p.each else None for p in found] == [
        ("Yes", "No"),
        ("No", "Yes"),
        None,
        None,
    ]


def test_wordings_vary_by_row_and_not_by_run(tmp_path) -> None:
    rows = [{**CLAIM, "id": str(n), "label": "yes"} for n in range(60)]
    folder = folder_of(tmp_path, "q2_wow_consistency", rows)
    source = find_source("q2_wow_consistency")
    first = [p.criterion.question for p in read_source(folder, source, print)]
    assert first == [p.criterion.question for p in read_source(folder, source, print)]
    assert first != [p.criterion.question for p in read_source(folder, source, print, seed=1)]
    assert len(set(first)) == 6


def test_scores_go_to_the_nearest_label_and_keep_their_value(tmp_path) -> None:
    row = {**CLAIM, "rubric": "Is it clear?"}
    rows = [
        {**row, "id": "a", "label": "3.6667", "scale": [1, 5]},
        {**row, "id": "b", "label": "0.4", "scale": [0, 1]},
        {**row, "id": "c", "label": "7", "scale": [1, 5]},
        {**row, "id": "d", "label": "3", "scale": "high"},
    ]
    said: list[str] = []
    folder = folder_of(tmp_path, "xsum_human_scores", rows)
    a, b = read_source(folder, find_source("xsum_human_scores"), said.append)
    assert (a.label, a.value, b.label, b.value) == ("4", 3.6667, "0", 0.4)
    assert a.criterion.question == "Is it clear?"
    assert 'line 3: label "7" is not on the scale 1-5; left out' in said[0]
    assert "line 4: field \"scale\" is 'high', not [lowest, highest]" in said[1]


def test_bad_rows_are_named_and_the_good_ones_go_on(tmp_path) -> None:
    good = {**CLAIM, "label": "yes"}
    rows = [
        good,
        "{torn",
        "[1]",
        {**good, "response": " "},
        {**good, "label": "perhaps"},
        {**good, "label": None},
        {**good, "context": {"a": 1}},
        {**good, "id": None},
        {**good, "id": " "},
        good,
    ]
    said: list[str] = []
    folder = folder_of(tmp_path, "q2_wow_consistency", rows)
    found = list(read_source(folder, find_source("q2_wow_consistency"), said.append))
    assert len(found) == 2
    for line, reason in (
        (2, "not JSON"),
        (3, "not an object"),
        (4, 'field "response" is missing or empty'),
        (5, 'label "perhaps" is not one of this set'),
        (6, 'field "label" is missing'),
        (7, 'field "context" is an object'),
        (8, 'field "id" is missing'),
        (9, 'field "id" is missing'),
    ):
        assert any(f"line {line}: {reason}" in text for text in said), (line, said)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
FIELDS = ("id", "instruction", "response", "response_a", "response_b", "context", "label", "scale")


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["anli_dev", "xsum_human_scores", "rm_bench", "hanna"]),
    st.dictionaries(st.sampled_from([*FIELDS, "rubric", "critique", "source"]), ANY),
)
def test_whatever_stands_in_a_row_it_gives_points_or_one_reason(name: str, fields: dict) -> None:
    source = find_source(name)
    row = {**CLAIM, "rubric": "Is it?", "scale": [1, 5], "label": 3, **fields}
    try:
        found = read_row(source, json.dumps(row))
    except SampleError as error:
        assert str(error)
        return
    for point in found:
        assert point.label in point.criterion.scale.labels


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[" * 100_000, "not JSON"),
        (f'{{"id": {"9" * 5000}}}', "not JSON"),
        (json.dumps({**CLAIM, "rubric": "?", "label": 3, "scale": [1, 10**9]}), "scale"),
        (json.dumps({**CLAIM, "rubric": "?", "label": 1, "scale": [False, True]}), "scale"),
    ],
    ids=["deep", "digits", "endless", "truth"],
)
def test_a_row_that_is_made_to_break_the_reader_is_left_out(line: str, reason: str) -> None:
    with pytest.raises(SampleError, match=reason):
        read_row(find_source("xsum_human_scores"), line)


def test_a_set_without_a_good_row_is_refused(tmp_path) -> None:
    source = find_source("anli_dev")
    with pytest.raises(UsageError, match="give the folder of raw sets with --data"):
        list(read_source(tmp_path, source, print))
    with pytest.raises(UsageError, match="no usable row"):
        list(read_source(folder_of(tmp_path, "anli_dev", ["{}"]), source, lambda text: None))
    (tmp_path / "anli_dev.jsonl.gz").write_bytes(b"\x1f\x8b torn")
    with pytest.raises(UsageError, match="damaged"):
        list(read_source(tmp_path, source, print))
    with pytest.raises(UsageError, match='did you mean "anli_dev"'):
        find_source("anli_dve")


def test_every_label_of_the_real_sets_is_known(bench_data) -> None:
    folder = bench_data.parent / "train"
    if not folder.is_dir():
        pytest.skip("no training data")
    for name in ("begin_dev", "haluquestqa", "hanna", "tldr_human", "wice_train"):
        said: list[str] = []
        points = list(read_source(folder, find_source(name), said.append))
        assert not said
        labels = Counter((p.criterion.name, p.label) for p in points)
        assert min(labels.values()) > 0
        for point in points[:50]:
            point.criterion.check(point.sample)
            assert point.label in point.criterion.scale.labels
    assert len(all_sources()) == 37
