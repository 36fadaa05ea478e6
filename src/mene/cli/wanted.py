"""Whether an aligned judge reaches the requested guarantee, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from mene.bench.align.reached import Reached
from mene.bench.align.wanted import Wanted
from mene.cli.bench_tables import figure_text
from mene.stats.intervals import Figure
from mene.stats.promised import least_rows

ASSUMES = (
    "if new rows are drawn like the labelled ones (from the same source, none chosen for its label)"
)


def wanted_lines(wanted: Wanted, reached: Reached) -> Iterator[str]:
    """Yield lines for a terminal."""
    if reached.cut is None or reached.calibration is None:
        yield from _not_reached(wanted, reached)
        return
    cut, sure = reached.cut, f"with a confidence of {wanted.confidence:g}"
    if (alone := reached.calibration.alone) is not None:
        share = figure_text(reached.figures["decided"], False)
        wrong = f"{cut.wrong or 'none'} of them wrong"
        if alone.at > 0:
            which = f"where p is {p_text(alone.at)} or more"
            yield f"The judge may decide alone {which}: {cut.taken} of {cut.rows} rows ({share}), {wrong}."
        else:
            yield f"The judge may decide all rows alone, however sure it is: {cut.rows} rows, {wrong}."
        yield (
            f"Promised: {sure}, at most {100 * alone.error:g} % of the labels that it gives without a person are wrong "
            f"(each context counted once), {ASSUMES}."
        )
        if reached.taught:
            method = reached.calibration.method
            kind = "no calibration" if method == "none" else f"the calibration ({method})"
            yield f"Other rows, of {reached.taught} contexts or texts, taught {kind} of the judge that is saved."
        return
    at = reached.calibration.threshold
    assert at is not None
    if at.at > 0:
        given = f"where its probability is {p_text(at.at)} or more"
    else:
        given = "to every row, however small its probability"
    yield f"{at.label} is given {given}; chosen on {_rows(at.rows, 'independent ')}."
    if wanted.precision is not None and at.at < 1 / len(reached.calibration.labels):
        yield (
            f"So {at.label} is also given where another label is likelier: the judge is precise enough by itself. Ask for a "
            "higher --precision if it should be stricter."
        )
    what = "precision" if wanted.precision is not None else "recall"
    value = wanted.precision or wanted.recall or 0.0
    yield f"Promised: {sure}, its {what} is {value:g} or more, {ASSUMES}."
    both = (_held_out(name, reached.figures[name]) for name in ("precision", "recall"))
    some = f" ({reached.missing} of the folds had too few for one)" if reached.missing else ""
    yield f"On rows that a threshold was not chosen on{some}: {', '.join(both)}."


def p_text(p: float) -> str:
    """Return a threshold with three digits, or more if these would round to 0 or 1."""
    text = f"{p:.3f}"
    return f"{p:.9g}" if text in ("0.000", "1.000") and p not in (0, 1) else text


def _held_out(name: str, figure: Figure) -> str:
    if figure.value is None:
        none = "no row got the label" if name == "precision" else "no row has the label"
        return f"{name} not known ({none})"
    return f"{name} {figure_text(figure, False)} of {_rows(figure.n)}"


def _rows(count: int, kind: str = "") -> str:
    return f"{count or 'no'} {kind}row{'s' * (count != 1)}"


def _not_reached(wanted: Wanted, reached: Reached) -> Iterator[str]:
    these, taught = _rows(reached.rows, "independent "), ""
    if wanted.recall is not None:
        these += f" labelled {wanted.label}"
    if reached.taught:
        taught = f"; those of {reached.taught} other contexts or texts taught the calibration"
    yield f"{str(wanted).capitalize()} cannot be promised with {these} (confidence {wanted.confidence:g}{taught})."
    start = reached.start
    if start is None or reached.rows < start.rows:
        least = least_rows(wanted.risk, wanted.confidence)
        yield f"Even a judge that is never wrong needs at least {least}."
        return
    if start.passed:
        yield (
            "The judge gives the same probability to too many of them, so that no threshold separates them; "
            "another judge, or critique mode, may tell them apart."
        )
        return
    may = f"no more than {start.allowed} may be" if start.allowed else "none may be"
    if wanted.label:
        surest = f"to which it gives {wanted.label} the highest probability"
        wrong = f"{start.wrong} {'is' if start.wrong == 1 else 'are'} not labelled {wanted.label}"
    else:
        surest, wrong = "that it is surest of", f"people label {start.wrong} otherwise"
    first = f"the {start.rows} of them" if start.rows > 1 else "the one of them"
    yield (
        f"The judge is wrong too often where it is most confident: of {first} {surest}, {wrong}, and {may}. More labels help "
        f"if that share is well under {100 * wanted.risk:g} % on many rows; else use another judge."
    )


def wanted_json(wanted: Wanted, reached: Reached) -> dict[str, Any]:
    """Return the data for ``--json``."""
    learned = reached.calibration
    return {
        "asked": {name: value for name, value in asdict(wanted).items() if value is not None},
        "reached": learned is not None,
        "rows": reached.rows,
        "taught": reached.taught,
        "threshold": None
        if learned is None or learned.threshold is None
        else learned.threshold.model_dump(mode="json"),
        "alone": None if learned is None or learned.alone is None else learned.alone.model_dump(),
        "figures": {name: asdict(figure) for name, figure in reached.figures.items()},
        "folds_without": reached.missing,
    }
