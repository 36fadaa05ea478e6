"""Rules are read as they are meant, and what is wrong with one is said with its place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.errors import UsageError
from mene.gate.rules import Measured, Rule, parse_rule
from mene.gate.rules_file import parse_rules, read_rules
from mene.scale import Scale


@pytest.mark.parametrize(
    ("text", "criterion", "figure", "operator", "value", "baseline", "counting"),
    [
        ("faithfulness: share(Yes) >= 0.95", "faithfulness", Measured("share", ("Yes",)), ">=", 0.95, None, set()),
        ("x:share(Yes,Maybe)>=95%", "x", Measured("share", ("Yes", "Maybe")), ">=", 0.95, None, set()),
        ('x: share("a, (b)") <= .5', "x", Measured("share", ("a, (b)",)), "<=", 0.5, None, set()),
        ("h: mean >= 3.5", "h", Measured("mean"), ">=", 3.5, None, set()),
        ("h: mean on 1-5 > 3.5", "h", Measured("mean", scale=Scale.likert()), ">", 3.5, None, set()),
        ("*: errors <= 1 %", "*", Measured("errors"), "<=", 0.01, None, set()),
        ("*: abstained < 0.1", "*", Measured("abstained"), "<", 0.1, None, set()),
        ("*: count >= 100", "*", Measured("count"), ">=", 100, None, set()),
        ("tone: no drop against b.jsonl", "tone", None, ">=", 0, "b.jsonl", set()),
        ("tone: no drop over 2 % against my runs/b.jsonl", "tone", None, ">=", 0.02, "my runs/b.jsonl", set()),
        ("tone: no rise in share(No) by 0.1 against C:\\b.jsonl counting errors", "tone", Measured("share", ("No",)), "<=", 0.1, "C:\\b.jsonl", {"errors"}),
        ("f: share(Yes) >= 0.9 counting errors and abstained", "f", Measured("share", ("Yes",)), ">=", 0.9, None, {"errors", "abstained"}),
        ("Is it polite: yes? : mean >= 1", "Is it polite: yes?", Measured("mean"), ">=", 1, None, set()),
        ("no: share(no: yes) >= 1", "no", Measured("share", ("no: yes",)), ">=", 1, None, set()),
    ],
)  # fmt: skip
def test_rules(text, criterion, figure, operator, value, baseline, counting) -> None:
    rule = parse_rule(text)
    assert (rule.criterion, rule.figure, rule.operator, rule.baseline) == (
        criterion,
        figure,
        operator,
        baseline,
    )
    assert rule.value == pytest.approx(value) and rule.counting == counting


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("x: men >= 3", 1, 'no figure "men"; did you mean "mean"?'),
        ("x: 3", 1, "expected a figure; a rule is written like"),
        ("x: share Yes >= 1", 7, "as in share(Yes)"),
        ("x: share() >= 1", 7, "expected a label"),
        ("x: share(Yes >= 1", 7, "closing bracket"),
        ("x: share(Yes) = 1", 12, "expected >= or <="),
        ("x: share(Yes) >=", 14, "expected a number"),
        ("x: share(Yes) >= 95", 15, "from 0 to 100 %, not 95"),
        ("x: mean >= 3 %", 9, "only a share"),
        ("x: mean >= 1e999", 9, "without end"),
        ("x: mean on yes/no >= 3", 9, "only numbers have a mean"),
        ("x: mean on what >= 3", 9, "cannot read scale"),
        ("x: count >= -1", 10, "not negative"),
        ("x: share(Yes) >= .9, mean >= 3", 17, "a line of its own"),
        ("x: no dorp against b", 4, 'did you mean "drop"?'),
        ("x: no drop b", 9, 'expected "against"'),
        ("x: no drop over -1 against b", 14, "not negative"),
        ("x: no drop against", 16, "expected the file"),
        ("x: no drop in count against b", 12, "no figure of a run"),
        ("x: mean >= 3 counting erors", 20, 'did you mean "errors"?'),
        ("x: errors <= 1 % counting errors", 24, "all rows"),
    ],
)  # fmt: skip
def test_the_place_of_a_mistake(text: str, place: int, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rule(text, "rules.yaml, line 7")
    assert str(caught.value).startswith(f"rules.yaml, line 7: x: character {place} of ")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_rule_without_a_criterion() -> None:
    for text in ("mean >= 3", ": mean >= 3", "", "count"):
        with pytest.raises(UsageError, match="names no criterion"):
            parse_rule(text)


_LABELS = (
    st.text(
        st.characters(blacklist_characters='"', blacklist_categories=("Cs", "Cc", "Zl", "Zp")),
        min_size=1,
    )
    .map(str.strip)
    .filter(bool)
)


@settings(max_examples=25)
@given(st.lists(_LABELS, min_size=1, max_size=3), st.integers(0, 100))
def test_what_a_rule_says_of_itself_is_read_again(labels: list[str], percent: int) -> None:
    figure = Measured("share", tuple(labels))
    found = parse_rule(f"x: {figure} >= {percent} %")
    assert found.figure == figure and found.value == pytest.approx(percent / 100)


@settings(max_examples=25)
@given(st.text(max_size=30))
def test_any_text_is_a_rule_or_one_clear_line(text: str) -> None:
    try:
        assert isinstance(parse_rule(f"x: {text}"), Rule)
    except UsageError as error:
        assert str(error).startswith("--rule: ")


_WORDS = [
    "no",
    "drop",
    "rise",
    "in",
    "share",
    "(",
    ")",
    "Yes",
    "over",
    "2",
    "%",
    "against",
    "b.jsonl",
    ">=",
    "mean",
    "on",
    "counting",
    "errors",
]


@settings(max_examples=50)
@given(st.lists(st.sampled_from(_WORDS)))
def test_words_of_rules_in_any_order(words: list[str]) -> None:
    try:
        rule = parse_rule("x: " + " ".join(words))
    except UsageError as error:
        assert re.search(r"character \d+ of|names no criterion", str(error))
    else:
        assert rule.value >= 0


def test_a_file_of_rules(tmp_path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "# of a release\nfaithfulness: share(Yes) >= 0.95\ntone:\n  - mean >= 3.5\n  - no drop against base.jsonl\n",
        "utf-8",
    )
    rules, terms = read_rules(path)
    assert [str(rule) for rule in rules] == [
        "faithfulness: share(Yes) >= 0.95", "tone: mean >= 3.5", "tone: no drop against base.jsonl",
    ]  # fmt: skip
    assert rules[2].baseline == str(tmp_path / "base.jsonl")
    assert [rule.where for rule in rules] == [f"{path}, line {n}" for n in (2, 4, 5)]
    assert terms.confidence is None


def test_a_file_with_terms() -> None:
    text = "rules:\n  - 'a: mean >= 2'\n  - b: share(Yes) >= 0.5\nconfidence: 0.9\ntogether: true\ncannot_tell: pass\nmust_pass: {b: false}\nerrors: 0.05\n"
    rules, terms = parse_rules(text, "r.yaml")
    assert [rule.criterion for rule in rules] == ["a", "b"]
    assert (terms.confidence, terms.together, terms.cannot_tell, terms.errors) == (
        0.9,
        True,
        "pass",
        0.05,
    )
    assert terms.must_pass == {"b": False}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: mena >= 1", 'r.yaml, line 1: a: character 1 of "mena >= 1"'),
        ("a: mean >= 1\nb:\n  - mean >= 1\n  - mean => 1", "r.yaml, line 4: b: character 6"),
        ("rules:\n  a: mean >= 1\nconfidenc: 1", 'r.yaml, line 3: unknown key "confidenc"; did you mean "confidence"?'),
        ("rules:\n  a: mean >= 1\nconfidence: 2", "r.yaml, line 3: confidence: "),
        ("rules:\n  a: mean >= 1\ncannot_tell: maybe", "r.yaml, line 3: cannot_tell: "),
        ("a: mean >= 1\na: mean >= 2", 'r.yaml, line 2: not valid YAML: the key "a" is given twice'),
        ("a: mean >= 1\nconfidence: 0.9", "r.yaml, line 2: confidence says how rules are judged; put the rules"),
        ("a:\n", "r.yaml, line 1: a: this is no rule"),
        ("a: {b: c}", "r.yaml, line 1: a: this is no rule"),
        ("", "r.yaml: there is no rule in it"),
        ("[]", "r.yaml: there is no rule in it"),
        ("- 3", 'r.yaml, line 1: "3" names no criterion'),
    ],
)  # fmt: skip
def test_mistakes_in_a_file(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rules(text, "r.yaml")
    assert str(caught.value).startswith(said)


def test_a_file_that_is_not_there_or_no_text(tmp_path) -> None:
    (tmp_path / "rules.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_rules(tmp_path / "rules.yaml")
    with pytest.raises(UsageError, match="did you mean"):
        read_rules(tmp_path / "rule.yaml")
