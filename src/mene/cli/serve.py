"""``mene serve``: options, and the server until it is stopped."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mene.cli.listening import (
    address,
    check_door,
    is_local,
    listen,
    log_to_stderr,
    need_packages,
    run,
)
from mene.cli.options import JudgesOption, once_each
from mene.cli.server_options import (
    HostOption,
    LogRequestsOption,
    MemoryOption,
    PortOption,
    TlsCertOption,
    TlsKeyOption,
)
from mene.errors import UsageError

if TYPE_CHECKING:
    from mene.judge.preset import Preset

SQLITE = b"SQLite format 3\0"  # what its files begin with
IDLE_S = 900.0  # an idle judge is freed after this time


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Options of ``mene serve``."""

    judge: JudgesOption = None
    host: HostOption = "127.0.0.1"
    port: PortOption = 8080
    api_key: Annotated[
        Path | None,
        typer.Option("--api-key", help="File with the accepted API keys, one per line."),
    ] = None
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Let other machines connect without a key.")
    ] = False
    tls_cert: TlsCertOption = None
    tls_key: TlsKeyOption = None
    cors: Annotated[
        list[str] | None,
        typer.Option(
            "--cors", help="Web origin that may send requests, e.g. https://a.org; repeatable."
        ),
    ] = None
    cache: Annotated[
        Path | None, typer.Option("--cache", help="SQLite file in which verdicts are cached.")
    ] = None
    cache_size: Annotated[
        float,
        typer.Option("--cache-size", min=1, help="MB of that file; the oldest verdicts make room."),
    ] = 1000.0
    alias: Annotated[
        list[str] | None,
        typer.Option("--alias", help="NAME=JUDGE: another model name for a judge; repeatable."),
    ] = None
    memory: MemoryOption = None
    idle: Annotated[
        float | None,
        typer.Option(
            "--idle",
            min=0,
            help="Seconds after which an idle judge is freed; 0 = never. [900 with several judges, else never]",
        ),
    ] = None
    queue: Annotated[
        int, typer.Option("--queue", min=1, help="Maximum judgements waiting for one judge.")
    ] = 1024
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Maximum seconds per request.")
    ] = 600.0
    grace: Annotated[
        int,
        typer.Option("--grace", min=0, help="Seconds to finish running requests when stopped."),
    ] = 60
    max_body: Annotated[
        float, typer.Option("--max-body", min=0.001, help="Maximum MB of a request body.")
    ] = 4.0
    log_rows: Annotated[
        bool, typer.Option("--log-rows", help="Write the bodies of requests to standard error.")
    ] = False
    verbose: LogRequestsOption = False


def serve(options: ServeOptions) -> None:
    """Serve judges over HTTP, with a playground.

    It speaks the APIs of System One, OpenAI and Atla, and mene's own (/docs).
    Ctrl-C finishes running requests and stops; a second Ctrl-C stops at once.
    """
    from mene.cli.console import say

    need_packages()
    tls = check_door(
        options.host, options.api_key, options.no_auth, options.tls_cert, options.tls_key
    )
    local = is_local(options.host)
    from mene.serve.app import build_app
    from mene.serve.cache import Cache
    from mene.serve.door import Limits
    from mene.serve.judges import Judges
    from mene.serve.keys import Keys
    from mene.serve.metrics import Meter
    from mene.serve.serving import Serving

    log_to_stderr(options.verbose)
    if options.cache is not None:
        _check_cache(options.cache)
    keys = Keys.read(options.api_key) if options.api_key is not None else None
    presets = presets_of(options.judge)
    names = once_each("--alias", map(_alias, options.alias or ()))
    body = int(options.max_body * 1e6)
    listening = listen(options.host, options.port)
    bring(presets)
    meter = Meter()
    idle_s = options.idle if options.idle is not None else (IDLE_S if len(presets) > 1 else 0)
    judges = Judges(
        presets,
        aliases=names,
        memory=None if options.memory is None else int(options.memory * 1e9),
        idle_s=idle_s or None,
        most=options.queue,
        cache=None
        if options.cache is None
        else Cache(options.cache, int(options.cache_size * 1e6)),
        meter=meter,
    )
    serving = Serving(
        judges,
        meter,
        limits=Limits(body=body, field=body, seconds=options.timeout),
        keys=keys,
        cors=frozenset(options.cors or ()),
        local=local,
        log_rows=options.log_rows,
    )
    at = address(listening, options.host, tls)
    say(f"mene: {', '.join(judges.presets)} at {at} (a playground; its API: /docs; Ctrl-C ends it)")
    sys.exit(run(build_app(serving), listening, options.grace, tls))


def _check_cache(path: Path) -> None:
    """Refuse what is surely a mistake. Other faults of a cache, such as a full disk, end no server."""
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--cache {path}: there is no folder {path.parent}; make it first")
    try:
        with path.open("rb") as file:
            start = file.read(len(SQLITE))
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(
            f"--cache {path}: {error.strerror}; give a file of mene's, or a new one"
        ) from None
    if start and start != SQLITE:
        raise UsageError(f"--cache {path}: not an SQLite file; give a file of mene's, or a new one")


def presets_of(judge: str | None) -> list[Preset]:
    """Return the given judges, or the default for this machine."""
    from mene.cli.opening import judges_named
    from mene.errors import UsageError
    from mene.judge.preset import load_preset

    presets = [load_preset(spec) for spec in judges_named(judge)]
    if not presets:
        raise UsageError("--judge: name one judge at least")
    return presets


def bring(presets: list[Preset]) -> None:
    """Download the weights of all judges before the first request."""
    from mene.cli.opening import downloading
    from mene.judge.open import fetch

    for preset in presets:
        with downloading() as events:
            fetch(preset, events)


def _alias(pair: str) -> tuple[str, str]:
    from mene.errors import UsageError

    name, equals, judge = pair.partition("=")
    if not name or not equals or not judge:
        raise UsageError(f"--alias {pair}: write it like --alias gpt-4o-mini=base")
    return name, judge
