"""What becomes of rules: by their interval, with rows that have no label, several at once, and against another run."""

from __future__ import annotations

import numpy as np
import pytest

from mene.criterion import load_criterion
from mene.errors import LedgerError, UsageError
from mene.gate.gate import Gate, judge_rules, settle
from mene.gate.rules import parse_rule
from mene.gate.rules_file import Terms
from mene.gate.sections import Section, read_sections, sections_of
from mene.stats import intervals


def gate(verdicts, *rules: str, **terms) -> Gate:
    more = {name: terms.pop(name) for name in ("anytime", "baselines", "match_by") if name in terms}
    return judge_rules(
        sections_of(verdicts), [parse_rule(r) for r in rules], Terms(**terms), **more
    )


def only(found: Gate, kind: str = "share"):
    return next(d for d in found.decisions if d.measured.startswith(kind))


def yes_no(verdicts, yes: int, no: int, **more):
    return verdicts(*["Yes"] * yes, *["No"] * no, **more)


def test_a_share_passes_fails_or_cannot_be_told(verdicts) -> None:
    for yes, outcome in ((199, "pass"), (150, "fail"), (188, "cannot tell")):
        found = gate(yes_no(verdicts, yes, 200 - yes), "faithfulness: share(Yes) >= 0.95")
        one = only(found)
        assert (one.outcome, found.outcome) == (outcome, outcome)
        assert one.figure == intervals.mean(np.arange(200) < yes)
        assert (one.more is not None) == (outcome == "cannot tell")
        other = gate(yes_no(verdicts, yes, 200 - yes), "*: share(No) <= 0.05")
        assert other.outcome == outcome


def test_the_mean_of_scores(verdicts) -> None:
    rows = verdicts(*["5", "4", "4", "3"] * 20, criterion="helpfulness")
    assert gate(rows, "helpfulness: mean >= 3.5").outcome == "pass"
    assert gate(rows, "helpfulness: mean >= 4.4").outcome == "fail"
    assert gate(rows, "helpfulness: mean <= 4.0").outcome == "cannot tell"
    assert (
        only(gate(rows, "helpfulness: mean >= 4.0"), "mean").more is None
    )  # no number of rows would tell
    low = [replace_score(v, 1.5) for v in rows]
    assert gate(low, "helpfulness: mean >= 3.5").outcome == "fail"


def replace_score(verdict, score: float):
    return verdict.model_copy(update={"score": score})


def test_errors_fail_a_gate_unless_a_rule_allows_them(verdicts) -> None:
    rows = verdicts(*["Yes"] * 97, *[None] * 3)
    found = gate(rows, "*: share(Yes) >= 0.9")
    assert found.outcome == "fail" and only(found).outcome == "pass"
    usual = only(found, "errors")
    assert usual.rule.usual and usual.rule.text == "errors <= 1 %" and usual.failed == 3
    assert only(found).left_out == 3 and only(found).figure.n == 97
    assert gate(rows, "*: share(Yes) >= 0.9", errors=0.05).outcome == "pass"
    own = gate(rows, "*: share(Yes) >= 0.9", "*: errors <= 3 %")
    assert own.outcome == "pass" and len(own.decisions) == 2


def test_rows_without_a_label_that_count_are_bad_ones(verdicts) -> None:
    rows = verdicts(*["Yes"] * 90, *[None] * 5, *["abstain"] * 5)
    free = "*: errors <= 1"
    plain = only(gate(rows, "*: share(Yes) >= 0.8", free))
    assert (plain.figure.value, plain.left_out) == (1.0, 10)
    assert only(gate(rows, "*: share(Yes) >= 0.8 counting errors", free)).figure.value == 90 / 95
    both = only(gate(rows, "*: share(Yes) >= 0.8 counting errors and abstained", free))
    assert (both.figure.value, both.left_out) == (0.9, 0)
    at_most = only(gate(rows, "*: share(No) <= 0.2 counting errors and abstained", free))
    assert at_most.figure.value == pytest.approx(0.1)
    left = only(gate(rows, "*: abstained <= 0.5", free), "abstained")
    assert (left.figure.value, left.figure.n, left.left_out) == (5 / 95, 95, 5)


def test_a_mean_counts_them_as_the_worst_score(verdicts) -> None:
    rows = verdicts(*["5"] * 40, *[None] * 40, criterion="helpfulness")
    found = only(gate(rows, "*: mean >= 3 counting errors", "*: errors <= 1"), "mean")
    assert found.figure.value == 3.0


