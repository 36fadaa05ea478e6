"""A gate while rows come in: decided rules stay so, and a run ends when its gate is known."""

from __future__ import annotations

import numpy as np
import pytest

from mene.criterion import load_criterion
from mene.errors import UsageError
from mene.gate.gate import judge_rules
from mene.gate.live import LONGEST_PAUSE, PAUSE, Live, in_random_order
from mene.gate.rules import parse_rule
from mene.gate.rules_file import Terms
from mene.gate.sections import Section
from mene.runs.tables import Row
from mene.sample import Sample


def live(*rules: str, **terms) -> tuple[Live, Section, list, Terms]:
    section = Section("faithfulness", "nano", given=load_criterion("faithfulness"))
    read, terms_ = [parse_rule(rule) for rule in rules], Terms(**terms)
    return Live(read, [section], terms_), section, read, terms_


def feed(watched: Live, section: Section, verdicts) -> int:
    """How many verdicts it took."""
    taken = 0
    for verdict in verdicts:
        if watched.decided:
            break
        section.add(verdict)
        watched.expect(verdict.criterion, verdict.row or 0)
        watched.add(verdict)
        taken += 1
    return taken


def test_a_bad_run_ends_early_and_stays_failed(verdicts) -> None:
    watched, section, rules, terms = live("faithfulness: share(Yes) >= 0.95")
    rows = verdicts(*["No", "Yes"] * 200)
    taken = feed(watched, section, rows)
    assert taken < 20
    for verdict in verdicts(*["Yes"] * 60):  # whatever comes now
        section.add(verdict.model_copy(update={"content": f"more {verdict.row}"}))
    found = watched.settle(judge_rules([section], rules, terms, anytime=True))
    assert found.outcome == "fail" and found.decisions[0].decided == taken


def test_a_good_run_passes_when_all_rules_are_decided(verdicts) -> None:
    watched, section, *_ = live("*: share(Yes) >= 0.8", "*: share(No) <= 0.5")
    assert 10 < feed(watched, section, verdicts(*["Yes"] * 400)) < 100


def test_a_count_is_waited_for_and_a_failure_is_not(verdicts) -> None:
    watched, section, *_ = live("*: share(Yes) >= 0.5", "*: count >= 150")
    assert feed(watched, section, verdicts(*["Yes"] * 400)) == 150
    watched, section, *_ = live("*: share(Yes) >= 0.95", "*: share(Yes) >= 0.01", "*: count >= 150")
    assert feed(watched, section, verdicts(*["No"] * 400)) < 20
    soft, section, *_ = live("*: share(Yes) >= 0.95", must_pass={"faithfulness": False})
    assert feed(soft, section, verdicts(*["No"] * 400)) < 20


def test_errors_that_count_and_copies_that_do_not(verdicts) -> None:
    watched, section, *_ = live("*: share(Yes) >= 0.95 counting errors")
    assert feed(watched, section, verdicts(*[None] * 400)) < 20
    watched, section, *_ = live("*: share(Yes) >= 0.95")
    copies = [v.model_copy(update={"content": "one text"}) for v in verdicts(*["No"] * 100)]
    assert feed(watched, section, copies) == 100 and not watched.decided


def test_facts_alone_decide_nothing_early(verdicts) -> None:
    watched, section, *_ = live("*: count >= 1")
    assert feed(watched, section, verdicts(*["Yes"] * 5)) == 5


def test_together_takes_longer(verdicts) -> None:
    taken = []
    for together in (False, True):
        watched, section, *_ = live(
            "*: share(Yes) >= 0.8", "*: share(No) <= 0.2", together=together
        )
        taken.append(feed(watched, section, verdicts(*["Yes"] * 400)))
    assert taken[0] < taken[1]


def test_a_baseline_waits_for_all_rows() -> None:
    with pytest.raises(UsageError, match="leave --stop-when-decided out"):
        live("*: no drop against old.jsonl")


def drawn(*numbers: int) -> list[Row]:
    criterion = load_criterion("faithfulness")
    return [Row(n, Sample(response=str(n)), None, criterion=criterion) for n in numbers]


def test_rows_stop_once_it_is_decided(verdicts) -> None:
    watched, section, *_ = live("*: share(Yes) >= 0.95")
    rows = watched.until_decided(drawn(*range(400)))
    seen = 0
    for _, verdict in zip(rows, verdicts(*["No"] * 400), strict=False):
        seen += 1
        section.add(verdict)
        watched.add(verdict)
    assert seen < 20


def test_verdicts_wait_for_their_turn(verdicts) -> None:
    """Those that come first are no random part: an engine sorts a window, and an earlier run has left some."""
    watched, section, rules, terms = live("*: share(Yes) >= 0.7")
    every = verdicts(*["No"] * 14, *["Yes"] * 126)
    order = [139 - n for n in range(140)]  # as drawn: the bad rows last
    list(watched.until_decided(drawn(*order)))
    for verdict in every[
        :139
    ]:  # as they come: the bad ones first, and the row drawn first last of all
        section.add(verdict)
        watched.add(verdict)
        assert not watched.decided
    section.add(every[139])
    watched.add(every[139])
    assert watched.decided
    found = watched.settle(judge_rules([section], rules, terms, anytime=True))
    [one, _] = found.decisions
    assert found.outcome == "pass" and (one.decided or 0) < 40
    assert one.figure.low is not None and one.figure.low >= 0.7  # as at its decision


def test_rows_are_read_a_few_at_a_time() -> None:
    watched, *_ = live("*: share(Yes) >= 0.7")
    given = [row is None for row in watched.until_decided(drawn(*range(3000)))]
    pauses = [0, *(at for at, is_pause in enumerate(given) if is_pause)]
    sizes = np.diff(pauses)
    assert sizes[0] == PAUSE and max(sizes) <= LONGEST_PAUSE + 1
    assert given.count(False) == 3000


def test_few_rows_with_an_error_go_on(verdicts) -> None:
    watched, section, *_ = live("*: share(Yes) >= 0.3")
    assert feed(watched, section, verdicts(None, *["Yes"] * 400)) == 100  # 1 % may fail
    many, section, *_ = live("*: share(Yes) >= 0.3", "*: errors <= 10 %")
    assert feed(many, section, verdicts(None, *["Yes"] * 400)) < 30


def test_a_lot_decides_the_order() -> None:
    rows = [Row(n, Sample(response=str(n)), None) for n in range(50)]
    drawn = in_random_order(rows, 30, 0)
    assert sorted(row.number for row in drawn) == list(range(30)) != [row.number for row in drawn]
    assert drawn == in_random_order(rows, 30, 0) != in_random_order(rows, 30, 1)
    places = [
        np.argsort([r.number for r in in_random_order(rows[:4], None, s)])[0] for s in range(400)
    ]
    assert min(np.bincount(places, minlength=4)) > 60
