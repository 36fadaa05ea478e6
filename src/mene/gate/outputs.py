"""A gate's outcome in other formats: JSON, JUnit XML, Markdown, and GitHub annotations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from mene.gate.decide import Decision
from mene.gate.gate import Gate
from mene.gate.words import counted, found_words, gate_words, promise, sentence, why
from mene.text.visible import visible

MARK = "<!-- mene gate -->"  # identifies an earlier comment
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SIGNS = {"pass": "✅", "fail": "❌", "cannot tell": "❔"}


def as_json(gate: Gate) -> dict[str, Any]:
    """Return the data for ``--json``."""
    return {
        "outcome": gate.outcome,
        "confidence": gate.confidence,
        "together": gate.together,
        "sequential": gate.anytime,
        "cannot_tell_counts_as": gate.cannot_tell,
        "rules": [_rule(d) for d in gate.decisions],
        "said": list(gate.said),
    }


def _rule(d: Decision) -> dict[str, Any]:
    return {
        "criterion": d.criterion,
        "judge": d.judge,
        "rule": d.rule.text,
        "outcome": d.outcome,
        "must_pass": d.must,
        "usual": d.rule.usual,
        "figure": d.measured,
        "value": d.figure.value,
        "low": d.figure.low,
        "high": d.figure.high,
        "n": d.figure.n,
        "threshold": d.at,
        "confidence": None if d.fact else d.confidence,
        "baseline": d.rule.baseline,
        "rows": d.rows,
        "errors": d.failed,
        "abstained": d.abstained,
        "left_out": d.left_out,
        "more_rows": d.more,
        "decided_after": d.decided,
        "why": sentence(d),
    }


def junit(gate: Gate) -> str:
    """Return JUnit XML: one test suite per criterion and judge, one test per rule.

    An undecided rule is an error or, depending on ``cannot_tell``, a failure or skipped. A failing rule that need not pass is
    skipped.
    """
    suites = ElementTree.Element("testsuites", name="mene gate")
    by_section: dict[tuple[str, str], list[Decision]] = {}
    for d in gate.decisions:
        by_section.setdefault((d.criterion, d.judge), []).append(d)
    for (criterion, judge), decisions in by_section.items():
        kinds = [_kind(d, gate) for d in decisions]
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=_xml(f"{criterion} by {judge}"),
            tests=str(len(decisions)),
            failures=str(kinds.count("failure")),
            errors=str(kinds.count("error")),
            skipped=str(kinds.count("skipped")),
        )
        for d, kind in zip(decisions, kinds, strict=True):
            case = ElementTree.SubElement(
                suite, "testcase", classname=_xml(criterion), name=_xml(d.rule.text)
            )
            if kind:
                said = ElementTree.SubElement(case, kind, message=_xml(sentence(d)))
                if kind != "skipped":
                    said.set("type", d.outcome)
            ElementTree.SubElement(case, "system-out").text = _xml(sentence(d))
    ElementTree.indent(suites)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, "unicode") + "\n"
    )


def _kind(d: Decision, gate: Gate) -> str:
    if d.outcome == "pass":
        return ""
    if not d.must:
        return "skipped"
    if d.outcome == "fail":
        return "failure"
    return {"fail": "failure", "pass": "skipped", None: "error"}[gate.cannot_tell]


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def markdown(gate: Gate, title: str) -> str:
    """Return a table for a comment or a job summary; a bot can find its comment again by ``MARK``."""
    head = {"pass": "passed", "fail": "failed", "cannot tell": "cannot tell"}[gate.outcome]
    how = counted(gate)
    undecided = f" Undecided counts {how}." if how else ""
    lines = [
        MARK,
        f"### {_SIGNS[gate.outcome]} mene gate: {head}",
        "",
        f"{_cell(title)}; {promise(gate)}.{undecided}",
        "",
        "| | criterion | rule | found | |",
        "|---|---|---|---|---|",
    ]
    for d in gate.decisions:
        sign = _SIGNS[d.outcome] if d.must or d.outcome != "fail" else "⚠️"
        cells = (
            f"{sign} {d.outcome}",
            _cell(d.criterion),
            _code(d.rule.text),
            found_words(d),
            _cell(why(d)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    if gate.said:
        lines += ["", *(f"- {_cell(line)}" for line in gate.said)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Escape text so that GitHub shows it literally, without tables, links, mentions or HTML."""
    text = re.sub(r"([\\`*_{}\[\]|~#])", r"\\\1", visible(text))
    return text.replace("<", "&lt;").replace("@", "@\u200b")


def _code(text: str) -> str:
    return f"`{visible(text).replace('`', chr(39))}`".replace("|", "\\|")


def github_annotations(gate: Gate, file: str = "") -> Iterator[str]:
    """Yield GitHub workflow commands: an error per failed rule, a warning per undecided one."""
    for d in gate.decisions:
        if d.outcome == "pass":
            continue
        level = "error" if d.must and d.outcome == "fail" else "warning"
        if d.outcome == "cannot tell" and d.must and gate.cannot_tell == "fail":
            level = "error"
        if d.outcome == "cannot tell" and (not d.must or gate.cannot_tell == "pass"):
            level = "notice"
        title = _property(f"{d.criterion}: {d.outcome}")
        where = f"file={_property(file)}," if file else ""
        yield f"::{level} {where}title={title}::{_data(f'{d.rule.text}: {sentence(d)}')}"
    yield f"::notice title=mene gate::{_data(gate_words(gate))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
