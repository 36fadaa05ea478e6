"""``mene arena serve``: options, and the arena until it is stopped."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mene.cli.arena_database import DEFAULT, DatabaseOption
from mene.cli.listening import (
    address,
    check_door,
    is_local,
    listen,
    log_to_stderr,
    need_packages,
    run,
)
from mene.cli.serve import IDLE_S, bring
from mene.cli.server_options import (
    HostOption,
    LogRequestsOption,
    MemoryOption,
    PortOption,
    TlsCertOption,
    TlsKeyOption,
)

if TYPE_CHECKING:
    from mene.arena.state import Arena
    from mene.arena.store import Store
    from mene.cli.arena_given import Given
    from mene.serve.serving import Serving


@dataclass(frozen=True, kw_only=True)
class ArenaServeOptions:
    """Options of ``mene arena serve``."""

    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            "-j",
            metavar="A,B,…",
            help="Two judges or more, as elsewhere; NAME=openai:MODEL@URL shows one under another name.",
        ),
    ] = None
    database: DatabaseOption = DEFAULT
    host: HostOption = "127.0.0.1"
    port: PortOption = 8090
    public_url: Annotated[
        str | None,
        typer.Option(
            "--public-url",
            metavar="URL",
            help="Where people reach it behind a proxy, e.g. https://arena.example.org.",
        ),
    ] = None
    api_key: Annotated[
        Path | None,
        typer.Option("--api-key", help="File with the keys of voters, one per line."),
    ] = None
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Let people on other machines vote without a key.")
    ] = False
    admin_key: Annotated[
        Path | None,
        typer.Option("--admin-key", help="File with the keys of moderators; opens /admin."),
    ] = None
    tls_cert: TlsCertOption = None
    tls_key: TlsKeyOption = None
    samples: Annotated[
        str | None,
        typer.Option(
            "--samples", metavar="FILE", help="Rows to draw samples from, with --criterion."
        ),
    ] = None
    criterion: Annotated[
        str | None, typer.Option("--criterion", "-c", help="By which these rows are judged.")
    ] = None
    licence: Annotated[str, typer.Option("--licence", help="Of these rows, shown beside each.")] = (
        ""
    )
    terms: Annotated[
        Path | None,
        typer.Option(
            "--terms", help="Text for the page of terms: who runs this, how to reach you."
        ),
    ] = None
    results: Annotated[
        Path | None,
        typer.Option(
            "--results", metavar="FOLDER", help="Of `mene bench`: figures beside the ratings."
        ),
    ] = None
    price: Annotated[
        list[str] | None,
        typer.Option("--price", help="JUDGE=READ/WRITTEN, dollars per million tokens; repeatable."),
    ] = None
    weight: Annotated[
        list[str] | None,
        typer.Option("--weight", help="JUDGE=2: drawn more often than others; repeatable."),
    ] = None
    memory: MemoryOption = None
    idle: Annotated[
        float,
        typer.Option(
            "--idle", min=0, help="Seconds after which an idle judge is freed; 0 = never."
        ),
    ] = IDLE_S
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, help="Maximum seconds per battle.")
    ] = 180.0
    critique_tokens: Annotated[
        int | None,
        typer.Option(
            "--critique-tokens",
            min=1,
            help="Maximum tokens of any judge's critique. [each judge's own]",
        ),
    ] = None
    battles: Annotated[
        int, typer.Option("--battles", min=0, help="Battles per address and hour; 0 = no limit.")
    ] = 240
    newcomers: Annotated[
        int,
        typer.Option("--newcomers", min=0, help="New voters per address and hour; 0 = no limit."),
    ] = 20
    grace: Annotated[
        int, typer.Option("--grace", min=0, help="Seconds to finish running battles when stopped.")
    ] = 30
    verbose: LogRequestsOption = False


def arena_serve(options: ArenaServeOptions) -> None:
    """Serve the arena's pages: people compare two judges and vote.

    Name the judges with --judge a,b,c, at least two. Votes are kept in --database.
    Ctrl-C finishes running battles and stops; a second Ctrl-C stops at once.
    """
    from mene.cli.console import say

    need_packages()
    tls = check_door(
        options.host, options.api_key, options.no_auth, options.tls_cert, options.tls_key
    )
    log_to_stderr(options.verbose)
    from mene.arena.app import build_app
    from mene.arena.store import Store
    from mene.cli.arena_given import read_given

    given = read_given(options)
    listening = listen(options.host, options.port)
    with Store(options.database) as store:
        bring(given.presets)
        arena = _arena(options, given, store, secure=bool(tls) or given.origin.startswith("https:"))
        at = given.origin or address(listening, options.host, tls)
        say(f"mene: an arena of {', '.join(arena.judges)} at {at} (Ctrl-C ends it)")
        code = run(build_app(arena), listening, options.grace, tls)
    sys.exit(code)


def _arena(options: ArenaServeOptions, given: Given, store: Store, secure: bool) -> Arena:
    """Return the arena, with its judges ready."""
    from mene.arena.state import Arena
    from mene.arena.visitors import Hourly
    from mene.arena.voter import read_salt, salt_beside
    from mene.cli.arena_given import sized

    return Arena(
        _serving(options, given),
        store,
        given.samples,
        read_salt(salt_beside(options.database)),
        terms=given.terms,
        admins=given.admins,
        seconds=options.timeout,
        critique_tokens=options.critique_tokens,
        facts=sized(given.facts, given.presets),
        prices=given.prices,
        weights=given.weights,
        secure=secure,
        newcomers=Hourly(options.newcomers, "new voters"),
        battles=Hourly(options.battles, "battles"),
    )


def _serving(options: ArenaServeOptions, given: Given) -> Serving:
    """Return the judges and access control."""
    from mene.arena.app import LIMITS
    from mene.serve.judges import Judges
    from mene.serve.metrics import Meter
    from mene.serve.serving import Serving

    meter = Meter()
    judges = Judges(
        given.presets,
        memory=None if options.memory is None else int(options.memory * 1e9),
        idle_s=options.idle or None,
        meter=meter,
    )
    return Serving(
        judges,
        meter,
        limits=LIMITS,
        keys=given.keys,
        cors=frozenset((given.origin,)) if given.origin else frozenset(),
        local=is_local(options.host) and not given.origin,
    )
