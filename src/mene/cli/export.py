"""``mene export`` on a terminal."""

from __future__ import annotations

import warnings
from pathlib import Path

from mene.cli.console import Screen, plain, show_json
from mene.train.packages import need_packages


def export_on_screen(
    run: Path,
    output: Path | None,
    forms: list[str] | None,
    name: str | None,
    *,
    data: Path | None,
    results: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """``mene export``. Returns the exit code."""
    need_packages()
    warnings.filterwarnings("ignore", category=FutureWarning)
    from mene.export.run import export

    target = output or run / "export"
    errors = Screen(stderr=True, quiet=quiet)
    with errors.status("") as status:
        found = export(
            run,
            target,
            forms=forms or None,
            name=name,
            data=data,
            results=results,
            on_step=lambda file: status.update(f"writing {plain(file)}"),
        )
    for note in found.notes:
        errors.print(plain(note), style="yellow", soft_wrap=True)
    if as_json:
        show_json({"files": {k: str(v) for k, v in found.files.items()}, "notes": found.notes})
        return 0
    out = Screen()
    for file in found.files.values():
        size = (
            sum(f.stat().st_size for f in file.rglob("*")) if file.is_dir() else file.stat().st_size
        )
        out.print(f"{size / 1e6:9.1f} MB  {plain(file)}", soft_wrap=True)
    out.print(
        f"next     mene judge FILE -c CRITERION --judge {plain(target / 'judge.yaml')}",
        soft_wrap=True,
    )
    return 0
