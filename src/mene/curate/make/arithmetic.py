"""Word problems with worked solutions, and solutions with one wrong step that later steps build on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from mene.curate.make.build import made
from mene.curate.make.case import Case, Questions, Told, pick, points_of, sentence
from mene.curate.make.even import Even, gained
from mene.curate.make.problems import Drawn, Worked, asked, drawn, problems, work
from mene.curate.make.slips import Slip, slips
from mene.curate.mix import rank
from mene.curate.raw.sources import Point
from mene.scale import Scale

TASKS = "better, Yes/No (own question), 0-2 to 0-5 (own question)"
WHY = "word problems with worked steps, and with one wrong step that the rest follows from"
ROUNDS = 2000  # maximum number of cases per problem
# In turn; where a problem has none of a kind, the next kind that it has is used.
TURNS = ("operation", "sum", "misread", "sum", "operation", "misread", "skipped", "twice")

TAILS = (
    "",
    " Show the steps.",
    " Explain how you get there.",
    " Work it out step by step.",
    " Please give the steps and the answer.",
)
# (format of a step, separator between steps)
STYLES = (("Step {n}: {text}", "\n"), ("{n}. {text}", "\n"), ("{text}", "\n"), ("{text}", " "))
NUMBERED = 2  # the first of them
ENDS = (
    "Answer: {answer}",
    "So the answer is {answer}.",
    "**{answer}**",
    "That makes {answer}.",
    "The answer is **{answer}**.",
)
ASKED = Questions(
    name="arithmetic",
    alone=(
        "Is the solution right?",
        "Is every step of the solution right, and the answer too?",
        "Does the response come to the right answer?",
        "Is the calculation in the response free of mistakes?",
    ),
    labels={
        "Yes": "All steps follow from the problem, and the answer is right.",
        "No": "A step is wrong or missing, and so is the answer.",
    },
    versus=(
        "Which response solves the problem correctly?",
        "Which response is better?",
        "Which of the two comes to the right answer?",
        "One of the solutions has a wrong step. Which one is right?",
    ),
)
STEPS = (
    "How many steps of the solution are right before the first wrong one? If none is wrong, how many are there?",
    "Count the steps of the solution up to the first wrong one, which does not count.",
)


def points(seed: int, count: int) -> Iterator[Point]:
    """Yield at most ``count`` points, the same for the same seed."""
    return islice(_points(seed), count)


def _points(seed: int) -> Iterator[Point]:
    for case, right, slip, numbered in cases(seed):
        yield from points_of(case, ASKED, seed)
        # With a missing or repeated step, counting right steps is ambiguous.
        if numbered and slip.kind in ("operation", "sum", "misread"):
            yield _score(case, len(right.lines), slip.at, seed)


def cases(seed: int) -> Iterator[tuple[Case, Worked, Slip, bool]]:
    """Yield different cases, one per problem in turn, and whether their steps are numbered."""
    seen: set[tuple[str, str, str]] = set()
    even = Even()
    for turn in range(ROUNDS):
        for problem in sorted(problems(), key=lambda one: rank(seed, "problem", turn, one.name)):
            name = f"arithmetic/{problem.name}.{turn}"
            one = drawn(problem, seed, name)
            right = work(one, problem.steps)
            slip = right and _slip(one, right, even, seed, name)
            if right is None or slip is None:
                continue
            style = pick(range(len(STYLES)), "style", seed, name)
            case = _case(name, one, right, slip, style, seed)
            key = case.instruction, case.right.text, case.wrong.text
            if key not in seen:
                seen.add(key)
                even.add(_gained(slip, right))
                yield case, right, slip, style < NUMBERED


def _slip(one: Drawn, right: Worked, even: Even, seed: int, name: str) -> Slip | None:
    first = int(rank(seed, "kind", name) * len(TURNS))
    for kind in (*TURNS[first:], *TURNS[:first]):
        # Missing and repeated steps alternate, to balance lengths.
        kinds = ("skipped", "twice") if kind in ("skipped", "twice") else (kind,)
        found = [slip for one_kind in kinds for slip in slips(one_kind, one, right)]
        if found:
            at = pick(sorted({slip.at for slip in found}), seed, "step", name)
            here = found if len(kinds) > 1 else [slip for slip in found if slip.at == at]
            here.sort(key=lambda slip: rank(seed, "slip", name, slip.worked.answer, slip.blame))
            return here[even.place([_gained(slip, right) for slip in here])]
    return None


def _gained(slip: Slip, right: Worked) -> Counter[str]:
    """Return what occurs more often in the wrong calculations; numbers count by their digits."""
    wrong, good = (
        re.sub(r"[\d.]+", lambda n: n[0] if len(n[0]) == 1 else "9" * len(n[0]), "\n".join(lines))
        for lines in (
            [line.calculation for line in worked.lines] for worked in (slip.worked, right)
        )
    )
    return gained(wrong, good)


def _case(name: str, one: Drawn, right: Worked, slip: Slip, style: int, seed: int) -> Case:
    end = pick(ENDS, "end", seed, name)

    def text(worked: Worked) -> str:
        line, between = STYLES[style]
        lines = [line.format(n=n, text=found.text) for n, found in enumerate(worked.lines, start=1)]
        return between.join(lines) + "\n" * (1 + style % 2) + end.format(answer=worked.answer)

    return Case(
        id=name,
        group=f"arithmetic:{one.problem.name}",
        instruction=asked(one) + pick(TAILS, "tail", seed, name),
        right=Told(text(right), _praise(right), _blame(slip.false, right, slip.worked)),
        wrong=Told(text(slip.worked), _praise(slip.worked), _blame(slip.blame, slip.worked, right)),
    )


def _praise(worked: Worked) -> str:
    steps = ", then ".join(line.calculation for line in worked.lines)
    return f"every step follows from the problem: {steps}. So {worked.answer} is right."


def _blame(reason: str, mine: Worked, other: Worked) -> str:
    return f"{reason}. So it ends with {mine.answer} where {other.answer} is right."


def _score(case: Case, steps: int, at: int, seed: int) -> Point:
    """Ask for the number of right steps before the first wrong one, for one of the two solutions; all counts equally likely."""
    good = rank(seed, "whole", case.id) < 1 / (steps + 1)
    told = case.right if good else case.wrong
    whole, part = (str(steps), told.praise), (str(at), told.blame)
    (label, true), (other, false) = (whole, part) if good else (part, whole)
    return made(
        f"{case.id}+steps",
        case.group,
        "arithmetic",
        pick(STEPS, seed, "steps", case.id),
        Scale.likert(0, steps),
        {"instruction": case.instruction, "response": told.text},
        label,
        value=float(label),
        critique=sentence(true),
        rejected=(other, sentence(false)),
    )
