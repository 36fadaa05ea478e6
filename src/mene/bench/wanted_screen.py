"""What can be had of what a user wants of an aligned judge, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from mene.bench.align_wanted import Reached, Wanted
from mene.bench.promised import least_rows
from mene.bench.screen import figure_text

ASSUMES = "if rows come as those labelled did (drawn alike, none chosen for its label)"


def wanted_lines(wanted: Wanted, reached: Reached) -> Iterator[str]:
    """For a terminal."""
    if reached.cut is None or reached.calibration is None:
        yield from _not_reached(wanted, reached)
        return
    cut, sure = reached.cut, f"with a confidence of {wanted.confidence:g}"
    if (alone := reached.calibration.alone) is not None:
        share = figure_text(reached.figures["decided"], False)
        yield (
            f"The judge may decide alone where p is {alone.at:.3f} or more: {cut.taken} of {cut.rows} rows ({share}), "
            f"{cut.wrong} of them wrong."
        )
        yield (
            f"Promised: {sure}, at most {100 * alone.error:g} % of the labels that it gives alone are wrong "
            f"(each context counted once), {ASSUMES}."
        )
        if reached.taught:
            method = reached.calibration.method
            kind = "no calibration" if method == "none" else f"the calibration ({method})"
            yield f"Other rows, of {reached.taught} contexts or texts, taught {kind} of the judge that is saved."
        return
    at = reached.calibration.threshold
    assert at is not None
    yield f"{at.label} is given where its probability is {at.at:.3f} or more, chosen on {at.rows} independent rows."
    what = "precision" if wanted.precision is not None else "recall"
    value = wanted.precision or wanted.recall or 0.0
    yield f"Promised: {sure}, its {what} is {value:g} or more, {ASSUMES}."
    both = (
        f"{name} {figure_text(reached.figures[name], False)} of {reached.figures[name].n} rows"
        for name in ("precision", "recall")
    )
    some = f" ({reached.missing} of the folds had too few rows for one)" if reached.missing else ""
    yield f"On rows that a threshold was not chosen on{some}: {', '.join(both)}."


def _not_reached(wanted: Wanted, reached: Reached) -> Iterator[str]:
    rows = reached.rows
    yield f"{str(wanted).capitalize()} cannot be promised with these {rows} independent rows (confidence {wanted.confidence:g})."
    least = least_rows(wanted.risk, wanted.confidence)
    if wanted.recall is not None or rows < reached.start:
        yield f"{least} are the least, even of a judge that is never wrong."
        return
    scored = "with the highest probability of it" if wanted.label else "that it is surest of"
    are = "are not" if wanted.label else "are labelled otherwise by"
    end = f" labelled {wanted.label}" if wanted.label else " people"
    yield (
        f"Of the {reached.start} rows {scored}, {reached.wrong} {are}{end}; more labels help where the share is well "
        f"under {100 * wanted.risk:g} %, else another judge."
    )


def wanted_json(wanted: Wanted, reached: Reached) -> dict[str, Any]:
    """For ``--json``."""
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