def test_counts_and_errors_are_facts(verdicts) -> None:
    rows = verdicts(*["Yes"] * 9, None)
    for rule, outcome in (
        ("count >= 9", "pass"), ("count > 9", "fail"), ("count >= 10", "fail"), ("count <= 9", "pass"),
        ("errors <= 10 %", "pass"), ("errors < 10 %", "fail"),
    ):  # fmt: skip
        found = gate(rows, f"*: {rule}", "*: errors <= 1")
        assert found.decisions[0].outcome == outcome, rule
        assert found.decisions[0].fact and found.decisions[0].figure.low is None


def test_no_row_with_a_label_and_few_rows(verdicts) -> None:
    nothing = only(gate(verdicts(None, None), "*: share(Yes) >= 0.5"))
    assert (nothing.outcome, nothing.figure.n, nothing.more) == ("cannot tell", 0, None)
    few = only(gate(verdicts("Yes", "Yes", "Yes"), "*: share(Yes) >= 0.5"))
    assert few.outcome == "cannot tell" and few.figure.low is None and few.more == 2 + 1


def test_copies_of_a_text_are_one(verdicts) -> None:
    rows = [
        v.model_copy(update={"content": f"text {n % 20}"})
        for n, v in enumerate(yes_no(verdicts, 200, 0))
    ]
    assert only(gate(rows, "*: share(Yes) >= 0.95")).outcome == "cannot tell"
    found = only(gate(rows, "*: share(Yes) >= 0.95", anytime=True))
    assert (found.copies, found.figure.n) == (180, 20)


def test_together_every_rule_needs_more(verdicts) -> None:
    rows = yes_no(verdicts, 192, 8)
    assert only(gate(rows, "*: share(Yes) >= 0.92")).outcome == "pass"
    rules = ["*: share(Yes) >= 0.92", *(f"*: share(No) <= 0.{n}" for n in range(2, 9))]
    found = gate(rows, *rules, together=True)
    assert only(found).outcome == "cannot tell" and only(found).confidence == pytest.approx(
        1 - 0.05 / 8
    )


def test_what_need_not_pass_and_what_nobody_can_tell(verdicts) -> None:
    rows = [*yes_no(verdicts, 150, 50), *yes_no(verdicts, 200, 0, criterion="tone")]
    rules = ("*: share(Yes) >= 0.95",)
    assert gate(rows, *rules).outcome == "fail"
    found = gate(rows, *rules, must_pass={"faithfulness": False})
    assert found.outcome == "pass" and [d.must for d in found.decisions] == [
        False,
        False,
        True,
        True,
    ]
    asked = yes_no(verdicts, 150, 50, criterion="Is it… 3fa2", question="Is it polite?")
    assert gate(asked, *rules, must_pass={"Is it polite?": False}).outcome == "pass"
    near = yes_no(verdicts, 188, 12)
    for said in ("pass", "fail"):
        assert gate(near, *rules, cannot_tell=said).outcome == said
    with pytest.raises(UsageError, match='no verdict on "tonne"; did you mean "tone"'):
        gate(rows, *rules, must_pass={"tonne": False})


def test_terms_of_the_command_line_go_before() -> None:
    file = Terms(confidence=0.9, cannot_tell="fail", must_pass={"a": False})
    assert settle(file, Terms(confidence=0.99)) == Terms(
        confidence=0.99, cannot_tell="fail", must_pass={"a": False}
    )


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("faithfulnes: share(Yes) >= 0.9", 'no verdict on "faithfulnes"; did you mean "faithfulness"?'),
        ("faithfulness: share(Yess) >= 0.9", '"Yess" is no label of faithfulness; did you mean "Yes"?'),
        ("faithfulness: mean >= 0.9", "which have no mean; write share(Yes)"),
        ("helpfulness: mean >= 35", "goes from 1 to 5, and 35 is not on it"),
        ("helpfulness: mean on 1-3 >= 2", "has the score 4, which is not on the scale 1-3"),
        ("words: mean >= 2", "write it, as in mean on 1-5"),
        ("faithfulness: no drop against nowhere.jsonl", "nowhere.jsonl: cannot read: no such file"),
    ],
)  # fmt: skip
def test_rules_that_do_not_fit(verdicts, rule: str, said: str) -> None:
    rows = [
        *yes_no(verdicts, 5, 5),
        *verdicts(*"12345", criterion="helpfulness"),
        *(
            v.model_copy(update={"probabilities": None})
            for v in verdicts(*"124", criterion="words")
        ),
    ]
    with pytest.raises(UsageError) as caught:
        gate(rows, rule)
    assert said in str(caught.value)


