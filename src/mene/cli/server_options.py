"""Options that the servers of mene share (`mene serve`, `mene arena serve`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HostOption = Annotated[str, typer.Option("--host", help="Address to listen on.")]
PortOption = Annotated[
    int,
    typer.Option("--port", "-p", min=0, max=65535, help="Port to listen on; 0 = any free one."),
]
TlsCertOption = Annotated[
    Path | None, typer.Option("--tls-cert", help="Certificate (PEM); with --tls-key.")
]
TlsKeyOption = Annotated[
    Path | None, typer.Option("--tls-key", help="Key of the certificate (PEM).")
]
MemoryOption = Annotated[
    float | None, typer.Option("--memory", min=0.1, help="GB of memory for loaded judges.")
]
LogRequestsOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log a line for each request.")
]
