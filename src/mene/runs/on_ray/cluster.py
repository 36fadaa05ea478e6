"""The Ray cluster to use: the one of ``RAY_ADDRESS``, or a local one on this machine's cores; without Ray's output."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mene import __version__
from mene.errors import EngineError, ModelError

# Settings of a local cluster, set before Ray is imported: it listens on the loopback interface only (the first name
# does so on every system), requires a token, and sends no reports.
ALONE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def prepare() -> None:
    """Set the environment variables that Ray reads on import, and check that it is installed.

    Raises:
        ModelError: it is not installed.
    """
    if not os.environ.get("RAY_ADDRESS"):
        for name, value in ALONE.items():
            os.environ.setdefault(name, value)
        if not os.environ.get("RAY_AUTH_TOKEN_PATH"):
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # Ray's log is about its internals; real failures are raised as exceptions.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data  # noqa: F401
    except ImportError as error:
        raise ModelError(f'{error.name} is not installed; run: pip install "mene[ray]"') from None


@contextmanager
def cluster(instead: str = "--engine ray", **own: Any) -> Iterator[None]:
    """Connect to the cluster of ``RAY_ADDRESS``, or start a local one that ends with the block.

    If the program has called ``ray.init`` itself, that cluster is used.

    Args:
        instead: the option that a user may leave out, named in the error where Ray does not start.
        own: arguments of ``ray.init`` for a local cluster.

    Raises:
        EngineError: the cluster does not exist, or Ray does not start.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    own = {} if address else {"address": "local", "include_dashboard": False, **own}
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        try:
            _knock(address or "")
            with _sigterm_waits(), _silent():
                ray.init(logging_level=logging.ERROR, log_to_driver=False, **own)
        except Exception as error:  # Ray raises various exceptions here
            raise EngineError(
                f"no Ray at RAY_ADDRESS={address} ({said(error)}); start it, or unset RAY_ADDRESS"
                if address
                else f"Ray did not start ({said(error)}); try again, or go without {instead}"
            ) from None
        yield
    finally:
        ray.shutdown()


@contextmanager
def _sigterm_waits() -> Iterator[None]:
    """Let SIGTERM wait until Ray has started, then give it to the caller's handler. Ray's own handler ends the process without a
    word, and a start that is cut in half may abort it."""
    caller = signal.getsignal(signal.SIGTERM)
    if caller is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    from ray._private import utils

    came = []
    rays = getattr(utils, "set_sigterm_handler", None)
    if rays is not None:
        utils.set_sigterm_handler = lambda handler: None
    signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        if rays is not None:
            utils.set_sigterm_handler = rays
        signal.signal(signal.SIGTERM, caller)
    if came:
        signal.raise_signal(signal.SIGTERM)


@contextmanager
def _silent() -> Iterator[None]:
    """Silence standard error, also for Ray's own processes, which do not write through Python."""
    sys.stderr.flush()
    try:
        before = os.dup(2)
    except OSError:  # closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(nowhere)
        os.close(before)


def _knock(address: str) -> None:
    """Raise ``OSError`` where nothing listens at HOST:PORT; Ray itself would retry for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def said(error: Exception) -> str:
    """Return the last line of an error; Ray puts the tracebacks of other processes before it."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip().rstrip(".")


def check_nodes(probe: str | None) -> None:
    """Check that every machine of the cluster has this version of mene and can read the results folder.

    Args:
        probe: a file that every machine must see; None where results go to an object store.

    Raises:
        EngineError: names the first machine that fails, and what to do.
    """
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0, max_retries=0)(_about)
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            address = f"{node['NodeManagerAddress']} ({node['NodeManagerHostname']})"
            asked[ask.options(scheduling_strategy=here).remote(probe)] = address
    for answer, address in asked.items():
        try:
            version, python, sees = ray.get(answer)
        except RayError as error:
            raise EngineError(
                f"node {address} cannot run mene ({said(error)}); install mene {__version__} there, or take the node away"
            ) from None
        check_node(address, version, python, sees, str(probe))


def check_node(address: str, version: str, python: str, sees: bool, probe: str) -> None:
    """Check one machine, from its answers.

    Raises:
        EngineError: another version of mene, or a folder that it does not see.
    """
    if version != __version__:
        raise EngineError(
            f"node {address} has mene {version}, and this machine {__version__}: prompts and keys of verdicts may differ; "
            f"run pip install mene=={__version__} there"
        )
    if python != _python():
        raise EngineError(
            f"node {address} has Python {python}, and this machine {_python()}; install the same on all machines"
        )
    if not sees:
        folder = os.path.dirname(probe)
        raise EngineError(
            f"node {address} does not see {folder}; give a folder that all machines share, or an object store (-o s3://…)"
        )


def _about(probe: str | None) -> tuple[str, str, bool]:
    return __version__, _python(), probe is None or os.path.exists(probe)


def _python() -> str:
    return ".".join(map(str, sys.version_info[:2]))
