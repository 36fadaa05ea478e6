"""A gate: several rules on the verdicts of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mene.errors import UsageError
from mene.gate.decide import Decision, Outcome, decide, decide_change
from mene.gate.match import By, match, unmatched
from mene.gate.measure import check_threshold, measure_of
from mene.gate.rules import EVERY, Measured, Rule
from mene.gate.rules_file import CannotTell, Terms
from mene.gate.sections import Section, on, other_question, read_sections

CONFIDENCE = 0.95
ERRORS = 0.01  # default maximum share of rows that may fail


@dataclass(frozen=True, slots=True)
class Gate:
    """The outcome of all rules.

    Attributes:
        confidence: as requested: of each rule, or of all together (``together``).
        anytime: whether the intervals are valid at all times.
        cannot_tell: what an undecided rule counts as.
        said: notes on rows that were left out.
    """

    decisions: tuple[Decision, ...]
    confidence: float
    together: bool
    anytime: bool = False
    cannot_tell: CannotTell | None = None
    said: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The outcome of all rules that must pass: fail if one fails, pass if all pass."""
        found = {d.outcome for d in self.decisions if d.must}
        if "fail" in found:
            return "fail"
        if "cannot tell" in found:
            return self.cannot_tell or "cannot tell"
        return "pass"


def settle(given: Terms, more: Terms) -> Terms:
    """Return a file's terms, overridden by those of the command line."""
    said = more.model_dump(exclude_none=True, exclude_defaults=True)
    return Terms.model_validate(given.model_dump() | said)


def judge_rules(
    sections: list[Section],
    rules: list[Rule],
    terms: Terms | None = None,
    *,
    anytime: bool = False,
    match_by: By | None = None,
    baselines: Mapping[str, list[Section]] | None = None,
) -> Gate:
    """Judge rules on verdicts.

    Args:
        sections: of the run.
        terms: settings. The confidence is that of each rule; with ``together``, each rule is decided at 1 - (1 - confidence) /
            rules (Bonferroni), and it is the confidence that no decision is wrong. Holm's procedure would gain nothing: a rule
            either holds or does not, so there are always as many true hypotheses as rules (Shaffer 1986, doi
            10.1080/01621459.1986.10478341).
        anytime: the verdicts were checked while they came in, or their number depends on them.
        match_by: how rows are matched with a baseline's.
        baselines: path -> its sections, if read already.

    Raises:
        UsageError: a rule names a missing criterion, label or file, or does not fit.
    """
    terms = terms or Terms()
    chosen = with_usual(rules, sections, terms)
    place = {id(section): number for number, section in enumerate(sections)}
    chosen.sort(key=lambda pair: place[id(pair[1])])
    confidence = CONFIDENCE if terms.confidence is None else terms.confidence
    own = own_confidence(terms, sum(not is_fact(rule) for rule, _ in chosen))
    known = dict(baselines or {})
    decisions, told = [], []
    for rule, section in chosen:
        if rule.baseline is None:
            found = decide(rule, section, confidence=own, anytime=anytime)
        else:
            if anytime:
                raise UsageError(
                    f"{rule.where}: {rule}: a rule against a baseline is judged when all rows are there; leave --sequential "
                    "(or --stop-when-decided) out, or the rule"
                )
            found, lines = _against(rule, section, known, own, match_by)
            told += lines
        decisions.append(replace(found, must=must_pass(terms, section)))
    _check_names(terms, sections)
    return Gate(
        tuple(decisions),
        confidence,
        bool(terms.together),
        anytime,
        terms.cannot_tell,
        tuple(dict.fromkeys(told)),
    )


def with_usual(
    rules: list[Rule], sections: list[Section], terms: Terms
) -> list[tuple[Rule, Section]]:
    """Return each rule with each section that it is about, and the default rules.

    Raises:
        UsageError: a rule names a missing criterion.
    """
    chosen = [pair for rule in rules for pair in _sections(rule, sections)]
    return chosen + _usual(chosen, terms)


def must_pass(terms: Terms, section: Section) -> bool:
    """Return whether a failing rule on this section fails the gate."""
    return all(must for name, must in terms.must_pass.items() if section.is_called(name))


def own_confidence(terms: Terms, rules: int) -> float:
    """Return the confidence for each of this number of rules."""
    confidence = CONFIDENCE if terms.confidence is None else terms.confidence
    return 1 - (1 - confidence) / max(1, rules) if terms.together else confidence


def is_fact(rule: Rule) -> bool:
    """Return whether the rule is about a fact of this run, not an estimate."""
    return (
        rule.baseline is None
        and rule.figure is not None
        and rule.figure.kind in ("errors", "count")
    )


def _sections(rule: Rule, sections: list[Section]) -> list[tuple[Rule, Section]]:
    if rule.criterion == EVERY:
        return [(rule, section) for section in sections]
    return [(rule, section) for section in on(sections, rule.criterion, rule.where)]


def check_rules(rules: list[Rule], sections: list[Section]) -> None:
    """Check early that rules fit what will be judged.

    Args:
        sections: still empty, with their criteria.

    Raises:
        UsageError: a rule does not fit.
    """
    for rule in rules:
        for _, section in _sections(rule, sections):
            measure = measure_of(section, rule.figure, f"{rule.where}: {rule}")
            check_threshold(rule, measure)


def _usual(chosen: Iterable[tuple[Rule, Section]], terms: Terms) -> list[tuple[Rule, Section]]:
    """Add the default rule that errors fail a gate, unless the rules say how many are allowed."""
    most = ERRORS if terms.errors is None else terms.errors
    rule = Rule(EVERY, f"errors <= {100 * most:g} %", Measured("errors"), "<=", most, usual=True)
    # A rule against a baseline says nothing about how many errors there may be.
    own = [section for r, section in chosen if is_fact(r) and str(r.figure) == "errors"]
    every: list[Section] = []
    for _, section in chosen:
        if not any(section is one for one in (*own, *every)):
            every.append(section)
    return [(rule, section) for section in every]


def _against(
    rule: Rule,
    section: Section,
    known: dict[str, list[Section]],
    confidence: float,
    match_by: By | None,
) -> tuple[Decision, list[str]]:
    path = rule.baseline or ""
    if path not in known:
        known[path] = read_sections(Path(path))
    found = on(known[path], section.criterion, f"{rule.where}: {path}")
    same = [s for s in found if s.judge == section.judge] or found
    if len(same) > 1:
        judges = ", ".join(s.judge for s in same)
        raise UsageError(
            f"{rule.where}: {path} has verdicts of several judges on {section.criterion} ({judges}), none of them "
            f"{section.judge}; judge both runs with one judge"
        )
    before = same[0]
    notes = other_question(before, section, path, "this run")
    matched = match(before.rows, section.rows, match_by)
    decision = decide_change(rule, section, before, matched, confidence=confidence)
    notes += unmatched(matched, path, "this run")
    lines = [f"{section.criterion}: {line}" for line in notes]
    if before.judge != section.judge:
        lines.append(
            f"{section.criterion}: {path} was judged by {before.judge}, this run by {section.judge}: a difference "
            "may be the judge's"
        )
    return decision, lines


def _check_names(terms: Terms, sections: list[Section]) -> None:
    for name in terms.must_pass:
        on(sections, name, "must_pass")
