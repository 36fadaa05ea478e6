"""The same rows asked in many ways: how much does a judge's figure depend on the prompt's format?

The report tests Selene Mini under several prompt formats (arXiv 2501.17195, figure 3b). A format here is a template, a change
of the criterion (other label names, another scale, a shorter or longer rubric), or another mode; answers are mapped back to the
set's own labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np

from mene.bench.data import Item
from mene.bench.sets import BenchSet
from mene.criterion import Criterion
from mene.judge.preset import Mode
from mene.scale import Scale
from mene.stats.clusters import clusters
from mene.stats.intervals import Figure, mean
from mene.template import Template, load_template, parse_template
from mene.verdict import Verdict

BASE, OTHER_MODE = "base", "other mode"
Back = Callable[[dict[str, float], Criterion], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Format:
    """One way of asking.

    Attributes:
        name: in results.
        template: None = the judge's own.
        mode: None = the run's.
        change: criterion -> the criterion to ask instead; None = does not apply to this kind of scale.
        back: its probabilities -> probabilities of the set's labels.
    """

    name: str
    template: str | None = None
    mode: Mode | None = None
    change: Callable[[Criterion], Criterion | None] = lambda criterion: criterion
    back: Back = lambda p, criterion: p


def _renamed(criterion: Criterion) -> Criterion | None:
    """Yes/No as Pass/Fail, other classes as single letters."""
    scale = criterion.scale
    if scale.kind != "nominal":
        return None
    names = (
        ["Pass", "Fail"]
        if scale.is_binary
        else [chr(ord("P") + i) for i in range(len(scale.labels))]
    )
    texts = criterion.labels or {label: f"{label}." for label in scale.labels}
    return criterion.model_copy(
        update={
            "scale": Scale.classes(*names),
            "labels": {n: texts[label] for n, label in zip(names, scale.labels, strict=True)},
        }
    )


def _by_place(p: dict[str, float], criterion: Criterion) -> dict[str, float]:
    return dict(zip(criterion.scale.labels, p.values(), strict=True))


def _graded(criterion: Criterion) -> Criterion | None:
    """A binary choice as a score from 1 to 5; a 1-5 score as a 1-10 score; a pair with ties."""
    scale = criterion.scale
    if scale.is_binary:
        low, high = scale.labels[1], scale.labels[0]
        extra = f" Score from 1 (certainly {low}) to 5 (certainly {high})."
        return _asked(criterion, extra, Scale.likert(1, 5))
    if scale.kind == "ordinal" and len(scale.labels) == 5:
        return _asked(criterion, " Score from 1 (worst) to 10 (best).", Scale.likert(1, 10))
    if scale.kind == "pairwise" and "tie" not in scale.labels:
        return criterion.model_copy(update={"scale": Scale.pairwise(ties=True), "labels": {}})
    return None


def _asked(criterion: Criterion, extra: str, scale: Scale) -> Criterion:
    question = criterion.question + extra
    return criterion.model_copy(update={"question": question, "scale": scale, "labels": {}})


def _ungraded(p: dict[str, float], criterion: Criterion) -> dict[str, float]:
    scale = criterion.scale
    values = list(p.values())
    if scale.kind == "pairwise":  # a tie counts half for each
        return {"A": p["A"] + p["tie"] / 2, "B": p["B"] + p["tie"] / 2}
    if scale.kind == "ordinal":  # 1 and 2 are 1, ... 9 and 10 are 5
        pairs = zip(values[::2], values[1::2], strict=True)
        return {label: a + b for label, (a, b) in zip(scale.labels, pairs, strict=True)}
    yes = values[3] + values[4] + values[2] / 2
    return {scale.labels[0]: yes, scale.labels[1]: 1 - yes}


def _binary(criterion: Criterion) -> Criterion | None:
    """A score as yes or no."""
    if criterion.scale.kind != "ordinal":
        return None
    question = f"{criterion.question} Is the response good by this standard?"
    return criterion.model_copy(
        update={"question": question, "scale": Scale.binary(), "labels": {}}
    )


def _unbinary(p: dict[str, float], criterion: Criterion) -> dict[str, float]:
    labels = criterion.scale.labels
    return dict.fromkeys(labels, 0.0) | {labels[-1]: p["Yes"], labels[0]: p["No"]}


def _longer(criterion: Criterion) -> Criterion:
    extra = (
        " Read everything before you decide. Judge what is there, not what you would have written. "
        "Weigh each point by how much it matters to the question, look for mistakes that are easy to "
        "miss, and give no credit for style, length or confidence."
    )
    return criterion.model_copy(update={"question": criterion.question + extra})


FORMATS: tuple[Format, ...] = (
    Format(BASE),
    Format("template selene", template="selene"),
    Format("plain text", template="plain"),
    Format("XML", template="xml"),
    Format("Markdown", template="markdown"),
    Format("data first", template="data-first"),
    Format("rubric short", change=lambda c: c.model_copy(update={"labels": {}})),
    Format("rubric long", change=_longer),
    Format("other label names", change=_renamed, back=_by_place),
    Format("other scale", change=_graded, back=_ungraded),
    Format("as yes or no", change=_binary, back=_unbinary),
    Format(OTHER_MODE),
)


def template_of(form: Format, default: Template) -> Template:
    """Return the template of a format: built-in, one of this folder, or the judge's own."""
    if form.template is None:
        return default
    file = resources.files("mene") / "bench" / "probes" / "templates" / f"{form.template}.jinja"
    if file.is_file():
        return parse_template(file.read_text("utf-8"), form.template)
    return load_template(form.template)


