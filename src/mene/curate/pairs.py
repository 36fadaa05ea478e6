"""From a point to training pairs: one prompt, a preferred completion and a rejected one."""

from __future__ import annotations

from collections.abc import Iterator

from mene.curate.critiques.critique import Argued, is_drawn
from mene.curate.make.edits import words
from mene.curate.mix import rank, template_of, wrong_label
from mene.curate.pair import Pair, PairMode
from mene.curate.raw.sources import Point
from mene.curate.stage import Stage
from mene.judge.explain import follow_up
from mene.message import Message
from mene.recipe import Recipe
from mene.template import Template
from mene.text.control_tokens import CONTROL_TOKENS, TOKENS
from mene.text.fence import break_up, control_pattern

BRIEF = 80  # words of a reason at most
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


def argued_pairs(argued: Argued, recipe: Recipe, stages: dict[str, Stage]) -> Iterator[Pair]:
    """Yield the training pairs of a point with critiques: in critique mode, and in reason mode, as often as the recipe says.

    Args:
        stages: ``reasons`` counts them, and the critiques that are too long for one.
    """
    point = argued.point
    if is_drawn(point, recipe.data.critiques, recipe.seed):
        yield critique_pair(argued, recipe)
    if is_drawn(point, recipe.data.reasons, recipe.seed):
        stage = stages["reasons"]
        # The turn that asks for a reason wants one or two sentences.
        if len(words(argued.right)) > BRIEF:
            stage.drop("too long for a reason", point.id, argued.right)
        else:
            stage.made[point.source] += 1
            yield reason_pair(argued, recipe)


def critique_pair(argued: Argued, recipe: Recipe) -> Pair:
    """Return the training pair of a point with critiques for its label and a wrong one, in critique mode."""
    template = template_of(argued.point, recipe.data.templates, recipe.seed)
    return _argued(argued, recipe, template, "critique")


def reason_pair(argued: Argued, recipe: Recipe) -> Pair:
    """Return the training pair of a point whose label is given and whose reason is asked for, as by ``judge/explain.py``.

    Its prompt begins with that of the point's pair in verdict mode, so training reads both at the price of one.
    """
    template = template_of(argued.point, recipe.data.templates, recipe.seed)
    pair = _argued(argued, recipe, template, "reason")
    messages = follow_up(pair.request, pair.label, template.why)
    return pair.model_copy(update={"messages": messages})


def _argued(argued: Argued, recipe: Recipe, template: Template, mode: PairMode) -> Pair:
    point = argued.point
    return _pair(
        point,
        recipe,
        template,
        f"{point.id}/{point.criterion.name}/{mode}",
        argued.wrong,
        mode=mode,
        reasons=(break_up(argued.right, _TOKENS), break_up(argued.other, _TOKENS)),
    )


def _pair(
    point: Point,
    recipe: Recipe,
    template: Template,
    name: str,
    wrong: str,
    *,
    mode: PairMode = "verdict",
    reasons: tuple[str, str] = ("", ""),
    compared: str | None = None,
) -> Pair:
    scale = point.criterion.scale
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
        critique=reasons[0],
        rejected_critique=reasons[1],
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
