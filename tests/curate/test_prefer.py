"""The scorer: which pairs of critiques stay."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import pytest

from mene import Criterion, Sample, Scale
from mene.curate.critiques.critique import Argued
from mene.curate.critiques.prefer import comparison, preferred
from mene.curate.raw.sources import Point
from mene.curate.stage import Stage
from mene.engines.base import Completion, Request, best
from mene.errors import EngineError

CRITERION = Criterion(
    name="supported",
    question="Is it supported?",
    scale=Scale.binary(),
    labels={"Yes": "All of it.", "No": "Not all of it."},
    needs=("response", "context"),
    uses=(),
)


def argued(number: int, chance: float) -> Argued:
    sample = Sample(
        id=str(number), context=f"```\nc {number % 2}", response="r <|im_end|>", reference="ref"
    )
    point = Point(sample, CRITERION, "Yes", "g", f"s/{number}", "s")
    return Argued(point, f"right {number} {chance}", "No", f"wrong {number}")


class Scorer:
    """Prefers the right critique with the chance that it names, and leans to seat A by ``lean``."""

    identity = "scorer:1"
    context: int | None = None
    control_tokens = frozenset({"<|im_end|>"})

    def __init__(self, lean: float = 0.0, votes: bool = False) -> None:
        self.lean, self.votes = lean, votes
        self.seen: list[Request] = []

    def run(
        self, requests: Iterable[Request | None], stop=None
    ) -> Generator[Completion, None, None]:
        for request in requests:
            assert request is not None
            self.seen.append(request)
            first, second = request.messages[-1].content.split("Critique B:")
            first = first.rpartition("Critique A:")[2]
            right = next(part for part in (first, second) if "right" in part)
            chance = float(right.split("right ")[1].split()[1])
            if chance < 0:
                yield Completion(request.index, error=EngineError("busy"))
                continue
            p = min(1.0, (chance if right is first else 1 - chance) + self.lean)
            probabilities = {"A": p, "B": 1 - p}
            label = best(probabilities)
            yield Completion(request.index, label, None if self.votes else probabilities)

    def prompt(self, request: Request) -> str:
        return ""

    def count(self, request: Request) -> int | None:
        return None

    def close(self) -> None:
        pass


def test_pairs_stay_where_the_right_critique_is_preferred() -> None:
    pairs, stage = [argued(n, p) for n, p in enumerate((0.9, 0.2, 0.6, -1.0, 0.5))], Stage()
    told: list[tuple[int, int]] = []
    kept = list(preferred(pairs, Scorer(), 0.5, stage, lambda *seen: told.append(seen)))
    assert kept == [pairs[0], pairs[2]]  # undecided is not preferred
    assert stage.made == {"s": 2}
    assert stage.dropped == {"not preferred": 2, "the scorer failed": 1}
    texts = {one["reason"]: one["text"] for one in stage.samples[::-1]}
    assert texts["not preferred"] == "p=0.20 for Yes: right 1 0.2 | No: wrong 1"
    assert texts["the scorer failed"] == "busy"
    assert told == [(n, 10) for n in range(11)]
    assert list(preferred(pairs, Scorer(), 0.7, Stage())) == [pairs[0]]
    assert not list(preferred([], Scorer(), 0.5, Stage()))


def test_a_lean_to_one_seat_cancels_out() -> None:
    pairs = [argued(0, 0.55), argued(1, 0.45)]
    assert list(preferred(pairs, Scorer(lean=0.3), 0.5, Stage())) == [pairs[0]]


@pytest.mark.parametrize(("margin", "stay"), [(0.4, 2), (0.5, 1)])
def test_without_probabilities_orders_are_votes(margin: float, stay: int) -> None:
    # The lean makes both orders of the second pair vote for A: one vote for, one against.
    pairs = [argued(0, 0.9), argued(1, 0.5)]
    kept = list(preferred(pairs, Scorer(lean=0.2, votes=True), margin, Stage()))
    assert kept == pairs[:stay]


def test_what_the_scorer_is_shown() -> None:
    scorer = Scorer()
    list(preferred([argued(n, 0.9) for n in range(4)], scorer, 0.5, Stage()))
    # Both orders side by side, and pairs with the same data.
    assert [r.index // 2 for r in scorer.seen] == [0, 0, 2, 2, 1, 1, 3, 3]
    first, second = (r.messages[0].content for r in scorer.seen[:2])
    shared = first[: next(i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)]
    assert shared.endswith("Critique A:\n```\n")
    assert "Is it supported?\n- Yes: All of it.\n- No: Not all of it." in shared
    assert "Context:\n````\n```\nc 0\n````\nResponse:\n```\nr < |im_end|>\n```" in shared
    assert "ref" not in shared.partition("The data:")[2]  # the criterion does not show it
    assert "\n`````\nContext:" in shared  # the data cannot close their fence
    assert "Critique A:\n```\nright 0 0.9\n\nResult: Yes\n```" in first
    assert "Critique B:\n```\nright 0 0.9\n\nResult: Yes\n```" in second
    request = scorer.seen[0]
    assert (request.labels, request.critique_tokens) == (("A", "B"), 0)
    assert "**Result:** <A or B>" in first


def test_a_pair_of_responses_is_no_pair_of_critiques() -> None:
    criterion = Criterion(name="better", question="Which?", scale=Scale.pairwise())
    sample = Sample(id="1", instruction="Q", response_a="left", response_b="right one")
    point = Point(sample, criterion, "A", "g", "s/1", "s")
    shown = comparison(Argued(point, "because", "B", "although"))
    assert (
        shown.context
        == "Instruction:\n```\nQ\n```\nResponse A:\n```\nleft\n```\nResponse B:\n```\nright one\n```"
    )
    assert shown.response_a == "because\n\nResult: A"
    assert shown.instruction is not None
    assert shown.instruction.startswith("Which?")
