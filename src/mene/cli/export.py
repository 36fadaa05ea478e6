"""``mene export``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mene.cli.console import Screen, note, plain, show_json
from mene.cli.options import QuietOption
from mene.cli.training import need_packages
from mene.events import Begin, Event, Warn


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of ``mene export``."""

    run: Annotated[Path, typer.Argument(help="Folder of a run that `mene train` finished.")]
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the files. [RUN/export]")
    ] = None
    form: Annotated[
        list[str] | None,
        typer.Option(
            "--form", help="adapter, adapter.gguf, merged, Q8_0, …; repeatable. [all usual]"
        ),
    ] = None
    name: Annotated[str | None, typer.Option("--name", help="Of the judge. [the run's]")] = None
    share: Annotated[
        float,
        typer.Option(
            "--share", help="How far to go from the adapter it started from to its own, to 1."
        ),
    ] = 1
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder that `mene curate` made, for the card.")
    ] = None
    results: Annotated[
        Path | None, typer.Option("--results", help="Folder of `mene bench`, for the card.")
    ] = None
    json_: Annotated[bool, typer.Option("--json", help="Print the files as JSON.")] = False
    quiet: QuietOption = False


def export(options: ExportOptions) -> None:
    """Write a trained judge's files, and its card.

    The files are for llama.cpp, Ollama, vLLM and mene.
    """
    need_packages()
    from mene.export.run import export as write_files  # loads torch

    target = options.output or options.run / "export"
    errors = Screen(stderr=True, quiet=options.quiet)
    with errors.status("") as status:

        def events(event: Event) -> None:
            match event:
                case Begin(file):
                    status.update(f"writing {plain(file)}")
                case Warn(text):
                    note(errors, text)

        found = write_files(
            options.run,
            target,
            forms=options.form or None,
            name=options.name,
            share=options.share,
            data=options.data,
            results=options.results,
            events=events,
        )
    for text in found.notes:
        errors.print(plain(text), style="yellow", soft_wrap=True)
    if options.json_:
        files = {name: str(file) for name, file in found.files.items()}
        show_json({"files": files, "notes": found.notes})
        return
    out = Screen()
    for file in found.files.values():
        out.print(f"{_size(file) / 1e6:9.1f} MB  {plain(file)}", soft_wrap=True)
    out.print(
        f"next     mene judge FILE -c CRITERION --judge {plain(target / 'judge.yaml')}",
        soft_wrap=True,
    )


def _size(file: Path) -> int:
    """Return the size in bytes of a file, or of all files in a folder."""
    each = file.rglob("*") if file.is_dir() else [file]
    return sum(one.stat().st_size for one in each)
