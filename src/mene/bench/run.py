"""Judge benchmark sets with one judge: a ledger per set, a `summary.json` per judge.

``results/<judge>/<set>.<mode>.jsonl`` holds the verdicts; a repeated run judges only what is missing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mene.bench.data import Item
from mene.bench.score import Score, score
from mene.bench.sets import BenchSet
from mene.errors import UsageError
from mene.events import Events, on_stderr
from mene.files import write_whole
from mene.judge.judge import Judge
from mene.judge.preset import Preset, load_preset
from mene.runs.run import run
from mene.runs.summary import Summary
from mene.runs.tables import Row
from mene.verdict import Compare, Usage, Verdict


@dataclass
class SetResult:
    """One judge on one set.

    Attributes:
        score: the figures.
        verdicts: by sample id.
        summary: costs of this run; rows found in the ledger cost nothing.
        cut: number of rows whose context was truncated.
    """

    score: Score
    verdicts: dict[str, Verdict]
    summary: Summary
    cut: int


def ledger_path(results: Path, judge: str, one: str, mode: str) -> Path:
    """Return the path of a judge's verdicts on a set."""
    return results / slug(judge) / f"{one}.{mode}.jsonl"


def summary_path(results: Path, judge: str, what: str = "summary") -> Path:
    """Return the path of a judge's figures; for a probe, ``what`` is its name."""
    return results / slug(judge) / f"{what}.json"


def check_summaries(results: Path, specs: Iterable[str], what: str = "summary") -> None:
    """Check early that judges' existing summaries can be read, instead of failing after hours of judging.

    Args:
        specs: of the judges, as for ``load_preset``.
        what: as for ``summary_path``.

    Raises:
        UsageError: as for ``read_summary``.
    """
    for spec in specs:
        read_summary(summary_path(results, load_preset(spec).name, what))


def slug(judge: str) -> str:
    """Return a judge's name in a form that is valid as a folder name."""
    return re.sub(r"[^\w.+-]+", "_", judge).strip("_.") or "judge"


def judge_set(
    judge: Judge,
    one: BenchSet,
    items: list[Item],
    ledger: Path | None,
    *,
    events: Events = on_stderr,
) -> SetResult:
    """Judge the rows of a set and score them.

    Args:
        judge: an open judge; asked about pairs as the set's protocol says (``by_protocol``).
        items: the rows, already sampled.
        ledger: None = no file.
        events: called with the progress of the work ``one.name``, in rows (``runs.run.run``).
    """
    judge = by_protocol(judge, one)
    verdicts, summary = collect(judge, one.name, items, ledger, events)
    cut = sum(any("truncated" in note for note in v.notes) for v in verdicts.values())
    found = score(one, items, verdicts)
    return SetResult(found, verdicts, summary, cut)


def by_protocol(judge: Judge, one: BenchSet) -> Judge:
    """Return the judge with the comparison of the set's protocol, where it sees two responses together, in one order or
    both."""
    if judge.compare == "pointwise":
        return judge
    return judge.using(compare="both-orders" if one.both_orders else "together")


def as_compared(preset: Preset, compare: Compare | None) -> Preset:
    """Return the preset under a name of its own where its comparison differs from its default, so that its figures are stored
    separately."""
    if compare is None or (compare == "pointwise") == (preset.compare == "pointwise"):
        return preset
    way = "pointwise" if compare == "pointwise" else "together"
    return preset.model_copy(update={"name": f"{preset.name}-{way}"})


def collect(
    judge: Judge,
    name: str,
    items: list[Item],
    ledger: Path | None,
    events: Events = on_stderr,
) -> tuple[dict[str, Verdict], Summary]:
    """Judge items, each by its own criterion; return verdicts by sample id.

    Args:
        name: of the section in the ledger.
        events: as for ``judge_set``.
    """
    verdicts: dict[str, Verdict] = {}

    def take(verdict: Verdict) -> None:
        verdicts[verdict.id] = verdict

    def rows() -> Iterator[Row]:
        # Rows that share a rubric, a context or a question may be far apart in a set. Judged one after
        # the other, the shared part is read once. The ledger is still in the set's own order.
        for place, item in sorted(enumerate(items), key=lambda numbered: _start(numbered[1])):
            where = f"{name}, row {item.sample.id}"
            yield Row(place, where, item.sample, criterion=item.criterion)

    if ledger is not None:
        ledger.parent.mkdir(parents=True, exist_ok=True)
    summary = run(
        judge,
        (),
        rows(),
        ledger,
        section=name,
        on_verdict=take,
        on_reused=take,
        events=events,
        total=len(items),
    )
    return verdicts, summary


def _start(item: Item) -> tuple[str, str, str]:
    """Return the beginning of a row's prompt, in the order of the ``prefix`` template."""
    return item.criterion.question, item.sample.context or "", item.sample.instruction or ""


def write_summary(
    results: Path, judge: Judge, one: BenchSet, result: SetResult, total: int
) -> None:
    """Write one set's figures into the judge's ``summary.json``; others are kept, and so are figures of the whole set where
    these
    are of a sample."""
    path = summary_path(results, judge.name)
    whole = read_summary(path) or {"judge": judge.name, "runs": {}}
    modes = whole["runs"].setdefault(judge.mode, {})
    old = modes.get(one.name, {})
    now = result.summary
    complete = result.score.rows == total
    if old.get("complete") and not complete and old.get("engine") == judge.engine.identity:
        return
    used = sum((v.usage for v in result.verdicts.values()), Usage())
    # The speed is that of the run that judged most rows, not of one that judged a few missing ones.
    rate = now.rate if 2 * now.judged >= result.score.rows else old.get("rows_per_second")
    entry = {
        **result.score.to_dict(),
        "metric": one.metric,
        "kind": one.kind,
        "set_rows": total,
        "complete": complete,
        "rows_key": rows_key(result.verdicts),
        "cut": result.cut,
        "rows_per_second": round(rate, 3) if rate else None,
        "tokens_read": used.prompt_tokens - used.cached_tokens,
        "engine": judge.engine.identity,
        "template": judge.template.name,
    }
    modes[one.name] = entry
    whole["warning"] = judge.preset.warning.strip()
    write_whole(path, json.dumps(whole, indent=1, ensure_ascii=False))


def rows_key(ids: Iterable[str]) -> str:
    """Return a hash of the rows, to recognise figures on the same rows."""
    return hashlib.blake2b("\n".join(sorted(ids)).encode(), digest_size=8).hexdigest()


def read_summary(path: Path) -> dict[str, Any]:
    """Return a judge's ``summary.json``; empty where there is none yet.

    Raises:
        UsageError: not a file that mene wrote.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: cannot be read ({error}); delete it and run `mene bench` again: "
            "the verdicts are kept"
        ) from None
    if not isinstance(found, dict) or not {"judge", "runs"} <= found.keys():
        raise UsageError(f"{path}: not a summary of `mene bench`; delete it and run it again")
    return found
