"""What a user should know about a judge before trusting its verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from mene.cli.console import note
from mene.criterion import Criterion
from mene.judge.any_judge import AnyJudge
from mene.judge.judge import Judge
from mene.judge.jury import whose_reasons
from mene.judge.preset import Explain, preset_names


def print_notes(
    console: Console, criteria: Sequence[Criterion], judge: AnyJudge, reasons: Explain
) -> None:
    if whose := whose_reasons(judge.judges):
        note(console, f"Note: {whose}")
    about: dict[str, list[str]] = {}  # note -> its criteria
    for criterion in criteria:
        if len(judge.judges) == 1 and (said := alone_words(judge.judges[0], criterion)):
            about.setdefault(said, []).append(criterion.name)
        for each in judge.judges:
            for said in notes(each, criterion, reasons):
                about.setdefault(said, []).append(criterion.name)
    for said, names in about.items():
        of = "" if len(names) == len(criteria) else f" ({', '.join(names)})"
        note(console, f"Note{of}: {said}")


def notes(judge: Judge, criterion: Criterion, reasons: Explain) -> list[str]:
    """Return notes that a user should read before trusting these verdicts, each a line or two."""
    preset, found = judge.preset, []
    about = preset.measured
    if preset.warning and (not about or criterion.name in about or criterion.scale.kind in about):
        found.append(" ".join(preset.warning.split()))
    elif preset.warning:  # its figures were measured on other questions
        found.append(
            f"{judge.name} has not been measured on this question. Small judges may answer another one than yours. Measure it "
            "with `mene align` on at least 20 rows that you have labelled. docs/judges.md has its figures on other questions"
        )
        if criterion.in_words and "context" in criterion.uses:
            found[-1] += (
                ". Where rows have a context, it may say whether that supports the response instead: --uses none shows it the "
                "response alone"
            )
    elif preset.name not in preset_names() and (unfit := judge.unfit(criterion)):
        found.append(unfit)
    if reasons == "failing" and not criterion.failing:
        found.append(
            f"no reasons: {criterion.name} has no failing label (--explain all gives all rows one)"
        )
    return found


def alone_words(judge: Judge, criterion: Criterion) -> str | None:
    """Return the minimum confidence for decisions without a person; None if none was found, or if the judge already abstains."""
    alone = judge.alone(criterion)
    if alone is None or judge.preset.abstain:
        return None
    may = f"alone where p is {alone.at:.2f} or more" if alone.at > 0 else "all rows alone"
    rest = "--abstain gives other rows no label" if alone.at > 0 else "--abstain changes nothing"
    return (
        f"{judge.name} may decide {may}: with a confidence of {alone.confidence:g} at most {100 * alone.error:g} % of the "
        f"labels of such rows are wrong, if they are drawn like the rows it was aligned on. {rest}"
    )
