"""Figures and findings as text: number formats, and what a section says in plain words.

Plain text only, escaped by the template. Nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite

from mene.report.summary import Summary
from mene.stats.agreement import Agreement, Baseline
from mene.stats.intervals import FEWEST, Figure

_FEW = 30  # with fewer rows, every figure is called rough

# Number formats. A missing figure is a dash, never "None" or "nan".


def percent(value: float | None, digits: int = 1) -> str:
    if value is None or not isfinite(value):
        return "–"
    return decimal(value * 100, digits) + "%"


def decimal(value: float | None, digits: int = 2) -> str:
    if value is None or not isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return (text if float(text) else f"{0:.{digits}f}").replace("-", "−")


def number(value: float) -> str:
    return f"{value:,}"


def compact(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e5, "k")):
        if value >= size:
            unit = value / (1e3 if letter == "k" else size)
            return f"{unit:.1f}{letter}" if unit < 100 else f"{unit:.0f}{letter}"
    return f"{value:,.0f}"


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 9.995 else f"{value:,.1f} s"


def span(figure: Figure, form: str = "dec") -> str:
    """Return the interval of a figure, for example ``0.61–0.72``."""
    if figure.low is None:
        return "–"
    write = percent if form == "pct" else decimal
    ends = write(figure.low).removesuffix("%"), write(figure.high)
    return (" to " if figure.low < 0 else "–").join(ends)


# What the figures mean, in words.


def lead(s: Summary) -> str:
    """Return the key sentence about a section."""
    if s.errors == s.rows:
        return (
            f"All {s.rows:,} rows failed; there is no verdict to report."
            if s.rows > 1
            else "The only row failed; there is no verdict to report."
        )
    if s.agreement is not None:
        return _agreement_lead(s.agreement)
    judged = sum(s.shares.values())
    if not judged and s.abstained:
        return f"The judge decided no row; {s.abstained:,} {_rows(s.abstained)} left to a person."
    if not judged:
        return "Both responses of every pair are the same text; there is nothing to choose."
    most = max(s.shares, key=lambda label: s.shares[label])
    share = f"{percent(s.shares[most] / judged, 0)} of {judged:,} {_rows(judged)}"
    if s.mean_score is not None:
        text = f"Mean score {decimal(s.mean_score)}. The most common score is {most}, on {share}."
    elif s.scale is not None and s.scale.kind == "pairwise":
        what = "A tie" if most == "tie" else f"Response {most} wins"
        text = f"{what} on {share}."
    else:
        text = f"“{most}” on {share}."
    if s.rivals:
        return f"{text} What the labels are about is not known, so how far to trust this judge is not known."
    why = "No gold label is on this scale" if s.off_scale else "No gold labels were given"
    return f"{text} {why}, so how far to trust this judge is not known."


def _agreement_lead(a: Agreement) -> str:
    text = f"Agrees with the gold label on {percent(a.accuracy.value)} of {a.n:,} {_rows(a.n)}"
    if a.accuracy.low is not None:
        text += f" (95% interval {span(a.accuracy, 'pct')})"
    best = max(a.baselines, key=lambda b: b.accuracy)
    text += ". " + _against(best)
    if not best.beaten:
        if a.accuracy.low is None:
            text += " Whether it has any skill cannot be told from them."
        elif a.no_better_than_chance:
            text += " On these rows the judge shows no skill."
        elif a.beats_majority:
            text += " It is better than always giving one label."
        else:
            text += (
                " It does tell the labels apart: balanced accuracy is "
                f"{percent(a.balanced_accuracy.value)}, by chance {percent(a.chance)}."
            )
    if a.pearson is not None and a.pearson.value is not None:
        text += f" Scores correlate with the gold at r\u00a0=\u00a0{decimal(a.pearson.value)}"
        text += f" ({span(a.pearson)})." if a.pearson.low is not None else "."
    return text


def _against(best: Baseline) -> str:
    name = {
        "majority": best.name.replace("always", "always answering"),
        "first": "always choosing the first response",
        "longer": "always choosing the longer response",
    }[best.key]
    points = [v and v * 100 for v in (best.over.value, best.over.low, best.over.high)]
    reach = f"{name}, which reaches {percent(best.accuracy)}"
    if points[1] is None:
        return f"Too few rows to compare it with {reach}."
    ends = f"{decimal(points[1], 1)} to {decimal(points[2], 1)}"
    if best.beaten:
        return f"That is {decimal(points[0], 1)} points ({ends}) better than {reach}."
    gap = f"(difference {decimal(points[0], 1)} points, {ends})"
    if best.over.high is not None and best.over.high < 0:
        return f"That is worse than {reach} {gap}."
    return f"These rows do not show that it is better than {reach} {gap}."


def no_claims(sections: Iterable[Summary]) -> Iterator[str]:
    """Yield why some sections have no interval: too few rows."""
    for s in sections:
        a = s.agreement
        if a is not None and a.accuracy.low is None:
            rows = a.n if a.documents is None else a.documents
            if rows >= FEWEST:
                yield (
                    f"{s.criterion} by {s.judge}: most of the {a.n:,} rows have so few contexts or texts that they are worth "
                    f"fewer than {FEWEST} independent rows, too few for an interval, or for any claim; label rows of others"
                )
                continue
            yield (
                f"{s.criterion} by {s.judge}: {rows} independent {_rows(rows)} (those of one context or text count once) "
                f"{'is' if rows == 1 else 'are'} too few for an interval, or for any claim; label {FEWEST} or more, and better 50"
            )


def remarks(s: Summary) -> list[str]:
    """Return caveats about the figures of a section."""
    found = []
    a = s.agreement
    if s.rivals:
        found.append(not_known(s))
    if a is not None:
        if s.source:
            found.append(
                f"The gold labels are {s.source}; that they are about this question is taken on trust."
            )
        if a.n < _FEW:
            found.append(f"Only {a.n} {_rows(a.n)}: every figure here is rough.")
        if a.failed:
            found.append(f"{a.failed:,} failed {_rows(a.failed)} count as wrong.")
        if a.rounded:
            found.append(
                f"{a.rounded:,} gold numbers lie between two labels; right and wrong go by the "
                "nearest label, correlations by the number."
            )
        if a.documents is not None:
            found.append(
                "Rows of one context or text are not independent: the intervals count by "
                f"{a.documents:,} group{'s' * (a.documents != 1)} of them."
            )
        if s.unlabelled:
            found.append(f"{s.unlabelled:,} {_rows(s.unlabelled)} without a gold label left out.")
    if s.off_scale:
        found.append(
            f"{s.off_scale:,} gold {'label is' if s.off_scale == 1 else 'labels are'} "
            f"not on this scale and not scored. Among them: {', '.join(s.strange)}."
        )
    if s.abstained:
        decided = s.rows - s.errors - s.abstained
        found.append(
            f"The judge decided {decided:,} of {s.rows - s.errors:,} {_rows(s.rows - s.errors)} and left {s.abstained:,} to a "
            "person; those are in no share, mean or figure of agreement."
        )
    if s.even:
        found.append(
            f"{s.even:,} pair{'s' * (s.even != 1)} of two responses that are the same text: no choice to be made, and "
            "not in the shares or the agreement."
        )
    return found


def not_known(s: Summary) -> str:
    """Return why a section is not compared with labels that are on its scale."""
    others = " or ".join(f"“{name}”" for name in s.rivals)
    labels = s.source or "the labels"
    return (
        f"Not scored: {labels} may be about {others} as well, and one column is about one question. Name it with "
        "--criterion, or judge with --map label=COLUMN where each question has a column."
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the agreement table; ``mark`` is the chance level, ``trivial`` a baseline."""

    name: str
    figure: Figure
    why: str
    mark: float | None = None
    trivial: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Lines on one axis, written as ``pct`` or ``dec``."""

    name: str
    axis: tuple[float, float]
    form: str
    lines: tuple[Line, ...]


def measures(a: Agreement) -> list[Group]:
    """Return the agreement table."""
    most = a.baselines[0].accuracy if a.baselines else None
    by_chance = f"mean over the gold labels; {percent(a.chance)} by chance"
    right = (
        Line("accuracy", a.accuracy, "share with the gold label", most),
        *(
            Line(b.name, Figure(b.accuracy, None, None, a.n), _over(b), most, trivial=True)
            for b in a.baselines
            # "Always A" may also be the majority baseline: show it once.
            if b.key != "first" or a.baselines[0].name != "always “A”"
        ),
        Line("balanced accuracy", a.balanced_accuracy, by_chance, a.chance),
    )
    beyond = [Line("Cohen’s κ", a.kappa, "exact agreement beyond chance", 0)]
    if a.weighted_kappa and a.pearson and a.spearman:
        beyond += [
            Line("κ, quadratic", a.weighted_kappa, "near misses cost less", 0),
            Line("Pearson r", a.pearson, "expected score with gold", 0),
            Line("Spearman ρ", a.spearman, "the same, by rank", 0),
        ]
    found = [
        Group("Right or wrong", (0, 1), "pct", right),
        Group("Beyond chance", (-1, 1), "dec", tuple(beyond)),
    ]
    if a.ece.value is not None:
        odds = (
            Line("calibration error", a.ece, "mean gap of confidence and accuracy; 0 is best"),
            Line("Brier score", a.brier, "squared error of the probabilities; 0 is best, 2 worst"),
        )
        found.append(Group("Probabilities", (0, 2), "dec", odds))
    return found


def _over(b: Baseline) -> str:
    if b.over.value is None or b.over.low is None or b.over.high is None:
        return "without reading"
    ends = f"{decimal(b.over.low * 100, 1)} to {decimal(b.over.high * 100, 1)}"
    side = "below" if b.over.value < 0 else "above"
    return f"the judge is {decimal(abs(b.over.value) * 100, 1)} points {side} ({ends})"


def _rows(n: int) -> str:
    return "row" if n == 1 else "rows"