def turned_back(form: Format, verdict: Verdict, criterion: Criterion) -> Verdict:
    """Return a verdict, and its orders, mapped back to the labels of the set."""
    if verdict.label is None:
        return verdict
    asked = form.change(criterion)
    if asked is None or asked.scale == criterion.scale:
        return verdict
    given = verdict.probabilities or {
        label: float(label == verdict.label) for label in asked.scale.labels
    }
    p = form.back(given, criterion)
    label = max(p, key=p.__getitem__)
    parts = [turned_back(form, part, criterion) for part in verdict.parts]
    return verdict.model_copy(
        update={
            "label": label,
            "probabilities": p,
            "confidence": p[label],
            "score": criterion.scale.expected(p),
            "parts": parts,
        }
    )


@dataclass(frozen=True, slots=True)
class Spread:
    """One set under all formats.

    Attributes:
        figures: format -> the set's figure.
        flips: format -> share of rows whose label differs from that under ``base``.
        mean, sd: of the figures; ``widest``: the largest minus the smallest. None where no format has a figure.
        flip_rate: mean over formats, with an interval over rows.
        failed: number of missing verdicts over all formats; they count as changed.
    """

    name: str
    figures: dict[str, Figure]
    flips: dict[str, Figure]
    mean: float | None
    sd: float | None
    widest: float | None
    flip_rate: Figure
    failed: int = 0


def spread(
    one: BenchSet,
    items: Sequence[Item],
    figures: dict[str, Figure],
    verdicts: Mapping[str, Mapping[str, Verdict]],
) -> Spread:
    """Summarise one set's formats. ``verdicts``: format -> sample id -> mapped-back verdict."""
    groups = clusters(i.group for i in items)
    labels = {
        name: [_label(given.get(i.sample.id), i) for i in items] for name, given in verdicts.items()
    }
    flips, moved = {}, []
    for name in verdicts:
        if name == BASE:
            continue
        changed = np.array(
            [a is None or a != b for a, b in zip(labels[BASE], labels[name], strict=True)],
            np.float64,
        )
        moved.append(changed)
        flips[name] = mean(changed, groups)
    return Spread(
        one.name,
        figures,
        flips,
        *_moments([f.value for f in figures.values() if f.value is not None]),
        mean(np.mean(moved, axis=0), groups),
        sum(label is None for given in labels.values() for label in given),
    )


def _moments(values: list[float]) -> tuple[float, float, float] | tuple[None, None, None]:
    """Return mean, standard deviation and range."""
    if not values:
        return None, None, None
    sd = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return float(np.mean(values)), float(sd), float(np.ptp(values))


def _label(verdict: Verdict | None, item: Item) -> str | None:
    """Return the label; for a score, the nearest whole label, so that formats can be compared."""
    if verdict is None or verdict.label is None:
        return None
    if item.criterion.scale.kind == "ordinal" and verdict.score is not None:
        return replace(item, gold=verdict.score).label
    return verdict.label
