"""A point becomes a training pair: one prompt, the completion to prefer and the one to avoid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from mene.curate.mix import rank
from mene.curate.sources import Point
from mene.recipe import Recipe
from mene.template import Template, load_template

# What the tokenisers of common chat models read as control tokens; broken up in samples' text.
CONTROL_TOKENS = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>"),
    *("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<s>", "</s>"),
)


def pairs_of(point: Point, recipe: Recipe) -> Iterator[dict[str, Any]]:
    """The training pairs of a point, as they are written: two for a pair asked in both orders.

    Each has ``id``, ``source``, ``criterion``, ``template``, ``mode``, ``messages`` (the prompt),
    ``chosen`` and ``rejected`` (completions), ``label``, ``wrong`` (their labels), ``value`` (a mean score as
    given, or null) and ``group``.
    """
    for seat, seen in _seats(point, recipe):
        template = _template(point, recipe)
        messages = template.render(
            seen.criterion, seen.sample, critique=False, control_tokens=CONTROL_TOKENS
        )
        wrong = wrong_label(seen, recipe.seed)
        yield {
            "id": f"{seen.id}/{seen.criterion.name}{seat}",
            "source": seen.source,
            "criterion": seen.criterion.name,
            "template": template.name,
            "mode": "verdict",
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "labels": list(seen.criterion.scale.labels),
            "chosen": f"{template.cue} {seen.label}",
            "rejected": f"{template.cue} {wrong}",
            "label": seen.label,
            "wrong": wrong,
            "value": seen.value,
            "group": seen.group,
        }


def wrong_label(point: Point, seed: int) -> str:
    """Another label: of a score half the time a neighbour, else any other; of classes any other."""
    labels = point.criterion.scale.labels
    others = [label for label in labels if label != point.label]
    if point.criterion.scale.kind == "ordinal" and rank(seed, "near", point.id) < 0.5:
        at = labels.index(point.label)
        others = [labels[i] for i in (at - 1, at + 1) if 0 <= i < len(labels)]
    return others[int(rank(seed, "wrong", point.id) * len(others))]


def _seats(point: Point, recipe: Recipe) -> Iterator[tuple[str, Point]]:
    if point.criterion.scale.kind != "pairwise":
        yield "", point
        return
    other = {"A": "B", "B": "A"}.get(point.label, point.label)
    swapped = replace(point, sample=point.sample.swapped(), label=other)
    if recipe.data.seats == "both":
        yield "/ab", point
        yield "/ba", swapped
    elif rank(recipe.seed, "seat", point.id) < 0.5:
        yield "/ab", point
    else:
        yield "/ba", swapped


def _template(point: Point, recipe: Recipe) -> Template:
    """The template drawn for a point; both orders of a pair have the same."""
    weights = recipe.data.templates
    left = rank(recipe.seed, "template", point.id, point.criterion.name) * sum(weights.values())
    for name, weight in weights.items():
        left -= weight
        if left < 0:
            return _loaded(name)
    return _loaded(next(reversed(weights)))


@cache
def _loaded(name: str) -> Template:
    return load_template(name)
