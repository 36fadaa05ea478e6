"""From a point to training pairs: one prompt, a preferred completion and a rejected one."""

from __future__ import annotations

from collections.abc import Iterator

from mene.curate.critiques.critique import Argued
from mene.curate.mix import rank, template_of, wrong_label
from mene.curate.pair import Pair
from mene.curate.raw.sources import Point
from mene.message import Message
from mene.recipe import Recipe
from mene.template import Template
from mene.text.control_tokens import CONTROL_TOKENS, TOKENS
from mene.text.fence import break_up, control_pattern

_TOKENS = control_pattern(TOKENS)


def pairs_of(point: Point, recipe: Recipe) -> Iterator[Pair]:
    """Yield the training pairs of a point: two for a pair of responses in both orders, or pointwise. A pointwise tie gives
    none, since neither response is the chosen one."""
    compared = point.criterion.scale.kind == "pairwise" and recipe.data.compare == "pointwise"
    for seat, seen in _asked(point, recipe).items():
        yield _pair(
            seen,
            recipe,
            template_of(point, recipe.data.templates, recipe.seed),
            f"{seen.id}/{seen.criterion.name}{seat and f'/{seat}'}",
            wrong_label(seen, recipe.seed),
            compared=point.name if compared else None,
        )


def critique_pair(argued: Argued, recipe: Recipe) -> Pair:
    """Return the training pair of a point with critiques for its label and a wrong one, in critique mode."""
    point = argued.point
    reasons = break_up(argued.right, _TOKENS), break_up(argued.other, _TOKENS)
    name = f"{point.id}/{point.criterion.name}/critique"
    return _pair(
        point,
        recipe,
        template_of(point, recipe.data.templates, recipe.seed),
        name,
        argued.wrong,
        reasons=reasons,
    )


def _pair(
    point: Point,
    recipe: Recipe,
    template: Template,
    name: str,
    wrong: str,
    *,
    reasons: tuple[str, str] | None = None,
    compared: str | None = None,
) -> Pair:
    scale = point.criterion.scale
    mode = "critique" if reasons else "verdict"
    messages = template.render(
        point.criterion,
        point.sample,
        critique=mode == "critique",
        control_tokens=CONTROL_TOKENS,
    )
    written = template.written(scale)
    return Pair(
        id=name,
        source=point.source,
        criterion=point.criterion.name,
        template=template.name,
        mode=mode,
        messages=_turns(messages, recipe),
        labels=written,
        label=written[scale.labels.index(point.label)],
        wrong=written[scale.labels.index(wrong)],
        critique=reasons[0] if reasons else "",
        rejected_critique=reasons[1] if reasons else "",
        opening=template.opening,
        cue=template.cue,
        gap=template.gap,
        joint=template.joint,
        value=point.value,
        group=point.group,
        stage=point.stage,
        compared=compared,
    )


def _turns(messages: tuple[Message, ...], recipe: Recipe) -> tuple[Message, ...]:
    """Return the turns of a prompt with the recipe's system turn, as for a judge with the same setting."""
    if recipe.data.system is None:
        return messages
    return (Message("system", recipe.data.system), *messages)


def _asked(point: Point, recipe: Recipe) -> dict[str, Point]:
    """Return the questions about a point; for a pair shown together, in a random order, so that no position wins more often."""
    compare = recipe.data.compare
    if point.criterion.scale.kind != "pairwise" or compare != "together":
        return point.asked(compare)
    orders = point.asked("both-orders")
    drawn = "ab" if rank(recipe.seed, "seat", point.id) < 0.5 else "ba"
    return {drawn: orders[drawn]}
