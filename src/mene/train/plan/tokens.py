"""How many tokens a training run reads: counted, estimated from text, or assumed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mene.curate.pair import Pair
from mene.curate.raw.sources import Task, find_source, find_view
from mene.errors import UsageError
from mene.recipe import Data, Recipe
from mene.scale import Scale

if TYPE_CHECKING:
    from mene.train.examples import Pack

SAMPLED = 10_000  # pairs sampled for an estimate
# Share of two responses among a generator's points; most have one pair per two single responses.
MADE_PAIRS = 1 / 3


@dataclass(frozen=True)
class Tokens:
    """What a run reads in one epoch; ``how`` says whether counted, estimated or assumed.

    Attributes:
        tree: nodes of all prefix trees; ``largest`` of one, ``squares`` summed over nodes squared.
        plain: tokens of all prompts with the chosen, and again with the rejected completion.
        logits: nodes whose logits are needed; ``logits_most`` of one tree.
    """

    pairs: int
    packs: int
    tree: int
    plain: int
    largest: int
    squares: float
    logits: int
    logits_most: int
    how: str


def count_tokens(packs: list[Pack], how: str = "counted") -> Tokens:
    """Return the tokens of packs made by ``mene.train.examples.packed`` from all pairs, for one epoch."""
    examples = [e for pack in packs for e in pack.examples]
    sizes, nodes = [len(p.tree.ids) for p in packs], [len(p.nodes) for p in packs]
    plain = sum(len(e.prompt) + len(c) for e in examples for c in e.completions)
    squares = float(sum(size**2 for size in sizes))
    ends = (sum(nodes), max(nodes, default=0), how)
    largest = max(sizes, default=0)
    return Tokens(len(examples), len(packs), sum(sizes), plain, largest, squares, *ends)


def estimate_tokens(pairs: Iterable[Pair], recipe: Recipe) -> Tokens:
    """Return an estimate without a tokeniser, from pieces of words and a sample of ``SAMPLED`` pairs.

    Args:
        pairs: as from ``read_pairs``.

    Compared with SmolLM2's tokeniser on ``nano-cpu``, it is 5 % too low in nodes and 12 % too low in plain tokens, since the
    chat template adds 30 to a prompt. The largest pack is that of the sample.
    """
    from mene.engines.in_process.tree import common_start
    from mene.train.examples import Example, packed, sample

    numbers: dict[str, int] = {}

    def ids(text: str) -> list[int]:
        return [numbers.setdefault(piece, len(numbers)) for piece in _PIECES.findall(text)]

    examples = []
    wanted = sample(pairs, recipe.train.pairs, recipe.seed)
    some = sample(wanted, SAMPLED, recipe.seed)
    for p in some:
        prompt = ids("\n\n".join(m.content for m in p.messages))
        both = [ids(p.chosen), ids(p.rejected)]
        same = common_start(*both) if p.mode == "verdict" else 0
        prompt += both[0][:same]
        completions = [one[same:] or one[-1:] for one in both]
        examples.append(Example(p.id, p.source, (), prompt, completions, compared=p.compared))
    found = count_tokens(packed(examples, recipe.train.pack_tokens, recipe.seed), "estimated")
    times = len(wanted) / max(1, len(some))
    summed = ("pairs", "packs", "tree", "plain", "squares", "logits")
    return replace(found, **{name: round(getattr(found, name) * times) for name in summed})


_PIECES = re.compile(r" ?[^\W\d]{1,7}|[^\W\d]{1,5}|\d| ?[^\w\s]+|\s+")


def assume_tokens(
    recipe: Recipe, pairs: int | None = None, prompt: int | None = None, completion: int = 1
) -> Tokens:
    """Return an assumption for a recipe without data.

    Args:
        pairs: default: from the maximum numbers of points of the recipe's sets and generators, and of derived and changed
            points; where ``data.compare`` asks twice about two responses, with the second question.
        prompt: mean tokens of a prompt, of which 100 are a shared rubric; default: as in the built-in sets, 150 plus an
            eighth of ``data.longest``, at most 400.
        completion: mean tokens of a completion; 1 without critiques.

    Raises:
        UsageError: the recipe has tables of the user's own rows, whose number only ``mene curate`` finds out.
    """
    data, most, rubric = recipe.data, recipe.train.pack_tokens, 100
    if data.own and not pairs:
        raise UsageError(
            "data.own: the number of your rows is not known before they are read; run `mene curate` first, then plan"
        )
    pairs = pairs or round(_questions(data) * (1 - data.development))
    pairs = min(pairs, recipe.train.pairs or pairs)
    prompt = max(rubric + 1, prompt or 150 + min(250, data.longest // 8))
    each = max(1, (most - rubric) // (prompt - rubric))
    packs = -(-pairs // each)
    tree = pairs * (prompt - rubric + 2 * completion) + packs * rubric
    logits = each * 2 * completion
    # The longest sample, at 4 characters a token, or what rubrics that many share may add.
    largest = max(2 * most, 150 + data.longest // 4) + logits
    ends = (tree / packs * tree, pairs * 2 * completion, logits, "assumed")
    return Tokens(pairs, packs, tree, 2 * pairs * (prompt + completion), largest, *ends)


def _questions(data: Data) -> float:
    """Return the number of questions about a recipe's points, if there are as many points as it allows."""
    second = 0 if data.compare == "together" else 1
    found = sum(most * (1 + second * _compared(name)) for name, most in data.sources.items())
    found += sum(data.make.values()) * (1 + second * MADE_PAIRS)
    found += sum(data.derive.values()) + second * data.derive.get("pairs", 0)
    # A changed point comes with its original, or is a pair of both.
    return found + sum(data.perturb.values()) * 2


def _compared(source: str) -> float:
    """Return the share of a set's tasks that compare two responses. Its points are balanced over its tasks."""
    tasks = find_source(source).tasks
    return sum(map(_compares, tasks)) / len(tasks)


def _compares(task: Task) -> bool:
    labels = find_view(task.view).labels if task.view else task.labels
    return task.scale is None and Scale.parse("/".join(labels)).kind == "pairwise"
