"""The end of a command: its exit code, one line for an error, and streams that can print any character."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import mene.text.visible  # noqa: F401  (knows how streams write out what their encoding lacks)
from mene.errors import MeneError


def run_to_its_end(app: Callable[[], object]) -> NoReturn:
    """Run the command line, and exit: errors become one line and a code, never a traceback."""
    _ready_streams()
    stdout, code = sys.stdout, 0
    try:
        app()
    except SystemExit as end:
        # typer replaces the stream if the reader of a pipe has ended (`| head`): this is not an error.
        code = end.code if sys.stdout is stdout else 0
        sys.stdout = stdout
    except MeneError as error:
        # The request is wrong; a key, a library or a model is missing; a ledger is broken.
        code = _failed(str(error))
    except OSError as error:
        # A folder that cannot be created, a full disk: the name and the reason are enough.
        where = error.filename or "a file"
        code = _failed(
            f"{where}: {error.strerror or error}; check the path, its rights and the disk"
        )
    except Exception as error:
        if os.environ.get("MENE_TRACEBACK"):
            raise
        code = _failed(
            f"this should not happen: {type(error).__name__}: {error}; please report it, with the output of "
            "the same command with MENE_TRACEBACK=1 before it"
        )
    sys.exit(_flushed(code))


def _flushed(code: Any) -> Any:
    """Return the exit code, after flushing the output; when Python exits, a closed pipe would be an error."""
    if sys.stdout is None:  # closed before we began
        return code
    try:
        sys.stdout.flush()
        return code
    except OSError as error:
        from mene.cli.console import let_go

        let_go(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return code
        return _failed(f"standard output: {error.strerror or error}")


def _ready_streams() -> None:
    """Let standard output and error print any character: those not in their encoding are escaped as in JSON."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="visible")


def _failed(message: str) -> int:
    from mene.cli.console import say
    from mene.text.redact import bare_url

    say(f"mene: {bare_url(message)}")
    return 2
