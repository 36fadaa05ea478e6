"""What mene's servers share: the address, access control, the socket, the log, and running until a signal."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

# How long a thread that renders prompts may block the event loop. Long, since frequent switches between threads cost more than
# their work: at 0.5 ms a request took 1.8 times the CPU.
SWITCH_S = 0.02
KEEP_OPEN_S = (
    75  # longer than proxies, which else send a request on a connection that is being closed
)
NOT_ALONE = (
    "{host} can be reached from other machines: give --api-key FILE (one key a line, `openssl rand -hex 24` makes one), "
    "or say --no-auth"
)


def need_packages() -> None:
    """Raises: UsageError: the extra `serve` is not installed."""
    from importlib.util import find_spec

    from mene.errors import UsageError

    missing = [
        name
        for name in ("starlette", "uvicorn", "httptools", "prometheus_client")
        if not find_spec(name)
    ]
    if missing:
        raise UsageError(f'mene serve needs {", ".join(missing)}: pip install "mene[serve]"')


def check_door(
    host: str,
    keys: Path | None,
    no_auth: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> dict[str, Any]:
    """Check access control before anything is opened. Return uvicorn's TLS settings.

    Raises:
        UsageError: other machines could, without a key; keys and none at once; a certificate that is none.
    """
    from mene.errors import UsageError

    tls = tls_of(tls_cert, tls_key)
    if not is_local(host) and keys is None and not no_auth:
        raise UsageError(NOT_ALONE.format(host=host))
    if keys is not None and no_auth:
        raise UsageError("--api-key asks for keys, --no-auth for none; leave one of them out")
    return tls


def tls_of(cert: Path | None, key: Path | None) -> dict[str, Any]:
    """Return uvicorn's TLS settings; empty without TLS.

    Raises:
        UsageError: one of the files is missing, cannot be read, or they do not belong together.
    """
    import ssl

    from mene.errors import UsageError

    if (cert is None) != (key is None):
        raise UsageError("TLS needs both --tls-cert and --tls-key")
    if cert is None or key is None:
        return {}
    for name, path in (("--tls-cert", cert), ("--tls-key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise UsageError(f"{name} {path}: cannot read it: {error.strerror}") from None
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            cert,
            key,
            password="",  # else it asks the terminal
        )
    except (ssl.SSLError, ValueError) as error:
        reason = (
            getattr(error, "reason", None)
            or "the files are not a certificate and its key in PEM form"
        )
        raise UsageError(
            f"--tls-cert {cert}, --tls-key {key}: no certificate with its key: {reason}; both are PEM, the key without a password"
        ) from None
    return {"ssl_certfile": str(cert), "ssl_keyfile": str(key)}


def is_local(host: str) -> bool:
    """Return whether the address accepts connections from this machine only."""
    import ipaddress

    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        UsageError: the port is taken, or the address is none of this machine.
    """
    import socket

    from mene.errors import UsageError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(4096)
    except OSError as error:
        made.close()
        reason = error.strerror or str(error)
        raise UsageError(
            f"{host}:{port}: cannot listen: {reason}; choose another port (--port, 0 = any) or --host"
        ) from None
    return made


def address(listening: socket.socket, host: str, tls: dict[str, Any]) -> str:
    """Return the URL for a browser: ``http://127.0.0.1:8080``."""
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{listening.getsockname()[1]}"


def log_to_stderr(verbose: bool) -> None:
    """Log one line per message; from the web server, only warnings and errors."""
    import logging

    from mene.cli.console import say

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"mene: {record.getMessage()}")

    for name, level in (
        ("mene.serve", logging.DEBUG if verbose else logging.INFO),
        ("uvicorn", logging.WARNING),
    ):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = [Lines()]
        logger.propagate = False


def run(app: Any, listening: socket.socket, grace: int, tls: dict[str, Any]) -> int:
    """Serve until a signal arrives. Return the exit code."""
    import logging

    import uvicorn

    from mene.cli.console import say
    from mene.serve.web import Protocol

    config = uvicorn.Config(
        app,
        http=Protocol,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=KEEP_OPEN_S,
        timeout_graceful_shutdown=grace,
        **tls,
    )
    sys.setswitchinterval(SWITCH_S)

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            if self.should_exit:  # uvicorn then cancels everything, and logs each traceback
                logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)
                say("mene: ending at once")
            else:
                say(
                    f"mene: finishing what is under way, for {grace} s at most; Ctrl-C again ends at once"
                )
            super().handle_exit(sig, frame)

    server = Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again at the end
        server.run(sockets=[listening])
    return 0 if server.started else 2
