"""A data frame judged by several criteria: the same frame, with columns of verdicts."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, TypeVar, Unpack

from mene.criteria_set import AnyCriterion, Several, load_criteria
from mene.errors import UsageError
from mene.judge.any_judge import AnyJudge
from mene.judge.judge import Judge
from mene.judge.many import judged
from mene.judge.settings import Settings
from mene.runs.check import check_frame
from mene.runs.wide import cells, is_number, overall, series

Frame = TypeVar("Frame")  # of pandas or polars


def judge_frame(
    frame: Frame,
    criteria: AnyCriterion | Several,
    judge: str | AnyJudge | None = None,
    **settings: Unpack[Settings],
) -> Frame:
    """Return a copy of the frame with four more columns per criterion: label, score, confidence and error.

    A set of criteria with weights or ``must_pass`` (``load_criteria``) adds ``overall_score``, 0 to 1, and ``overall_passed``.
    A row that cannot be judged has the reason in ``error``. Existing columns with these names are replaced in the copy.

    Examples:
        >>> import polars
        >>> frame = polars.DataFrame({"response": ["Certainly, it ships today.", "No."]})
        >>> judge_frame(frame, ["tone", "Is the reply polite?"], judge).columns
        ['response', 'tone_label', 'tone_score', 'tone_confidence', 'tone_error', 'is-the-reply-polite_label',
        'is-the-reply-polite_score', 'is-the-reply-polite_confidence', 'is-the-reply-polite_error']

    Args:
        frame: of pandas or polars, with the columns of a table that ``mene judge`` reads.
        criteria: one or several; see ``criteria_set.load_criteria``.
        judge: an open judge, which stays open; or a ``spec`` for ``Judge``, which is opened and closed here. Default: as for
            ``Judge``.
        settings: of a judge that is opened here; see ``Judge``.

    Raises:
        UsageError: it is not a frame, two of its columns have the same name, it has no column for what a criterion needs, or an
            error of ``Judge`` or ``load_criteria``.
    """
    chosen = load_criteria(criteria)
    is_polars, is_pandas = hasattr(frame, "iter_rows"), hasattr(frame, "iloc")
    if not hasattr(frame, "columns") or not (is_polars or is_pandas):
        raise UsageError(
            f"a frame is a DataFrame of pandas or polars, not a {type(frame).__name__}; for dicts or texts there is "
            "Judge(…).judge(samples, criteria)"
        )
    check_frame(frame, chosen)
    with ExitStack() as stack:
        if judge is None or isinstance(judge, str):
            judge = stack.enter_context(Judge(judge, **settings))
        elif settings:
            raise UsageError(
                f"{judge.name} is open already; change it with `judge.using({', '.join(settings)}=…)`"
            )
        verdicts = list(judged(judge, frame, chosen))
    names, many = [criterion.name for criterion in chosen], len(chosen)
    lines = [
        dict(zip(names, verdicts[start : start + many], strict=True))
        for start in range(0, len(verdicts), many)
    ]
    columns = cells(lines, names) | overall(lines, chosen)
    made: Any = frame
    if is_polars:
        return made.with_columns(series(name, values) for name, values in columns.items())
    import pandas

    kinds = {name: "float64" if is_number(name) else "object" for name in columns}
    return made.assign(
        **{
            name: pandas.Series(values, index=made.index, dtype=kinds[name])
            for name, values in columns.items()
        }
    )
