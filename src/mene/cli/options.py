"""Options that several commands share, with help texts and checks. A command's own options are in its file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import typer

from mene.errors import UsageError, nearest
from mene.judge.settings import Options
from mene.values.fields import ALIASES

Value = TypeVar("Value")

File = Annotated[
    str,
    typer.Argument(metavar="FILE", help="JSONL, JSON, CSV, TSV or Parquet; - = standard input."),
]
CriterionOption = Annotated[
    str,
    typer.Option(
        "--criterion", "-c", help="Built-in criterion, YAML file, or a question in quotes."
    ),
]
CriteriaOption = Annotated[
    list[str],
    typer.Option(
        "--criterion",
        "-c",
        help="Built-in criterion, YAML file of one or of a set, or a question in quotes; repeatable.",
    ),
]
ScaleOption = Annotated[
    str | None, typer.Option("--scale", "-s", help="1-5, 0-10, yes/no, a/b/tie, good/bad, …")
]
JudgeOption = Annotated[
    str | None,
    typer.Option(
        "--judge",
        "-j",
        help="Preset, preset file, llamacpp:FILE, hf:ID, vllm:ID, openai:MODEL@URL or systemone:MODEL@URL. [MENE_JUDGE, or base]",
    ),
]
JudgesOption = Annotated[
    str | None,
    typer.Option(
        "--judge", "-j", help="One judge or several, comma-separated. [MENE_JUDGE, or base]"
    ),
]
TemplateOption = Annotated[
    str | None, typer.Option("--template", "-t", help="Built-in template or a Jinja file.")
]
ModeOption = Annotated[
    str | None,
    typer.Option(
        "--mode",
        "-m",
        help="critique (reason, then label) or verdict (label only). [set by the judge]",
    ),
]
CompareOption = Annotated[
    str | None,
    typer.Option(
        "--compare",
        help="Two responses: together (one prompt), both-orders (averaged) or pointwise (each alone). [set by the judge]",
    ),
]
MapOption = Annotated[
    list[str] | None, typer.Option("--map", help="FIELD=COLUMN, e.g. response=answer; repeatable.")
]
LabelsOption = Annotated[
    str | None,
    typer.Option("--labels", help='Read labels of the table as labels of the scale: "1=Yes,0=No".'),
]
TokensOption = Annotated[
    int | None,
    typer.Option(
        "--critique-tokens",
        min=1,
        help="Maximum tokens of a critique.",
    ),
]
ThoughtOption = Annotated[
    int | None,
    typer.Option(
        "--thought-tokens",
        min=1,
        help="With --mode verdict: maximum tokens of the reasoning that some remote models always write.",
    ),
]
TruncateOption = Annotated[
    str | None,
    typer.Option(
        "--truncate",
        help="Rows that are too long: cut their context, or the results of tools in them (results).",
    ),
]
RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A built-in recipe (nano) or a YAML file.")
]
ChangesArgument = Annotated[
    list[str] | None, typer.Argument(help="Changes to the recipe, e.g. train.pairs=900.")
]
PairsOption = Annotated[
    Path | None, typer.Option("--data", help="Folder that `mene curate` made. [RECIPE-data]")
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, … [a GPU if there is one]")
]
ConcurrencyOption = Annotated[
    int | None,
    typer.Option("--concurrency", min=1, help="Rows judged at once. [set by the engine]"),
]
RpmOption = Annotated[
    float | None, typer.Option("--rpm", min=0.01, help="Requests per minute to a remote server.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]
FiguresAsJsonOption = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


@dataclass(frozen=True, kw_only=True)
class RowsOptions:
    """Options of every command that shows a judge the rows of a table. A command adds its own in a subclass.

    A field with the name of a setting of the judge sets it (``settings_of``).
    """

    file: File
    scale: ScaleOption = None
    judge: JudgeOption = None
    mode: ModeOption = None
    template: TemplateOption = None
    map_: MapOption = None
    compare: CompareOption = None
    critique_tokens: TokensOption = None
    thought_tokens: ThoughtOption = None
    truncate: TruncateOption = None

    @property
    def columns(self) -> dict[str, str]:
        """Return field -> column from ``--map``. Raises ``UsageError`` as ``columns_of``."""
        return columns_of(self.map_)


def columns_of(pairs: list[str] | None) -> dict[str, str]:
    """Return field -> column from ``--map``.

    Raises:
        UsageError: it is not written ``FIELD=COLUMN``, there is no such field, or a field is given two columns.
    """
    given: list[tuple[str, str]] = []
    for pair in pairs or []:
        field, equals, column = pair.partition("=")
        if not equals or not column:
            raise UsageError(f"--map {pair}: write it like --map response=answer")
        if field not in ALIASES:
            raise UsageError(
                f'--map {pair}: no sample field "{field}"{nearest(field, ALIASES)}; the fields are {", ".join(ALIASES)}'
            )
        given.append((field, column))
    return once_each("--map", given)


def once_each(option: str, given: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """Return name -> value of a repeatable option ``NAME=VALUE``.

    Raises:
        UsageError: a name is given two values, of which only the last would count.
    """
    found: dict[str, Value] = {}
    for name, value in given:
        if found.setdefault(name, value) != value:
            raise UsageError(f"{option}: {name} is given two values; leave one of them out")
    return found


def settings_of(options: object, **more: Any) -> Options:
    """Return the judge's settings from a command's options: the fields with the name of a setting. ``settings.changed`` refuses
    invalid combinations.

    Args:
        more: settings that the command adds.

    Raises:
        UsageError: there is no such mode or way to truncate.
    """
    found = {name: getattr(options, name, None) for name in Options.__annotations__} | more
    if found["truncate"] not in (None, "context", "results"):
        raise UsageError(f"--truncate {found['truncate']}: it is context or results")
    if found["mode"] not in (None, "critique", "verdict"):
        raise UsageError(f"--mode {found['mode']}: it is critique or verdict")
    # A flag that is not given changes nothing, since a preset may have set it.
    return cast("Options", {k: None if v is False else v for k, v in found.items()})
