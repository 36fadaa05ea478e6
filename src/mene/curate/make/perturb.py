"""Responses changed on purpose, with labels that are right by construction.

*Wrong versions* of a response that people found right: the answer to another question (``swap``), another
``number`` or ``name``, a ``negation``, cut off (``truncate``), with a stranger's sentences (``pad``), out of order
(``shuffle``), against what the instruction asks of its form (``constraint``). They get the worst label where the
change makes it certain, or lose against the original in a pair. *Style* that must not matter (``filler``,
``markdown``, ``tone``): the label stays. Which changes are sound for a task stands in ``sources.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from mene.curate.make import constraints, edits
from mene.curate.make.derive import preferring
from mene.curate.mix import rank
from mene.curate.raw.sources import Point, find_view

WRONG = ("swap", "number", "name", "negation", "truncate", "pad", "shuffle", "constraint")
STYLE = ("filler", "markdown", "tone")
KINDS = (*WRONG, *STYLE)
DONORS = 12  # rows of other groups that are looked at for a text to borrow
LEAST_GOOD = 0.5  # of a scale of scores: a response below its middle is not good enough to spoil


@dataclass(frozen=True, slots=True)
class Changed:
    """A changed point.

    Attributes:
        original: the point it was made from where the two are a contrast to learn (another label); else None.
    """

    point: Point
    original: Point | None


def perturb(
    kind: str, points: list[Point], most: int, seed: int, side: Callable[[Point], str]
) -> Iterator[Changed]:
    """At most ``most`` points of one kind (of ``KINDS``).

    Args:
        points: of one set.
        side: the side of a split that a point goes to. What a change borrows is from the same side.
    """
    drawn = [p for p in points if kind in p.perturb and (kind in STYLE or p.sample.response)]
    drawn.sort(key=lambda p: (rank(seed, "perturb", kind, p.id), p.id))
    for point in drawn:
        if most <= 0:
            return
        found = (
            _styled(kind, point, seed) if kind in STYLE else _wrong(kind, point, drawn, seed, side)
        )
        if found is not None:
            most -= 1
            yield replace(found, point=replace(found.point, stage=f"perturb.{kind}"))


def _styled(kind: str, point: Point, seed: int) -> Changed | None:
    field = "response"
    if point.criterion.scale.kind == "pairwise":  # the worse one is dressed up
        field = "response_b" if point.label == "A" else "response_a"
    draw = partial(rank, seed, kind, point.id)
    edit = {"filler": edits.filler, "markdown": edits.markdown, "tone": edits.tone}[kind]
    text = edit(getattr(point.sample, field) or "", draw)
    return Changed(_with(point, kind, text, point.label, field), None)


def _wrong(
    kind: str, point: Point, points: list[Point], seed: int, side: Callable[[Point], str]
) -> Changed | None:
    if not _is_good(point):
        return None
    draw = partial(rank, seed, kind, point.id)
    donors = _donors(point, points, draw, side)
    found = _edit(kind, point, donors, draw)
    if found is None:
        return None
    text, certain = found
    # A comma or a capital letter may be all that a broken constraint is about.
    if kind != "constraint" and edits.words(text) == edits.words(point.sample.response or ""):
        return None
    # A pair teaches the same contrast in the other form; it is sound for every change.
    if certain and draw("form") < 0.5:
        return Changed(_with(point, kind, text, point.order[0]), point)
    better = find_view("better").questions
    wordings = better if kind in ("truncate", "pad", "shuffle") else point.versus or better
    if kind == "constraint":
        wordings = ()  # the row's rubric, which says what the constraint is
    return Changed(preferring(point, text, f"~{kind}", seed, wordings), None)


def _is_good(point: Point) -> bool:
    if point.order:
        return point.label == point.order[-1]
    scale = point.criterion.scale
    if point.value is None or scale.kind != "ordinal":
        return False
    return point.value >= scale.values[0] + LEAST_GOOD * (scale.values[-1] - scale.values[0])


def _edit(
    kind: str, point: Point, donors: list[Point], draw: edits.Draw
) -> tuple[str, bool] | None:
    """The wrong text, and whether the worst label is certain (else it is only worse than the original)."""
    text = point.sample.response or ""
    asked = point.sample.instruction or ""
    source = _source(point)
    accepted = edits.aliases(point.sample.reference or "")
    supported = point.criterion.name == "supported"
    if kind == "constraint":
        spare = "\n".join(donor.sample.response or "" for donor in donors)
        broken = constraints.broken(asked, point.criterion.question, text, draw, spare)
        return (broken[1], True) if broken else None
    if kind == "shuffle":
        found = edits.shuffle(text, draw)
        return (found, False) if found else None
    if kind == "truncate":
        if point.criterion.name == "correct":
            found = edits.truncate_before(text, accepted)
            if found and edits.overlap(" ".join(accepted), found) < edits.STRANGE:
                return found, True
            return None
        found = edits.truncate(text, draw)
        return (found, False) if found else None
    if kind in ("swap", "pad"):
        for donor in donors:
            other = donor.sample.response or ""
            if kind == "pad":
                other = " ".join(edits.sentences(other)[:2])
            if not _strange(other, f"{asked} {source} {text}", accepted):
                continue
            if _shares_answer(donor, point):
                continue
            if kind == "pad":
                return edits.pad(text, other), supported
            return other, bool(point.versus)
        return None
    known = f"{asked} {source}"
    found: str | None
    if kind == "negation":
        found = edits.negate(text)
    elif kind == "number" and supported:
        found = edits.change_number(text, source, draw, asked)
    elif kind == "number":
        # "The war of 1701" is right with another year too; only a number that is the answer counts.
        short = [a for a in accepted if len(edits.words(a)) <= 3 and not edits.says(asked, a)]
        found = edits.change_number(text, " ; ".join(short), draw, known)
    elif supported:
        others = [n for d in donors for n in edits.names(_source(d))]
        found = edits.change_name(
            text, source, [n for n in others if not edits.says(known, n)], draw
        )
    else:
        found = _other_answer(text, known, accepted, donors, draw)
    # A right answer that is still there makes the label wrong.
    if found is None or any(edits.says(found, one) for one in accepted if not supported):
        return None
    return found, True


def _other_answer(
    text: str, known: str, accepted: list[str], donors: list[Point], draw: edits.Draw
) -> str | None:
    """The accepted answer inside ``text`` becomes the accepted one of another question."""
    old = next((a for a in accepted if a[:1].isupper() and a in text and edits.says(text, a)), None)
    if old is None:
        return None
    taken = set(edits.words(f"{known} {text}"))
    fitting = [
        name
        for donor in donors
        for name in edits.aliases(donor.sample.reference or "")[:1]
        if name[:1].isupper() and len(name) > 2 and not taken & set(edits.words(name))
    ]
    if not fitting:
        return None
    return text.replace(old, fitting[int(draw("new") * len(fitting))])


def _source(point: Point) -> str:
    """What the response is held against."""
    fields = ("context", "reference")
    return " ".join(getattr(point.sample, f) or "" for f in fields if f in point.criterion.shown)


def _strange(text: str, known: str, accepted: list[str]) -> bool:
    """Whether a borrowed text says something, and nothing that answers what it now stands under."""
    said = edits.words(text)
    if not said or set(said) <= {"yes", "no", "true", "false"}:
        return False
    if any(edits.says(text, one) or edits.says(one, text) for one in accepted):
        return False
    return edits.overlap(text, known) <= edits.STRANGE


def _shares_answer(one: Point, other: Point) -> bool:
    mine = edits.aliases(one.sample.reference or "")
    theirs = edits.aliases(other.sample.reference or "")
    return any(edits.says(a, b) or edits.says(b, a) for a in mine for b in theirs)


def _donors(
    point: Point, points: list[Point], draw: edits.Draw, side: Callable[[Point], str]
) -> list[Point]:
    """A few good responses to other questions, from the same side of the split."""
    start = int(draw("donor") * len(points))
    home = side(point)
    found = []
    for step in range(min(len(points), 4 * DONORS)):
        other = points[(start + step) % len(points)]
        if (
            other.group != point.group
            and (other.criterion.name, other.criterion.scale)
            == (point.criterion.name, point.criterion.scale)
            and _is_good(other)
            and side(other) == home
        ):
            found.append(other)
            if len(found) == DONORS:
                break
    return found


def _with(point: Point, kind: str, text: str, label: str, field: str = "response") -> Point:
    name = f"{point.id}~{kind}"
    sample = point.sample.model_copy(update={field: text, "id": name})
    return replace(point, id=name, sample=sample, gold=label, critique=None, perturb=())
