"""Options that several commands have, each said once. Those of one command stand with it in ``cli.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[
    str,
    typer.Argument(metavar="FILE", help="JSONL, JSON, CSV, TSV or Parquet; - = standard input."),
]
CriterionOption = Annotated[
    str, typer.Option("--criterion", "-c", help="Name, YAML file, or a question in words.")
]
ScaleOption = Annotated[
    str | None, typer.Option("--scale", "-s", help="1-5, 0-10, yes/no, a/b/tie, good/bad, …")
]
JudgeOption = Annotated[
    str | None,
    typer.Option(
        "--judge",
        "-j",
        help="Preset, preset file, llamacpp:FILE, hf:ID, openai:MODEL@URL or systemone:MODEL@URL. [MENE_JUDGE, or base]",
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
        help="critique (reason, then label) or verdict (label only). [the one that the judge was made for]",
    ),
]
CompareOption = Annotated[
    str | None,
    typer.Option(
        "--compare",
        help="Two responses: together (one prompt), both-orders (averaged) or pointwise (each alone). [the judge's own]",
    ),
]
MapOption = Annotated[
    list[str] | None, typer.Option("--map", help="FIELD=COLUMN, e.g. response=answer; repeatable.")
]
LabelsOption = Annotated[
    str | None,
    typer.Option("--labels", help='What the labels of a table are called here: "1=Yes,0=No".'),
]
TokensOption = Annotated[
    int | None,
    typer.Option(
        "--critique-tokens",
        min=1,
        help="Most tokens of a critique; with --mode verdict, of a thought that a remote model cannot leave out.",
    ),
]
TruncateOption = Annotated[
    str | None,
    typer.Option("--truncate", help='"context": cut the context of rows that are too long.'),
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
