"""Responses changed deliberately, with labels that are correct by construction.

*Wrong versions* of a response that people found right: the answer to another question (``swap``), another ``number`` or
``name``, a
``negation``, cut off (``truncate``), with unrelated sentences (``pad``), out of order (``shuffle``), against a formal
requirement
of the instruction (``constraint``). They get the worst label where the change makes it certain, or lose against the original in
a pair. *Style* that should not matter (``filler``, ``markdown``, ``tone``): the label stays. ``sources.yaml`` says which
changes are
valid for a task.
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
DONORS = 12  # rows of other groups searched for a text to borrow
# Of a scale of scores: a response below the middle is not good enough to be worsened.
LEAST_GOOD = 0.5


@dataclass(frozen=True, slots=True)
class Changed:
    """A changed point.

    Attributes:
        original: the point it was made from, where both together are a contrast to learn (another label); else None.
    """

    point: Point
    original: Point | None


def perturb(
    kind: str, points: list[Point], most: int, seed: int, side: Callable[[Point], str]
) -> Iterator[Changed]:
    """Yield at most ``most`` points of one kind (of ``KINDS``).

    Args:
        points: of one set.
        side: returns the side of the split for a point. Borrowed texts are from the same side.
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
    if point.criterion.scale.kind == "pairwise":  # the worse response gets the style
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
    # A broken constraint may be only about a comma or a capital letter.
    if kind != "constraint" and edits.words(text) == edits.words(point.sample.response or ""):
        return None
    # A pair teaches the same contrast in another form, and is valid for every change.
    if certain and draw("form") < 0.5:
        return Changed(_with(point, kind, text, point.order[0]), point)
    better = find_view("better").questions
    wordings = better if kind in ("truncate", "pad", "shuffle") else point.versus or better
    if kind == "constraint":
        wordings = ()  # the row's rubric, which states the constraint
    return Changed(preferring(point, text, f"~{kind}", seed, wordings), None)


def _is_good(point: Point) -> bool:
    if point.order:
        return point.label == point.order[-1]
    scale = point.criterion.scale
    if point.value is None or scale.kind != "ordinal":
        return False
    return point.value >= scale.values[0] + LEAST_GOOD * (scale.values[-1] - scale.values[0])


@dataclass(frozen=True, slots=True)
class _Good:
    """A right response that is to be made wrong.

    Attributes:
        text: the response; ``asked``: its instruction; ``source``: what it is judged by.
        accepted: right answers.
        supported: whether the question is if the source supports the response.
        donors: good responses to other questions.
    """

    point: Point
    text: str
    asked: str
    source: str
    accepted: list[str]
    supported: bool
    donors: list[Point]
    draw: edits.Draw

    @property
    def known(self) -> str:
        """What a reader knows before the response."""
        return f"{self.asked} {self.source}"


# The wrong text, and whether the worst label is certain (else it is only worse than the original).
Wrong = tuple[str, bool]


def _edit(kind: str, point: Point, donors: list[Point], draw: edits.Draw) -> Wrong | None:
    good = _Good(
        point,
        point.sample.response or "",
        point.sample.instruction or "",
        _source(point),
        edits.aliases(point.sample.reference or ""),
        point.criterion.name == "supported",
        donors,
        draw,
    )
    return EDITS[kind](good)


def _constraint(good: _Good) -> Wrong | None:
    spare = "\n".join(donor.sample.response or "" for donor in good.donors)
    question = good.point.criterion.question
    broken = constraints.broken(good.asked, question, good.text, good.draw, spare)
    return (broken[1], True) if broken else None


def _shuffle(good: _Good) -> Wrong | None:
    found = edits.shuffle(good.text, good.draw)
    return (found, False) if found else None


def _truncate(good: _Good) -> Wrong | None:
    if good.point.criterion.name != "correct":
        found = edits.truncate(good.text, good.draw)
        return (found, False) if found else None
    found = edits.truncate_before(good.text, good.accepted)
    if found and edits.overlap(" ".join(good.accepted), found) < edits.STRANGE:
        return found, True
    return None


def _swap(good: _Good) -> Wrong | None:
    other = _borrowed(good, lambda text: text)
    return None if other is None else (other, bool(good.point.versus))


def _pad(good: _Good) -> Wrong | None:
    other = _borrowed(good, lambda text: " ".join(edits.sentences(text)[:2]))
    return None if other is None else (edits.pad(good.text, other), good.supported)


def _borrowed(good: _Good, part: Callable[[str], str]) -> str | None:
    """Return a part of another response that does not answer the question."""
    for donor in good.donors:
        other = part(donor.sample.response or "")
        if not _strange(other, f"{good.known} {good.text}", good.accepted):
            continue
        if not _shares_answer(donor, good.point):
            return other
    return None


def _negation(good: _Good) -> Wrong | None:
    return _certain(good, edits.negate(good.text))


def _number(good: _Good) -> Wrong | None:
    if good.supported:
        return _certain(good, edits.change_number(good.text, good.source, good.draw, good.asked))
    # "The war of 1701" may be right with another year too; only a number that is the answer counts.
    short = [
        one
        for one in good.accepted
        if len(edits.words(one)) <= 3 and not edits.says(good.asked, one)
    ]
    found = edits.change_number(good.text, " ; ".join(short), good.draw, good.known)
    return _certain(good, found)


def _name(good: _Good) -> Wrong | None:
    if not good.supported:
        found = _other_answer(good.text, good.known, good.accepted, good.donors, good.draw)
        return _certain(good, found)
    others = [name for donor in good.donors for name in edits.names(_source(donor))]
    new = [name for name in others if not edits.says(good.known, name)]
    return _certain(good, edits.change_name(good.text, good.source, new, good.draw))


def _certain(good: _Good, found: str | None) -> Wrong | None:
    """Return a changed text, unless a right answer is still in it: the label would be wrong."""
    if found is None:
        return None
    if not good.supported and any(edits.says(found, one) for one in good.accepted):
        return None
    return found, True


EDITS: dict[str, Callable[[_Good], Wrong | None]] = {
    "swap": _swap,
    "number": _number,
    "name": _name,
    "negation": _negation,
    "truncate": _truncate,
    "pad": _pad,
    "shuffle": _shuffle,
    "constraint": _constraint,
}


def _other_answer(
    text: str, known: str, accepted: list[str], donors: list[Point], draw: edits.Draw
) -> str | None:
    """Replace the accepted answer inside ``text`` by that of another question."""
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
    """Return the text that the response is judged by."""
    fields = ("context", "reference")
    return " ".join(getattr(point.sample, f) or "" for f in fields if f in point.criterion.shown)


def _strange(text: str, known: str, accepted: list[str]) -> bool:
    """Return whether a borrowed text says something, but does not answer the new question."""
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
    """Return a few good responses to other questions, from the same side of the split."""
    start = int(draw("donor") * len(points))
    home = side(point)
    found = []
    for step in range(min(len(points), 4 * DONORS)):
        other = points[(start + step) % len(points)]
        if (
            other.group != point.group
            and other.task == point.task
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
