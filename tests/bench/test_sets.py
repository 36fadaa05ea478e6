"""A benchmark is one file: what may stand in it, and what is said where it is wrong."""

from __future__ import annotations

import pytest

from mene.bench.leaderboard.published import Named, by_judge, named, published
from mene.bench.sets import SETS, BenchSet, all_sets, parse_set, suite_names
from mene.errors import UsageError
from mene.library.load import names

FILE = """\
title: A new one
kind: classification
suites: [extended]
criterion:
  question: Is it right?
  scale: yes/no
gold: {1: Yes, 0: No}
metric: accuracy
combine: pooled
gold_by: people
home: github:a/b@c file.json
source: A. Body 2026; accuracy
"""


def read(text: str) -> BenchSet:
    return parse_set(text, "new.yaml", "new")


def test_every_file_is_a_benchmark_and_they_stand_in_order() -> None:
    assert sorted(all_sets()) == names(SETS)
    assert suite_names() == ["selene11", "domain", "extended"]
    places = [one.place for one in all_sets().values()]
    assert None not in places
    assert len(set(places)) == len(places)
    assert [one.kind for one in all_sets().values() if "selene11" in one.suites] == sorted(
        one.kind for one in all_sets().values() if "selene11" in one.suites
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("metric: accuracy", "metrik: accuracy", 'line 8: unknown key "metrik"; did you mean "metric"?'),
        ("metric: accuracy", "metric: acuracy", "line 8: metric: .*not 'acuracy'.*did you mean"),
        ("title: A new one\n", "", "title: missing; add it"),
        ("0: No}", "0: Nein}", 'line 7: gold: "Nein" is not on the scale'),
        ("combine: pooled", "combine: sections", "line 9: combine: .*the key sections go together"),
        ("  question: Is it right?\n  scale: yes/no", "  scale: yes/no", "criterion"),
        ("criterion:\n  question: Is it right?\n  scale: yes/no", "criterion: fathfulness", "line 4: criterion: no criterion"),
        ("gold_by: people", "gold_by: people\npublished: {GPT-4o-mini: 70}", "published.GPT-4o-mini.figure"),
        ("gold_by: people", "gold_by: people\npublic: {files: []}", "public.files"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_named(old: str, new: str, said: str) -> None:
    assert read(FILE).gold == {"1": "Yes", "0": "No"}
    assert old in FILE
    with pytest.raises(UsageError, match=f"new.yaml.*{said}"):
        read(FILE.replace(old, new))


def with_published(judge: str, figure: str) -> list[BenchSet]:
    return [read(f"{FILE}published:\n  {judge}: {figure}\n")]


def test_a_file_brings_figures_of_judges_that_no_other_has() -> None:
    found = by_judge(named(), with_published("New 9B", "{figure: .7, source: A. Body 2026}"))
    assert list(found)[:-1] == list(named().judges)
    assert (found["New 9B"].figures, found["New 9B"].elsewhere) == (
        {"new": 0.7}, {"new": "A. Body 2026"},
    )  # fmt: skip
    found = by_judge(named(), with_published("GPT-4o-mini", ".7"))["GPT-4o-mini"]
    assert found.figures == {"new": 0.7}
    assert found.source == named().sources["selene"]


def test_misspelt_judges_and_sources_are_no_new_ones() -> None:
    with pytest.raises(UsageError, match=r'new.yaml: published.GPT-4o-mni.*did you mean "GPT-4o'):
        by_judge(named(), with_published("GPT-4o-mni", ".7"))
    with pytest.raises(UsageError, match=r'no source "slene" .*did you mean "selene"'):
        by_judge(named(), with_published("New", "{figure: .7, source: slene}"))
    with pytest.raises(UsageError, match=r"published.yaml: judges.A: no source"):
        by_judge(Named(sources={}, judges={"A": "x"}), [])
    assert list(published()) == list(named().judges)
