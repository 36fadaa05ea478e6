"""What the smaller commands print: lists of criteria and judges, downloads, reports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table

from mene.cli.console import Screen, plain, say, show, show_json
from mene.cli.judging import PAGE, check_input, check_output, check_own, download_bar
from mene.cli.shown import so_many_rows
from mene.criterion import criterion_names, load_criterion
from mene.engines.embedded import embedded_engine
from mene.errors import MeneError, ModelError, UsageError, nearest, nearest_file
from mene.files import write_whole
from mene.judge.default import default_judge
from mene.judge.open import fetch
from mene.judge.preset import SERVED, Preset, load_preset, preset_names
from mene.runs.read_ledger import LeftOut, read_verdicts
from mene.text.redact import bare_url
from mene.weights.cache import cache_folder
from mene.weights.fetch import home, is_here
from mene.weights.hub import fetch_hub_folder

if TYPE_CHECKING:
    from mene import report
    from mene.report.join import Joins

# Columns of a screen from which a list is a table, and under which it says little of each judge.
WIDE, NARROW = 110, 60


def list_criteria(as_json: bool) -> None:
    """``mene criteria``."""
    found = [load_criterion(name) for name in criterion_names()]
    if as_json:
        show_json([c.model_dump(mode="json") for c in found], indent=1)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "scale", "needs", "question"):
        table.add_column(column, overflow="fold", no_wrap=column == "name")
    for criterion in found:
        table.add_row(
            criterion.name,
            str(criterion.scale),
            ", ".join(criterion.needs),
            plain(" ".join(criterion.question.split())),
        )
    screen = Screen()
    screen.print(table)
    screen.print(
        "\nAny other: a question in quotes, or a YAML file; `mene criteria show NAME` prints one to copy."
    )


def list_judges(as_json: bool) -> None:
    """``mene judges``."""
    found = [load_preset(name) for name in preset_names()]
    if as_json:
        show_json(
            [{**p.model_dump(), "here": is_here(p.weights), "runs_on": _runs_on(p)} for p in found],
            indent=1,
        )
        return
    fast = embedded_engine()
    console = Screen()
    if console.width >= WIDE:
        table = Table(box=None, pad_edge=False)
        for column in ("name", "engine", "here", "about"):
            table.add_column(column, overflow="fold", no_wrap=column != "about")
        for preset in found:
            here = {True: "yes", False: "no", None: "-"}[is_here(preset.weights)]
            table.add_row(preset.name, _runs_on(preset), here, plain(_about(preset)))
        console.print(table)
    else:
        short = console.width < NARROW
        for preset in found:
            here = ", here" if is_here(preset.weights) else ""
            console.print(f"[bold]{preset.name}[/bold]  {_runs_on(preset)}{here}")
            console.print(Padding(plain(_about(preset, short=short)), (0, 0, 0, 2), expand=False))
        if short:
            console.print("\nSizes and warnings: `mene judges --json`, or on a wider screen.")
    if fast.why:
        console.print(f"\nOn llamacpp, which is slower, since {plain(fast.why)}.")
    console.print(f"\nWhere none is named: {plain(default_judge()[0])}. MENE_JUDGE names another.")
    console.print(
        f"Any other: openvino:FILE.gguf, llamacpp:FILE.gguf, hf:ID, openai:MODEL@URL, "
        f"systemone:MODEL@URL. Cache: {plain(cache_folder())}"
    )


def _about(preset: Preset, *, short: bool = False) -> str:
    """What a list says of a judge; ``short``: the first sentence, and the licence.

    The warning of a judge with a licence of its own is about that licence, and the rest of it stands in ``about``.
    """
    licence = f"Licence: {preset.license}." if preset.license else ""
    if short:
        first = re.split(r"[.;:] (?=\D)", preset.about.strip())[0].rstrip(".")
        return " ".join(filter(None, (f"{first}.", licence)))
    parts = (preset.about, licence or preset.warning)
    return " ".join(part.strip() for part in parts if part.strip())


def _runs_on(preset: Preset) -> str:
    """The engine; of an embedded model that is not here, nobody knows yet which one can run it."""
    if preset.engine != "embedded":
        return preset.engine
    path = home(preset.weights)
    return embedded_engine(path).name if path is not None and path.exists() else "embedded"


def pull_on_screen(spec: str) -> None:
    """``mene pull``."""
    preset = load_preset(spec)
    if preset.engine in SERVED:
        raise UsageError(
            f"{spec} runs on a server ({bare_url(preset.weights.url or 'its publisher')}); nothing to pull"
        )
    if preset.weights.path:
        raise UsageError(f"{spec} is a local folder or file; nothing to pull")
    if preset.engine == "transformers" and preset.weights.hub:
        fetch_hub_folder(preset.weights.hub, preset.weights.revision)
        show(f"{spec}: in the hub's cache")
        return
    with download_bar(spec) as progress:
        path = fetch(preset, progress)
    if path is None:
        raise ModelError(f"{spec}: nothing to pull")
    show(path)


def report_on_screen(
    verdicts: Path,
    data: str | None,
    output: Path | None,
    names: dict[str, str],
    as_json: bool,
    labels: str | None = None,
    criteria: Sequence[str] = (),
) -> None:
    """``mene report``."""
    from mene.report import page_of, summarise
    from mene.report.join import Joins
    from mene.report.summary import doubtful
    from mene.report.words import no_claims
    from mene.stats.golds import named, off_scale, read_names

    called = read_names(labels)
    if called and data is None:
        raise UsageError("--labels is for the labels of a table; name it with --data")
    if criteria and data is None:
        raise UsageError("--criterion says what a table's labels are about; name it with --data")

    if not verdicts.is_file():
        raise UsageError(
            f"{verdicts}: cannot read: no such file; give one that `mene judge` wrote{nearest_file(verdicts, ('.jsonl',))}"
        )
    target = output or verdicts.with_suffix(".html")
    check_output(target, verdicts, *([] if data is None else [data]))
    check_own(target, PAGE, "a page")
    left_out, joined, broken = LeftOut(), None, []
    if data is not None:
        check_input(data)
        joined = Joins(data, names, read_verdicts(verdicts))
        broken = [said for _, said in sorted(joined.broken.items())]
        if broken and not joined.samples:
            raise UsageError(f"no row of {data} can be read; the first: {broken[0]}")
    texts = joined.samples if joined else {}
    golds = {
        place: named(one.label, called) for place, one in texts.items() if one.label is not None
    }
    row_of = joined.place if joined else (lambda verdict: verdict.id)
    sections = summarise(
        read_verdicts(verdicts, left_out), golds or None, texts or None, row_of, criteria or None
    )
    if data is not None:
        own = names.get("label", "")  # goes before those that runs named
        sections = [_with_source(s, data, own or s.column) for s in sections]
        sections = sections if criteria else doubtful(sections)
    if not sections:
        raise UsageError(f"{verdicts} has no verdicts; judge something first: `mene judge FILE`")
    asked = list(dict.fromkeys(s.criterion for s in sections))
    for name in criteria:
        if name not in (*asked, *(s.question for s in sections)):
            raise UsageError(
                f'{verdicts}: no verdict on "{name}"{nearest(name, asked)}; it has: {", ".join(asked)}'
            )
    for line in (
        *_left_out(verdicts, data, broken, left_out, joined, sections),
        *off_scale(sections, called),
        *no_claims(sections),
    ):
        say(f"mene: {line}")
    try:
        write_whole(target, page_of(sections, title=verdicts.name))
    except OSError as error:
        raise MeneError(f"{target}: cannot write: {error.strerror}; use --output") from None
    if as_json:
        show_json([_figures(s) for s in sections], indent=1)
        return
    console = Screen()
    for section in sections:
        console.print(f"[bold]{plain(section.criterion)}[/bold] by {plain(section.judge)}")
        if section.question not in ("", section.criterion):
            console.print(f"  {plain(section.question)}")
        left = f", {section.abstained} left to a person" if section.abstained else ""
        console.print(f"  {so_many_rows(section.rows)}, {section.errors} without a verdict{left}")
        for name, figure in _figures(section)["agreement"].items():
            if isinstance(figure, dict) and figure["value"] is not None:
                low, high = figure["low"], figure["high"]
                span = f" [{low:.3f}, {high:.3f}]" if low is not None else ""
                console.print(f"  {name} {figure['value']:.3f}{plain(span)} (n = {figure['n']})")
        if section.rivals:
            console.print("  not scored: what the labels are about is not known")
    if data is None:
        console.print("  no labels to compare with; --data names the table that was judged")
    console.print(f"page     {plain(target)}", soft_wrap=True)


def _with_source(s: report.Summary, table: str, column: str) -> report.Summary:
    where = f"those in the column “{column}” of {table}" if column else f"those of {table}"
    return replace(s, column=column, source=where)


def _left_out(
    verdicts: Path,
    data: str | None,
    broken: list[str],
    left_out: LeftOut,
    joined: Joins | None,
    sections: list[report.Summary],
) -> Iterator[str]:
    """What a reader must know of verdicts and rows that are not in the figures, or not as they seem."""
    if left_out.earlier:
        yield (
            f"{verdicts}: {left_out.earlier:,} of its verdicts not counted: the last run did not ask for them (other rows, "
            "model, prompt or settings); run `mene judge` as you did then to have them counted again"
        )
    for (criterion, judge), rows in left_out.mixed.items():
        yield (
            f"{verdicts}: the last run of {judge} on {criterion} was stopped when it had asked of {so_many_rows(rows)} otherwise "
            "than before; the others count as they were. The same `mene judge` goes on"
        )
    if broken:
        s = "s" * (len(broken) != 1)
        yield f"{data}: {len(broken)} row{s} cannot be read and left out; the first: {broken[0]}"
    if joined is None:
        return
    if joined.lost and joined.lost == sum(section.rows - section.errors for section in sections):
        yield (
            f"no verdict of {verdicts} is about a row of {data}: texts and ids differ; is it the table that was judged?"
        )
    elif joined.lost:
        yield (
            f"{joined.lost:,} verdicts have no label here: no row of {data} has the text that was judged, and none or "
            "several have the id. Give the --map that `mene judge` was given, or judge the table again"
        )
    if joined.by_id:
        yield (
            f"{joined.by_id:,} verdicts found their rows by the ids alone: these texts of {data} are not those that were judged "
            "(it was edited, or read with another --map)"
        )


def _figures(section: report.Summary) -> dict[str, Any]:
    """A section's figures without its rows, for ``--json`` and the screen."""
    from mene.report.words import not_known

    agreement = section.agreement
    figures: dict[str, Any] = {}
    if agreement is not None:
        for name in (
            "accuracy",
            "balanced_accuracy",
            "kappa",
            "weighted_kappa",
            "pearson",
            "spearman",
            "ece",
        ):
            figure = getattr(agreement, name)
            if figure is not None:
                figures[name] = asdict(figure)
        for baseline in agreement.baselines:
            figures[f"baseline: {baseline.name}"] = {
                "value": baseline.accuracy, "low": None, "high": None, "n": agreement.n,
            }  # fmt: skip
    return {
        "criterion": section.criterion,
        "question": section.question or None,
        "judge": section.judge,
        "rows": section.rows,
        "errors": section.errors,
        "abstained": section.abstained,
        "labels": section.shares,
        "off_scale": section.off_scale,
        "mean_score": section.mean_score,
        "mean_confidence": section.mean_confidence,
        "agreement": figures,
        "labels_from": section.source if agreement is not None else None,
        "not_scored": not_known(section) if section.rivals else None,
    }
