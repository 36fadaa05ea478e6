"""A gate in words and for machines, whatever stands in names and labels."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from mene.gate.gate import judge_rules
from mene.gate.outputs import as_json, github_annotations, junit, markdown
from mene.gate.rules import parse_rule
from mene.gate.rules_file import Terms
from mene.gate.sections import sections_of
from mene.gate.words import figure_words, gate_words, sentence
from mene.stats.intervals import Figure

EVIL = 'a|b`c` <script> @team ::error::x\x07 "&'


def gate(verdicts, *rules: str, **terms):
    rows = verdicts(*["Yes"] * 188, *["No"] * 12)
    rows += verdicts(*["Yes"] * 40, *["No"] * 60, None, criterion=EVIL)
    texts = rules or ("faithfulness: share(Yes) >= 0.95", f"{EVIL}: share(Yes) >= 0.95")
    return judge_rules(sections_of(rows), [parse_rule(r) for r in texts], Terms(**terms))


def test_words() -> None:
    assert figure_words(Figure(0.5, 0.4, 0.6, 9), True) == "50.0 % [40.0, 60.0]"
    assert figure_words(Figure(3.5, None, None, 2), False) == "3.50"
    assert (
        figure_words(Figure(-0.1, -0.2, 0.05, 9), True, signed=True) == "−10.0 points [−20.0, +5.0]"
    )
    assert figure_words(Figure(None, None, None, 0), True) == "–"


def test_sentences(verdicts) -> None:
    near, usual, bad, errors = gate(verdicts).decisions
    assert sentence(near).startswith("94.0 % [89.8, 96.6], n = 200; about ") and sentence(
        near
    ).endswith("would tell")
    assert sentence(usual) == "0 of 200 rows without a verdict; usual rule"
    assert sentence(bad) == "40.0 % [30.8, 49.9], n = 100; left out: 1 error"
    assert sentence(errors) == "1 of 101 rows without a verdict; usual rule"
    assert (
        gate_words(gate(verdicts))
        == "gate: fail (2 passed, 1 failed, 1 undecided); each decision holds at 95 %"
    )


def test_json(verdicts) -> None:
    found = as_json(gate(verdicts))
    assert json.loads(json.dumps(found))["outcome"] == "fail"
    one = found["rules"][0]
    assert (one["outcome"], one["n"], one["threshold"], one["confidence"]) == (
        "cannot tell",
        200,
        0.95,
        0.95,
    )
    assert one["low"] < 0.95 < one["high"] and one["more_rows"] > 0


@pytest.mark.parametrize(
    ("terms", "kind"),
    [({}, "error"), ({"cannot_tell": "fail"}, "failure"), ({"cannot_tell": "pass"}, "skipped")],
)
def test_junit(verdicts, terms, kind) -> None:
    root = ElementTree.fromstring(junit(gate(verdicts, **terms)))
    suites = {suite.get("name"): suite for suite in root}
    case = next(iter(suites["faithfulness by nano"]))
    assert case.get("name") == "share(Yes) >= 0.95" and case[0].tag == kind
    other = next(suite for name, suite in suites.items() if name != "faithfulness by nano")
    assert (
        "\x07" not in (other.get("name") or "")
        and other.get("failures") == "1"
        and other.get("tests") == "2"
    )


def test_junit_of_a_rule_that_need_not_pass(verdicts) -> None:
    root = ElementTree.fromstring(junit(gate(verdicts, must_pass={EVIL: False})))
    assert root[1][0][0].tag == "skipped"


def test_markdown_shows_text_as_it_is(verdicts) -> None:
    text = markdown(gate(verdicts), "a.jsonl")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 5  # a head and four rules
    for line in rows[1:]:
        cells = line.replace("\\|", "").split("|")
        assert len(cells) == 7
    assert "<script" not in text and "@team" not in text and "\x07" not in text


def test_annotations_are_one_line_each(verdicts) -> None:
    lines = list(github_annotations(gate(verdicts)))
    assert lines[0].startswith(
        "::warning title=faithfulness%3A cannot tell::share(Yes) >= 0.95: 94.0 %25 ["
    )
    assert lines[1].startswith("::error title=a|b`c` <script> @team %3A%3Aerror%3A%3Ax")
    assert lines[-1].startswith("::notice title=mene gate::gate: fail")
    assert all("\n" not in line for line in lines)
    soft = [
        line.split(" ")[0]
        for line in github_annotations(gate(verdicts, cannot_tell="pass", must_pass={EVIL: False}))
    ]
    assert soft == ["::notice", "::warning", "::notice"]
