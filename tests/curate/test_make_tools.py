"""Transcripts with tools: what was called and what came of it is read again from the text alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from statistics import mean

import pytest

from mene.curate.make import tools
from mene.curate.make.tools import SLOT, WAYS, load_texts
from mene.curate.raw.sources import Point

CALL = re.compile(r"^Assistant: \[calls (\w+)\((.*)\)\]$", re.M)
RESULT = re.compile(r"^Tool \((\w+)\):(?: ([^\n]*)|\n```\n((?:(?!```)[^\n]*\n)+)```)$", re.M)


@pytest.fixture(scope="module")
def points() -> list[Point]:
    return list(tools.points(0, 1500))


def job_of(point: Point) -> dict:
    name = point.id.split("/")[1].partition("-")[0]
    return next(job for job in load_texts()["jobs"] if job["name"] == name)


def named(text: str, slots: set[str]) -> set[str]:
    """The values of some slots that a text has."""
    values = load_texts()["slots"]
    some = {v for slot in slots for v in values[slot.rstrip("2")].split(" | ")}
    return {v for v in some if re.search(rf"(?<![\w.-]){re.escape(v)}(?![\w]|[.,]\d)", text)}


def read(point: Point, text: str) -> tuple[bool, bool]:
    """Whether the goal is reached and whether the calls are right."""
    job, asked = job_of(point), (point.sample.instruction or "").rpartition("User: ")[2]
    texts = load_texts()
    calls, results = CALL.findall(text), [a or b.strip() for _, a, b in RESULT.findall(text)]
    assert len(calls) == len(results)
    said = text.rpartition("Assistant: ")[2]
    passing = [n for n, result in enumerate(results) if result in texts["passing"]]
    for n in passing:
        assert calls[n] == calls[n + 1]
    kept = [n for n in range(len(calls)) if n not in passing]
    slots = {slot for given in job["asks"] for slot in SLOT.findall(given)}
    given = " ".join(calls[n][1] for n in kept)
    in_calls = {s for s in slots if f"{{{s}}}" in json.dumps([c[1] for c in job["calls"]])}
    fits = named(given, in_calls) == named(asked, in_calls)
    right = [calls[n][0] for n in kept] == [tool for tool, *_ in job["calls"]] and fits
    last = job["calls"][-1]
    count = sum(tool == last[0] for tool, *_ in job["calls"])
    made = fits and sum(calls[n][0] == last[0] for n in kept) >= count
    fails = job["fails"] if isinstance(job["fails"], str) else json.dumps(job["fails"])
    wildcard = ".+".join(
        re.escape(part) for part in re.split(SLOT.pattern.replace("(", "(?:"), fails)
    )
    failed = bool(results) and re.fullmatch(wildcard, results[-1]) is not None
    found = {s for t in job["says"] for s in SLOT.findall(t)} - slots
    true = named(said, found) <= named(" ".join(results), found)
    return made and not failed and said not in texts["promises"] and true, right


def test_the_label_is_what_the_transcript_shows(points) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for point in points:
        about = (
            ("reached", "calls").index(point.criterion.name)
            if point.label in ("Yes", "No")
            else None
        )
        if about is not None:
            found = read(point, point.sample.response or "")[about]
            assert found is (point.label == "Yes"), (point.id, point.sample.response)
            seen[point.id.rpartition("-")[2], point.criterion.name] += 1
            continue
        a, b = (
            read(point, text or "") for text in (point.sample.response_a, point.sample.response_b)
        )
        which = [n for n in (0, 1) if a[n] is not b[n]]
        assert any(
            (a[n], b[n]) == ((True, False) if point.label == "A" else (False, True)) for n in which
        )
    assert {way for way, _ in seen} == set(WAYS)
    labels = Counter((p.criterion.name, p.label) for p in points)
    for name in ("reached", "calls"):
        assert labels[name, "Yes"] == pytest.approx(labels[name, "No"], abs=2)


def test_what_differs_is_named_in_the_critique(points) -> None:
    whole = [p for p in points if p.label in ("Yes", "No")]
    for point in whole:
        assert point.critique and point.rejected and point.critique != point.rejected[1]
        assert point.critique[0].isupper()
        tools_named = {tool for tool, *_ in job_of(point)["calls"]} | {job_of(point).get("other")}
        assert (
            any(tool and tool in point.critique for tool in tools_named)
            or "asked for" in point.critique
        )


def test_the_final_message_does_not_give_the_label_away(points) -> None:
    finals: dict[str, list[int]] = {"Yes": [], "No": []}
    for point in points:
        if point.criterion.name == "calls" and point.label in finals:
            finals[point.label].append(len(point.sample.response or ""))
    assert mean(finals["Yes"]) / mean(finals["No"]) < 1.35


def test_same_seed_same_points_and_jobs_stay_together(points) -> None:
    assert list(tools.points(0, 40)) == points[:40]
    groups = {job_of(point)["name"]: point.group for point in points}
    assert all(point.group == groups[job_of(point)["name"]] for point in points)
    assert len(set(groups.values())) == len(load_texts()["jobs"])
