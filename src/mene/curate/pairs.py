"""A point becomes a training pair: one prompt, the completion to prefer and the one to avoid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
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
APART = ("/a", "/b")  # ends of the ids of the two parts of a pair that is asked apart
_CONTROL = re.compile("|".join(map(re.escape, CONTROL_TOKENS)))


def pairs_of(point: Point, recipe: Recipe) -> Iterator[dict[str, Any]]:
    """The training pairs of a point, as they are written: two for a pair asked in both orders, or apart.

    Each has ``id``, ``source``, ``criterion``, ``template``, ``mode``, ``messages`` (the prompt),
    ``chosen`` and ``rejected`` (completions), ``label``, ``wrong`` (their labels), ``value`` (a mean score as
    given, or null) and ``group``; of a pair that is asked apart also ``pair``, the name of the
    point, which both parts have. A tie gives nothing there: neither response is the one that was chosen.
    """
    for seat, seen in _seats(point, recipe):
        template = template_of(point, recipe)
        messages = template.render(
            seen.criterion, seen.sample, critique=False, control_tokens=CONTROL_TOKENS
        )
        wrong = wrong_label(seen, recipe.seed)
        yield {
            "id": f"{seen.id}/{seen.criterion.name}{seat}",
            **_about(seen, template, "verdict", _turns(messages, recipe)),
            "chosen": f"{template.cue} {seen.label}",
            "rejected": f"{template.cue} {wrong}",
            "label": seen.label,
            "wrong": wrong,
            "value": seen.value,
            "group": seen.group,
            **({"pair": point.name} if seat in APART else {}),
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


def _seats(point: Point, recipe: Recipe) -> Iterator[tuple[str, Point]]:
    if point.criterion.scale.kind != "pairwise":
        yield "", point
        return
    if recipe.data.seats == "apart":
        yield from zip(APART, point.apart(), strict=False)
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
