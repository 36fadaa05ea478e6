"""A point becomes a training pair: one prompt, the completion to prefer and the one to avoid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from mene.curate.critique import Argued
from mene.curate.mix import rank, wrong_label
from mene.curate.sources import Point
from mene.engines.base import Message
from mene.recipe import Recipe
from mene.template import Template, break_up, load_template

# What the tokenisers of common chat models read as control tokens; broken up in samples' text.
CONTROL_TOKENS = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>"),
    *("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<s>", "</s>"),
)
_CONTROL = re.compile("|".join(map(re.escape, CONTROL_TOKENS)))


def pairs_of(point: Point, recipe: Recipe) -> Iterator[dict[str, Any]]:
    """The training pairs of a point, as they are written: two for a pair asked in both orders, or pointwise.

    Each has ``id``, ``source``, ``criterion``, ``template``, ``mode``, ``messages`` (the prompt),
    ``chosen`` and ``rejected`` (completions), ``label``, ``wrong`` (their labels), ``value`` (a mean score as
    given, or null) and ``group``; of a pair that is asked pointwise also ``pair``, the name of the
    point, which both parts have.
    """
    compared = point.criterion.scale.kind == "pairwise" and recipe.data.compare == "pointwise"
    for seat, seen in _asked(point, recipe).items():
        template = template_of(point, recipe)
        messages = template.render(
            seen.criterion, seen.sample, critique=False, control_tokens=CONTROL_TOKENS
        )
        wrong = wrong_label(seen, recipe.seed)
        yield {
            "id": f"{seen.id}/{seen.criterion.name}{seat and f'/{seat}'}",
            **_about(seen, template, "verdict", _turns(messages, recipe)),
            "chosen": f"{template.cue} {seen.label}",
            "rejected": f"{template.cue} {wrong}",
            "label": seen.label,
            "wrong": wrong,
            "value": seen.value,
            "group": seen.group,
            **({"pair": point.name} if compared else {}),
        }


def critique_pair(argued: Argued, recipe: Recipe) -> dict[str, Any]:
    """The training pair of a point with reasons for its label and for a wrong one, in critique mode."""
    point = argued.point
    template = template_of(point, recipe)
    messages = template.render(
        point.criterion, point.sample, critique=True, control_tokens=CONTROL_TOKENS
    )
    chosen, rejected = (break_up(text, _CONTROL) for text in (argued.right, argued.other))
    return {
        "id": f"{point.id}/{point.criterion.name}/critique",
        **_about(point, template, "critique", _turns(messages, recipe)),
        "chosen": f"{template.opening} {chosen}\n\n{template.cue} {point.label}",
        "rejected": f"{template.opening} {rejected}\n\n{template.cue} {argued.wrong}",
        "label": point.label,
        "wrong": argued.wrong,
        "value": point.value,
        "group": point.group,
    }


def _turns(messages: tuple[Message, ...], recipe: Recipe) -> tuple[Message, ...]:
    """The turns of a prompt, the recipe's system turn among them, as a judge with the same setting has them."""
    if recipe.data.system is None:
        return messages
    return (Message("system", recipe.data.system), *messages)


def _about(
    point: Point, template: Template, mode: str, messages: tuple[Message, ...]
) -> dict[str, Any]:
    return {
        "source": point.source,
        "criterion": point.criterion.name,
        "template": template.name,
        "mode": mode,
        "messages": [{"role": m.role, "content": m.content} for m in messages],
        "labels": list(point.criterion.scale.labels),
    }


def _asked(point: Point, recipe: Recipe) -> dict[str, Point]:
    """What is asked about a point; of a pair shown together in one order, which is drawn, so that no seat wins more often."""
    compare = recipe.data.compare
    if point.criterion.scale.kind != "pairwise" or compare != "together":
        return point.asked(compare)
    orders = point.asked("both-orders")
    drawn = "ab" if rank(recipe.seed, "seat", point.id) < 0.5 else "ba"
    return {drawn: orders[drawn]}


def template_of(point: Point, recipe: Recipe) -> Template:
    """The template drawn for a point; all of a group have the same, so that their prompts begin alike."""
    weights = recipe.data.templates
    left = rank(recipe.seed, "template", point.group, point.criterion.name) * sum(weights.values())
    for name, weight in weights.items():
        left -= weight
        if left < 0:
            return _loaded(name)
    return _loaded(next(reversed(weights)))


@cache
def _loaded(name: str) -> Template:
    return load_template(name)