def test_a_question_is_found_by_its_words(verdicts) -> None:
    rows = yes_no(verdicts, 40, 0, criterion="Is it… 3fa2", question="Is it polite?")
    assert gate(rows, "Is it polite?: share(Yes) >= 0.5").outcome == "pass"


def test_no_drop_against_a_baseline(verdicts) -> None:
    old, same = yes_no(verdicts, 180, 20), yes_no(verdicts, 181, 19)
    worse, better = yes_no(verdicts, 140, 60), yes_no(verdicts, 200, 0)
    for now, margin, outcome in ((worse, "", "fail"), (better, "", "pass"), (same, "", "cannot tell"), (same, " over 0.05", "pass"), (worse, " over 0.4", "pass"), (worse, " over 0.2", "cannot tell")):  # fmt: skip
        found = gate(now, f"*: no drop{margin} against old", baselines={"old": sections_of(old)})
        assert found.outcome == outcome, (margin, outcome)
    change = only(gate(worse, "*: no drop against old", baselines={"old": sections_of(old)}))
    assert change.figure.value == pytest.approx(-0.2) and change.measured == "share(Yes)"
    rise = gate(
        worse, "*: no rise in share(No) over 0.05 against old", baselines={"old": sections_of(old)}
    )
    assert rise.outcome == "fail"


def test_rows_that_only_one_run_has_are_said(verdicts) -> None:
    old = yes_no(verdicts, 100, 0)
    found = gate(
        old[10:], "*: no drop over 0.1 against old", baselines={"old": sections_of(old[:-5])}
    )
    assert any("10 rows of old not in this run" in line for line in found.said)
    assert any("5 rows of this run not in old" in line for line in found.said)
    assert only(found).figure.n == 85 and only(found).left_out == 5


def test_a_baseline_of_another_judge_is_said_and_of_several_refused(verdicts) -> None:
    old = yes_no(verdicts, 100, 0, judge="base")
    found = gate(
        yes_no(verdicts, 99, 1),
        "*: no drop over 0.2 against old",
        baselines={"old": sections_of(old)},
    )
    assert "judged by base, this run by nano" in found.said[-1]
    two = sections_of([*old, *yes_no(verdicts, 100, 0, judge="jury")])
    with pytest.raises(UsageError, match="several judges"):
        gate(yes_no(verdicts, 99, 1), "*: no drop against old", baselines={"old": two})


def test_a_baseline_on_another_scale_is_refused(verdicts) -> None:
    ten = [
        v.model_copy(update={"probabilities": {str(n): 0.1 for n in range(1, 11)}})
        for v in verdicts(*"345", criterion="depth")
    ]
    with pytest.raises(UsageError, match="from 1 to 10, those of this run from 1 to 5"):
        gate(
            verdicts(*"345", criterion="depth"),
            "*: no drop against old",
            baselines={"old": sections_of(ten)},
        )


def test_a_criterion_says_which_labels_are_good(verdicts) -> None:
    rows = yes_no(verdicts, 10, 90, criterion="rude")
    section = sections_of(rows)[0]
    assert section.good() == ("Yes",)
    given = load_criterion("Is it rude?").model_copy(update={"failing": ("Yes",), "name": "rude"})
    section = Section("rude", "nano", rows=section.rows, given=given)
    assert section.good() == ("No",)


def test_verdicts_tell_the_scale_and_which_labels_are_good(verdicts) -> None:
    told = {"question": "How is it?", "scale": "good/fair/bad/awful", "failing": ["bad", "awful"]}
    rows = verdicts(*["good"] * 90, *["bad"] * 10, criterion="state", **told)  # no probabilities
    section = sections_of(rows)[0]
    assert section.scale_is_whole and section.scale.labels == ("good", "fair", "bad", "awful")
    assert section.good() == ("good", "fair")
    old = verdicts(*["good"] * 99, "awful", criterion="state", **told)
    found = gate(rows, "*: no drop over 0.01 against old", baselines={"old": sections_of(old)})
    assert only(found).figure.value == pytest.approx(-0.09)
    assert only(gate(rows, "*: share(fair) <= 0.1")).outcome == "pass"  # though it never came up


