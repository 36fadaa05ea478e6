"""Critiques for the right label and for a wrong one, for training in critique mode.

The critique for the right label is the set's own, or a teacher's. The one for the wrong label is written by a teacher, who is
asked to argue for it; without a teacher it is the set's own critique for another row of the same task with that label, if
possible from the same group (the same question or context). Generated points (``make/``) have both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from mene.curate.critiques.filter import flaw, trimmed
from mene.curate.mix import rank, wrong_label
from mene.curate.raw.sources import Point
from mene.curate.stage import Stage
from mene.engines.base import Completion, Engine, Request
from mene.judge.ask import request_of
from mene.judge.combine import meant
from mene.message import Message
from mene.template import Template

TOKENS = 320  # maximum length of a teacher's critique

ARGUE = """\
Write the reasoning of a judge whose result is: {label}
Name what in the data speaks for that result, in two to five sentences, and end with the result. Do not
mention other results, and do not mention that you were told which result to reach."""


@dataclass(frozen=True, slots=True)
class Argued:
    """A point with a critique for its label and one for a wrong label.

    Attributes:
        right: critique for ``point.label``.
        wrong: another label.
        other: critique for ``wrong``.
    """

    point: Point
    right: str
    wrong: str
    other: str


def drawn(points: Iterable[Point], share: float, seed: int) -> list[Point]:
    """Return the points that are drawn to get a critique."""
    return [point for point in points if is_drawn(point, share, seed)]


def is_drawn(point: Point, share: float, seed: int) -> bool:
    """Return whether a point is drawn; one drawn for a share is drawn for every larger one."""
    return rank(seed, "critique", point.id, point.criterion.name) < share


def borrowed(
    points: Iterable[Point], share: float, seed: int, side: Callable[[Point], str], stage: Stage
) -> Iterator[Argued]:
    """Yield points with critiques from the sets alone.

    Args:
        share: of the points with a usable critique, 0 to 1.
        side: returns the side of the split for a point; critiques are borrowed from the same side.
        stage: counts what is left out.
    """
    fit: list[Point] = []
    for point in points:
        if point.critique is None:
            continue
        text, labels = trimmed(point.critique), point.criterion.scale.labels
        reason = flaw(text, point.label, labels)
        if point.rejected is not None:
            reason = reason or flaw(point.rejected[1], point.rejected[0], labels)
        if reason:
            stage.drop(reason, point.id, point.critique)
        else:
            fit.append(replace(point, critique=text))
    shelves: dict[tuple[str, ...], list[Point]] = defaultdict(list)
    for point in sorted(fit, key=lambda p: (rank(seed, "shelf", p.id), p.id)):
        shelves[(*_task(point), side(point), point.label)].append(point)
    for point in drawn(fit, share, seed):
        if point.rejected is not None:
            stage.made[point.source] += 1
            yield Argued(point, point.critique or "", *point.rejected)
            continue
        place = (*_task(point), side(point))
        wrong = wrong_label(point, seed)
        labels = point.criterion.scale.labels
        # A rare label, or a set with critiques for one label only.
        if (*place, wrong) not in shelves:
            others = [x for x in labels if x != point.label and (*place, x) in shelves]
            if not others:
                stage.drop("no reason for another label", point.id, point.critique or "")
                continue
            wrong = others[int(rank(seed, "wrong reason", point.id) * len(others))]
        shelf = shelves[(*place, wrong)]
        near = [p for p in shelf if p.group == point.group] or shelf
        other = near[int(rank(seed, "reason", point.id) * len(near))]
        stage.made[point.source] += 1
        yield Argued(point, point.critique or "", wrong, other.critique or "")


def _task(point: Point) -> tuple[str, str]:
    return point.source, point.task


def taught(
    points: Iterable[Point],
    share: float,
    seed: int,
    engine: Engine,
    template_of: Callable[[Point], Template],
    stage: Stage,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Argued]:
    """Yield points with a teacher's critiques: for a wrong label always, for the right one where the set has none.

    Args:
        share: of all points, 0 to 1.
        template_of: returns the template for a point.
        on_done: called with the number of answers so far, and in total.

    Raises:
        MeneError: the engine as a whole failed. A single failed request only drops its point.
    """
    chosen = []
    for point in drawn(points, share, seed):
        if point.rejected is None:
            chosen.append(point)
        else:  # generated points have both critiques
            stage.made[point.source] += 1
            yield Argued(point, point.critique or "", *point.rejected)
    reasons: dict[tuple[int, str], str | None] = {}
    asked: list[tuple[int, str]] = []
    for n, point in enumerate(chosen):
        own = trimmed(point.critique or "")
        labels = point.criterion.scale.labels
        if own and flaw(own, point.label, labels) is None:
            reasons[n, point.label] = own
        else:
            asked.append((n, point.label))
        asked.append((n, wrong_label(point, seed)))
    jobs = [(chosen[n], label) for n, label in asked]
    on_done(0, len(jobs))
    for place, text in argue(jobs, engine, template_of, stage, lambda n: on_done(n, len(jobs))):
        reasons[asked[place]] = text
    for n, point in enumerate(chosen):
        wrong = wrong_label(point, seed)
        right, other = reasons.get((n, point.label)), reasons.get((n, wrong))
        if right and other:
            stage.made[point.source] += 1
            yield Argued(point, right, wrong, other)


def argue(
    jobs: Iterable[tuple[Point, str]],
    engine: Engine,
    template_of: Callable[[Point], Template],
    stage: Stage,
    on_done: Callable[[int], None] = lambda done: None,
) -> Iterator[tuple[int, str | None]]:
    """Let an engine argue for given labels.

    Args:
        on_done: called with the number of answers so far.

    Yields:
        The number of a job and its critique, None where it was left out, in the order of the jobs (so that ``stage`` does not
        depend on the order of the answers). A critique is also left out where the engine's own label after it differs from the
        one it argued for.
    """
    waiting: dict[int, tuple[Point, str, Template]] = {}
    came: dict[int, Completion] = {}

    def requests() -> Iterator[Request]:
        for number, (point, label) in enumerate(jobs):
            template = template_of(point)
            waiting[number] = point, label, template
            yield request(point, label, template, engine, number)

    following = 0
    for done, completion in enumerate(engine.run(requests()), start=1):
        came[completion.index] = completion
        on_done(done)
        while following in came:
            point, label, template = waiting.pop(following)
            text, reason = _read(came.pop(following), point, label, template)
            if reason is not None:
                stage.drop(reason, point.id, text)
            yield following, None if reason else text
            following += 1


def _read(
    completion: Completion, point: Point, label: str, template: Template
) -> tuple[str, str | None]:
    """Return a critique, and why it must be left out (None where it is usable)."""
    if completion.error is not None:
        return str(completion.error), "the teacher failed"
    text = (completion.critique or "").strip().removeprefix(template.opening).strip()
    labels = point.criterion.scale.labels
    written = template.written(point.criterion.scale)
    if reason := flaw(text, written[labels.index(label)], written, template.cue):
        return text, reason
    said = meant(completion, written, labels).label
    return text, "contradicts" if said != label else None


def request(point: Point, label: str, template: Template, engine: Engine, number: int) -> Request:
    """Return the request to a teacher: the prompt in critique mode, with the instruction to argue for a label."""
    asked = request_of(template, point.criterion, point.sample, engine, tokens=TOKENS, index=number)
    *before, last = asked.messages
    written = asked.labels[point.criterion.scale.labels.index(label)]
    text = f"{last.content}\n\n{ARGUE.format(label=written)}"
    return replace(asked, messages=(*before, Message(last.role, text)))
