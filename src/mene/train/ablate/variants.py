"""The variants of an ablation: a recipe without one of its parts, with the same budget.

A *variant* leaves out one source, one stage of curation, or one of the two losses. All variants train on the same number of
pairs and steps, with the same seed, and are evaluated on the same development rows. Each is an ordinary run in its own folder,
so an interrupted one can be resumed and a finished one is not repeated (``run.py``). ``effect.py`` compares them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from mene.curate.make.registry import MAKERS
from mene.curate.pair import Pair
from mene.errors import UsageError, nearest
from mene.recipe import Recipe
from mene.train.examples import sample

By = Literal["source", "stage", "loss"]

BETA, SFT = 0.1, 1.0  # used for a loss that the recipe does not have


@dataclass(frozen=True, slots=True)
class Variant:
    """One training of an ablation.

    Attributes:
        name: as in ``--only``.
        title: ``all``, ``without anli_dev``, ``sft only``, …
        without: what it leaves out; empty for the reference.
        recipe: its recipe, with the shared budget as ``train.pairs``.
        keeps: returns whether it trains on a pair.
        usual: whether it is trained by default, without ``--only``.
    """

    name: str
    title: str
    without: str
    recipe: Recipe
    keeps: Callable[[Pair], bool]
    usual: bool = True

    def folder(self, output: Path) -> Path:
        """Return the folder of its run."""
        return output / self.title.replace(" ", "-")

    def pairs(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Return the pairs to train on: as many as the budget allows, drawn by hash from those it keeps."""
        return sample(filter(self.keeps, pairs), self.recipe.train.pairs, self.recipe.seed)


def stages_of(pair: Pair) -> frozenset[str]:
    """Return the stages of curation that made a pair, by their keys under ``data`` in a recipe.

    ``derive`` and ``derive.yes_no``, ``perturb`` and ``perturb.swap``, ``critiques``, ``reasons``; none for a set's own points.
    A point made in two steps (a derived pair with one answer changed) belongs to the last: without that step the point would
    not exist, but without the first it would.
    """
    found = {"critique": {"critiques"}, "reason": {"reasons"}}.get(pair.mode, set())
    made = f"make.{pair.source}" if pair.source in MAKERS else ""
    for stage in filter(None, (pair.stage, made)):
        found |= {stage, stage.partition(".")[0]}
    return frozenset(found)


def variants(
    by: str, recipe: Recipe, pairs: Sequence[Pair], only: Iterable[str] = ()
) -> list[Variant]:
    """Return the trainings of an ablation, the reference first.

    Args:
        by: ``source``, ``stage`` or ``loss``.
        pairs: all of ``train.jsonl``.
        only: names of variants; default: all usual ones. Kinds of a stage (``perturb.swap``) are trained only if named.

    Raises:
        UsageError: an unknown name, no base, or nothing that could be left out.
    """
    if by not in get_args(By):
        raise UsageError(f"--by {by}: it is source, stage or loss{nearest(by, get_args(By))}")
    if recipe.base is None:
        raise UsageError("the recipe has no base: name the model to train; see recipes/nano.yaml")
    if by == "loss":
        made = _losses(recipe)
    else:
        made = [Variant("all", "all", "", recipe, lambda pair: True)]
        made += _sources(recipe, pairs) if by == "source" else _stages(recipe, pairs)
    known = [one.name for one in made[1:]]
    asked = set(only)
    for name in sorted(asked - set(known)):
        raise UsageError(
            f'--only: no variant "{name}"{nearest(name, known)}; there are {", ".join(known)}'
        )
    # Over all possible variants, so that the reference stays the same when more of them are requested later.
    least = min(sum(map(one.keeps, pairs)) for one in made)
    budget = min(recipe.train.pairs or least, least)
    if budget == 0:
        raise UsageError("train.jsonl has no pairs to train on; run `mene curate` again")
    made = [replace(one, recipe=_train(one.recipe, pairs=budget)) for one in made]
    return made[:1] + [v for v in made[1:] if (v.name in asked if asked else v.usual)]


def _sources(recipe: Recipe, pairs: Sequence[Pair]) -> list[Variant]:
    counts = Counter(pair.source for pair in pairs)
    if len(counts) == 1:
        raise UsageError(
            f"train.jsonl holds one source only, {next(iter(counts))}: nothing would be left without it; name more in "
            "data.sources and run `mene curate` again, or use --by stage or --by loss"
        )

    def keeps(pair: Pair, name: str) -> bool:
        return pair.source != name

    return [
        Variant(name, f"without {name}", name, recipe, partial(keeps, name=name))
        for name in sorted(counts)
    ]


def _stages(recipe: Recipe, pairs: Sequence[Pair]) -> list[Variant]:
    counts = Counter(stage for pair in pairs for stage in stages_of(pair))
    if not counts:
        raise UsageError(
            "train.jsonl holds the sets' own points only, of no stage that could be left out; set data.derive, "
            "data.perturb, data.critiques or data.reasons in the recipe and run `mene curate` again, or use --by source"
        )
    if whole := [name for name, count in counts.items() if count == len(pairs)]:
        raise UsageError(
            f"train.jsonl holds nothing but {whole[0]}: nothing would be left without it; use --by source or --by loss"
        )

    def keeps(pair: Pair, name: str) -> bool:
        return name not in stages_of(pair)

    names = [
        name for name in ("derive", "perturb", "make", "critiques", "reasons") if name in counts
    ]
    # A kind that makes up its whole stage would repeat the stage's variant.
    names += sorted(n for n in counts if "." in n and counts[n] < counts[n.partition(".")[0]])
    return [
        Variant(name, f"without {name}", name, recipe, partial(keeps, name=name), "." not in name)
        for name in names
    ]


def _losses(recipe: Recipe) -> list[Variant]:
    joint = _train(recipe, beta=recipe.train.beta or BETA, sft=recipe.train.sft or SFT)
    weights = {"dpo": "beta", "sft": "sft"}
    if recipe.train.bradley_terry:
        weights["bradley_terry"] = "bradley_terry"
    made = [Variant("joint", "joint", "", joint, lambda pair: True)]
    for name, weight in weights.items():
        rest = [other for other in weights if other != name]
        title = f"{rest[0]} only" if len(rest) == 1 else f"without {name}"
        changed = _train(joint, **{weight: 0.0})
        made.append(Variant(title.replace(" ", "-"), title, name, changed, lambda pair: True))
    return made


def _train(recipe: Recipe, **changes: Any) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=changes)})


def is_finished(variant: Variant, output: Path) -> bool:
    """Return whether a variant has been trained to its end."""
    folder = variant.folder(output)
    trained = folder / ("adapter" if variant.recipe.adapter else "model")
    return trained.is_dir() and (folder / "development.jsonl").is_file()


def steps_of(run: Path) -> int:
    """Return the steps of a finished run, from the last line of its log."""
    return json.loads((run / "log.jsonl").read_text("utf-8").splitlines()[-1])["step"]