def test_labels_of_which_nobody_knows_which_are_good(verdicts) -> None:
    rows = verdicts("red", "green", "blue", criterion="colour")
    with pytest.raises(UsageError, match="nobody knows which labels of colour"):
        gate(rows, "*: no drop against old", baselines={"old": sections_of(rows)})


def test_every_judge_has_its_own_decision(verdicts) -> None:
    rows = [*yes_no(verdicts, 200, 0), *yes_no(verdicts, 100, 100, judge="base")]
    found = gate(rows, "faithfulness: share(Yes) >= 0.9")
    shares = [(d.judge, d.outcome) for d in found.decisions if not d.fact]
    assert shares == [("nano", "pass"), ("base", "fail")]


def test_sequential_is_wider(verdicts) -> None:
    rows = yes_no(verdicts, 199, 1)
    fixed, anytime = (only(gate(rows, "*: share(Yes) >= 0.9", anytime=a)) for a in (False, True))
    assert anytime.figure.low < fixed.figure.low and anytime.outcome == fixed.outcome == "pass"
    with pytest.raises(UsageError, match="judged when all rows are there"):
        gate(rows, "*: no drop against old", anytime=True, baselines={"old": sections_of(rows)})


def test_files(verdicts, ledger, tmp_path) -> None:
    path = ledger("a.verdicts.jsonl", yes_no(verdicts, 3, 1))
    assert [s.shares for s in read_sections(path)] == [{"Yes": 3, "No": 1}]
    with pytest.raises(UsageError, match=r"did you mean .*a\.verdicts\.jsonl"):
        read_sections(tmp_path / "a.verdict.jsonl")
    with pytest.raises(UsageError, match="has no verdicts"):
        read_sections(ledger("empty.jsonl", []))
    (tmp_path / "rows.jsonl").write_text('{"response": "x"}\n')
    with pytest.raises(LedgerError, match="line 1"):
        read_sections(tmp_path / "rows.jsonl")


def test_of_no_rows_nobody_can_tell_a_share_of_errors() -> None:
    gate = judge_rules([Section("faithfulness", "nano")], [parse_rule("*: errors <= 1 %")])
    assert gate.outcome == "cannot tell"


@pytest.mark.parametrize(
    ("yes", "rule"),
    [(0, "share(Yes) > 0"), (100, "share(Yes) < 1"), (100, "share(No) > 0"), (0, "share(No) < 1")],
)
def test_a_figure_at_the_end_of_its_scale_is_not_beyond_it(verdicts, yes: int, rule: str) -> None:
    assert gate(yes_no(verdicts, yes, 100 - yes), f"*: {rule}").outcome == "cannot tell"
    reached = rule.replace(">", ">=").replace("<", "<=")
    assert gate(yes_no(verdicts, yes, 100 - yes), f"*: {reached}").outcome == "pass"


def test_few_texts_asked_often_prove_little(verdict) -> None:
    """Five texts forty times, by chance all good, and a hundred others."""
    texts = [*np.repeat(np.arange(5), 40), *range(5, 105)]
    every = [
        verdict("No" if text >= 98 else "Yes", n, content=f"text {text}")
        for n, text in enumerate(texts)
    ]
    found = gate(every, "*: share(Yes) > 0.9")
    assert found.outcome == "cannot tell" and only(found).figure.value > 0.97


def test_how_many_errors_more_there_are_does_not_say_how_many_there_may_be(verdicts) -> None:
    old, new = (sections_of(verdicts(*["Yes"] * 60, *[None] * 60)) for _ in range(2))
    rules = [parse_rule("*: no rise in errors over 20 % against old.jsonl")]
    assert judge_rules(new, rules, baselines={"old.jsonl": old}).outcome == "fail"


def test_a_baseline_of_another_question_is_said_or_refused(verdicts) -> None:
    rule = [parse_rule("polite: no drop over 0.2 against old.jsonl")]

    def run(question: str, failing: list[str]):
        facts = {"criterion": "polite", "question": question, "scale": "Yes/No", "failing": failing}
        return sections_of(yes_no(verdicts, 60, 0, **facts))

    old = run("Is it polite?", ["No"])
    found = judge_rules(run("Is the reply polite?", ["No"]), rule, baselines={"old.jsonl": old})
    assert found.outcome == "pass"
    assert any('asked "Is it polite?"' in line for line in found.said)
    with pytest.raises(
        UsageError, match="its good labels are Yes in old.jsonl, and No in this run"
    ):
        judge_rules(run("Is it rude?", ["Yes"]), rule, baselines={"old.jsonl": old})
