"""``mene mcp``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from mene.cli.options import JudgesOption

NO_TIME_S = 24 * 3600.0  # whoever started it ends what takes too long


@dataclass(frozen=True, kw_only=True)
class McpOptions:
    """Options of ``mene mcp``."""

    judge: JudgesOption = None
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more on standard error.")
    ] = False


def mcp(options: McpOptions) -> None:
    """Serve judges to an agent on standard input and output (MCP).

    Agents start it themselves; `mene serve` has the same tools at /mcp, but for the one that reads files.
    """
    import asyncio
    from importlib.util import find_spec

    from mene.cli.listening import log_to_stderr, need_packages
    from mene.cli.serve import bring, presets_of
    from mene.errors import UsageError

    need_packages()
    if find_spec("mcp") is None:
        raise UsageError('mene mcp needs mcp: pip install "mene[serve]"')
    from mene.serve.door import Limits
    from mene.serve.judges import Judges
    from mene.serve.mcp import on_stdio

    log_to_stderr(options.verbose)
    presets = presets_of(options.judge)
    bring(presets)

    async def served() -> None:
        await on_stdio(Judges(presets), Limits(seconds=NO_TIME_S))

    asyncio.run(served())
