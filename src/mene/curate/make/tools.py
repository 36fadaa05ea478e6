"""An assistant that calls tools: whether it reached what the user wanted, and whether its calls are right.

A job (``tools.yaml``) says what is asked, which calls do it, and what they give. A response does the job, or differs from
that in one known way: a call left out, failed, promised, repeated, made with another value or to another tool, or a result
misread. The final message is confident either way, so that it does not give the label away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count as endless
from itertools import islice
from random import Random
from typing import Any

from mene.curate.make.build import group_of, pair, single
from mene.curate.make.case import sentence
from mene.curate.make.texts import read_texts
from mene.curate.make.views import made_views
from mene.curate.raw.sources import Point
from mene.values.talk import turns
from mene.values.value import as_text

SOURCE = "tools"
TASKS = "reached, calls, better"
WHY = "the calls that do the job are known, and what was changed about them"
SLOT = re.compile(r"\{(\w+)\}")
# What a response does -> is the goal reached, are the calls right.
WAYS = {
    "straight": (True, True),
    "again": (True, True),  # a passing error, then the same call
    "twice": (True, False),
    "detour": (True, False),  # a call to another tool before the right one
    "failed": (False, True),
    "honest": (False, True),
    "misread": (False, True),
    "skipped": (False, False),
    "promised": (False, False),
    "changed": (False, False),  # with a value that the user did not name
    "elsewhere": (False, False),  # another tool in place of the last one
}
WITH_TOOLS, WITH_TURNS, WITH_PAIR = 0.3, 0.25, 0.5  # shares of points
STRANGERS = 2  # tools of other jobs in a list of tools


@dataclass(frozen=True)
class Call:
    """A tool, its arguments and its result."""

    tool: str
    arguments: Any
    result: Any


@dataclass(frozen=True)
class Done:
    """What an assistant does, and what is to be said against it; nothing where all is well."""

    calls: tuple[Call, ...]
    says: str
    why: str = ""


def points(seed: int, count: int) -> Iterator[Point]:
    """Yield ``count`` points."""
    return islice((point for n in endless() for point in of_job(seed, n)), count)


def of_job(seed: int, number: int) -> Iterator[Point]:
    """Yield two responses to a request, of which one is right about the goal or the calls, and perhaps the pair."""
    draw = Random(f"{seed} tools {number}")
    turn, place = divmod(number, len(load_texts()["jobs"]))
    job = load_texts()["jobs"][place]
    about = ("reached", "calls")[turn % 2]
    filled = _filled(job, draw)
    right, wrong = (
        draw.choice([w for w in _ways(job) if WAYS[w][turn % 2] is good]) for good in (True, False)
    )
    shown = _request(job, filled, draw)
    name, group = f"{SOURCE}/{job['name']}-{number}", group_of(SOURCE, job["name"])
    done = {way: acted(way, job, filled, draw) for way in (right, wrong)}
    why = {right: _praise(about, done[right]), wrong: done[wrong].why}
    yes, no = (
        single(
            f"{name}-{way}",
            group,
            about,
            made_views()[about],
            {**shown, "response": transcript(done[way])},
            "Yes" if way == right else "No",
            draw,
            critique=sentence(why[way]),
            rejected=sentence(why[wrong if way == right else right]),
        )
        for way in (right, wrong)
    )
    yield from (yes, no)
    if draw.random() < WITH_PAIR:
        yield pair(yes, no, seed)


def acted(way: str, job: dict[str, Any], slots: dict[str, str], draw: Random) -> Done:
    """Return what the assistant does.

    Args:
        way: see ``WAYS``.
        slots: name -> value; ``city2`` is another value of ``city``.
    """
    calls = tuple(Call(*_put(call, slots)) for call in job["calls"])
    fails, says = _put(job["fails"], slots), _put(draw.choice(job["says"]), slots)
    texts, last = load_texts(), calls[-1]
    failed = replace(last, result=fails)
    match way:
        case "again":
            first = replace(last, result=draw.choice(texts["passing"]))
            return Done((*calls[:-1], first, last), says)
        case "twice":
            why = f"the tool {calls[0].tool} is called twice with the same arguments, which is pointless"
            return Done((calls[0], *calls), says, why)
        case "detour":
            away = Call(job["other"], last.arguments, "no entry")
            why = f"the tool {away.tool} has nothing to do with the request, and is called all the same"
            return Done((away, *calls), says, why)
        case "failed":
            why = f'the tool {last.tool} gave {_brief(fails)}, but the response says "{says}"'
            return Done((*calls[:-1], failed), says, why)
        case "honest":
            error = fails.get("error") if isinstance(fails, dict) else fails
            said = draw.choice(texts["honest"]).format(str(error).removeprefix("error: "))
            why = f"the tool {last.tool} gave {_brief(fails)}, so the request was not done, as the response admits"
            return Done((*calls[:-1], failed), said, why)
        case "misread":
            slot = draw.choice(_found(job))
            false = {**slots, slot: _another(slot, slots, draw)}
            # The same wording, so that only the value differs.
            said = _put(next(t for t in job["says"] if _put(t, slots) == says), false)
            why = f'the tool {last.tool} gave {_brief(last.result)}, but the response says "{said}"'
            return Done(calls, said, why)
        case "skipped":
            whose = f" for {next(iter(last.arguments.values()))}" if _twins(job) else ""
            why = f'there is no call of {last.tool}{whose}, so "{says}" rests on nothing'
            return Done(calls[:-1], says, why)
        case "promised":
            said = draw.choice(texts["promises"])
            why = f'the tool {last.tool} is not called; "{said}" only promises it'
            return Done(calls[:-1], said, why)
        case "changed":
            slot = draw.choice(_asked(job))
            other = {**slots, slot: _another(slot, slots, draw)}
            made = tuple(Call(*_put(call, other)) for call in job["calls"])
            why = f"the calls are made with {other[slot]}, but the user asked for {slots[slot]}"
            return Done(made, says, why)
        case "elsewhere":
            result = "no entry" if _found(job) else {"ok": True}
            wrong = Call(job["other"], last.arguments, result)
            why = f"the tool {wrong.tool} is called where {last.tool} was needed"
            return Done((*calls[:-1], wrong), says, why)
        case _:
            return Done(calls, says)


def _praise(about: str, done: Done) -> str:
    last = done.calls[-1]
    if about == "reached":
        return f'the tool {last.tool} gave {_brief(last.result)}, and the response says so: "{done.says}"'
    made = f"{last.tool} with {_brief(last.arguments)}"
    return f"what is needed is called, with the values of the request: {made}"


def transcript(done: Done) -> str:
    """Return the turns as a judge reads them in a row with messages."""
    messages: list[dict[str, Any]] = []
    for number, call in enumerate(done.calls):
        asked = {"name": call.tool, "arguments": json.dumps(call.arguments)}
        called = {"id": f"c{number}", "type": "function", "function": asked}
        messages.append({"role": "assistant", "content": None, "tool_calls": [called]})
        messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": _written(call)})
    messages.append({"role": "assistant", "content": done.says})
    return as_text(turns(messages), "response") or ""


def _request(job: dict[str, Any], slots: dict[str, str], draw: Random) -> dict[str, str]:
    """Return the instruction, perhaps behind an earlier turn, and perhaps the tools at hand as the context."""
    asked = _put(draw.choice(job["asks"]), slots)
    said = [{"role": "user", "content": asked}]
    if draw.random() < WITH_TURNS:
        user, assistant = draw.choice(load_texts()["before"])
        before = [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
        said = [*before, *said]
    shown = {"instruction": as_text(said, "instruction") or ""}
    if draw.random() < WITH_TOOLS:
        tools = {tool: list(given) for tool, given, _ in job["calls"]}
        if "other" in job:
            tools[job["other"]] = list(job["calls"][-1][1])
        for stranger in draw.sample(load_texts()["jobs"], STRANGERS):
            tool, given, _ = stranger["calls"][-1]
            tools.setdefault(tool, list(given))
        listed = [f"{tool}({', '.join(given)})" for tool, given in sorted(tools.items())]
        shown["context"] = "Tools: " + ", ".join(listed)
    return shown


def _ways(job: dict[str, Any]) -> list[str]:
    """Return what can be told apart in this job."""
    fits = {
        # Only a lookup: a deed done twice is worse than pointless.
        "twice": bool(_found(job)) or (len(job["calls"]) > 1 and not _twins(job)),
        "detour": "other" in job and bool(_found(job)),
        "elsewhere": "other" in job,
        "misread": bool(_found(job)),
        "changed": bool(_asked(job)),
    }
    return [way for way in WAYS if fits.get(way, True)]


def _twins(job: dict[str, Any]) -> bool:
    """Return whether the calls are the same deed for two things, so that the first is no mere lookup."""
    return len({tool for tool, *_ in job["calls"]}) < len(job["calls"])


def _asked(job: dict[str, Any]) -> list[str]:
    """Return the slots that every wording of the request names and that a call is made with."""
    asked = set.intersection(*({*SLOT.findall(text)} for text in job["asks"]))
    given = {*SLOT.findall(json.dumps([given for _, given, _ in job["calls"]]))}
    return sorted(asked & given)


def _found(job: dict[str, Any]) -> list[str]:
    """Return the slots that the last call finds out and every wording of the answer states."""
    said = set.intersection(*({*SLOT.findall(text)} for text in job["says"]))
    asked = {slot for text in job["asks"] for slot in SLOT.findall(text)}
    return sorted((said - asked) & {*SLOT.findall(json.dumps(job["calls"][-1][2]))})


def _filled(job: dict[str, Any], draw: Random) -> dict[str, str]:
    """Return a value for each slot of a job."""
    filled: dict[str, str] = {}
    for slot in sorted({*SLOT.findall(json.dumps(job))}):
        filled[slot] = _another(slot, filled, draw)
    return filled


def _another(slot: str, taken: dict[str, str], draw: Random) -> str:
    """Return a value that neither the slot nor its twin has."""
    kind = slot.rstrip("2")
    used = {taken.get(kind), taken.get(f"{kind}2")}
    return draw.choice([v for v in load_texts()["slots"][kind].split(" | ") if v not in used])


def _put(value: Any, slots: dict[str, str]) -> Any:
    """Return a job's text, list or object with its slots filled; an argument that is a number becomes one."""
    if isinstance(value, dict):
        return {key: _number(_put(one, slots)) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_put(one, slots) for one in value]
    if not isinstance(value, str):
        return value
    return SLOT.sub(lambda found: slots[found[1]], value)


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and re.fullmatch(r"[1-9]\d*", value) else value


def _written(call: Call) -> str:
    return call.result if isinstance(call.result, str) else json.dumps(call.result)


def _brief(result: Any) -> str:
    text = result if isinstance(result, str) else json.dumps(result)
    return '"' + " ".join(text.replace('"', "").strip("{}[]").split()) + '"'


@cache
def load_texts() -> dict[str, Any]:
    """Return ``tools.yaml``."""
    return read_texts("tools.yaml")
