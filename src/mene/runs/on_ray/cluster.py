"""A Ray to run on: the cluster of ``RAY_ADDRESS``, or one of this machine's cores; without its noise."""

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

# Of a cluster that we start, set before Ray is imported: it listens on the loopback interface alone (which is
# what the first name does, on any system), to whom has the token; and sends no reports.
ALONE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def prepare() -> None:
    """Set what Ray reads when it is imported, and see that it can be.

    Raises:
        ModelError: it is not installed.
    """
    if not os.environ.get("RAY_ADDRESS"):
        for name, value in ALONE.items():
            os.environ.setdefault(name, value)
        if not os.environ.get("RAY_AUTH_TOKEN_PATH"):
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # What it would write to the screen is about its own inside: what it cannot do, it raises.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data  # noqa: F401
    except ImportError as error:
        raise ModelError(f'{error.name} is not installed; run: pip install "mene[ray]"') from None


@contextmanager
def cluster(instead: str = "--engine ray", **own: Any) -> Iterator[None]:
    """The cluster of ``RAY_ADDRESS``, or one of this machine's cores that ends with the block.

    A program that has called ``ray.init`` itself keeps what it has.

    Args:
        instead: the option that a user may leave out where Ray does not start.
        own: arguments of ``ray.init`` for a cluster of our own.

    Raises:
        EngineError: there is no such cluster, or Ray does not start.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    own = {} if address else {"address": "local", "include_dashboard": False, **own}
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    at_end = signal.getsignal(signal.SIGTERM)
    try:
        try:
            _knock(address or "")
            with _silent():
                ray.init(logging_level=logging.ERROR, log_to_driver=False, **own)
        except Exception as error:  # what Ray raises here has no class of its own
            raise EngineError(
                f"no Ray at RAY_ADDRESS={address} ({said(error)}); start it, or unset RAY_ADDRESS"
                if address
                else f"Ray did not start ({said(error)}); try again, or go without {instead}"
            ) from None
        if at_end is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, at_end)  # Ray has put its own there
        yield
    finally:
        ray.shutdown()


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing on standard error, whoever writes there: Ray's own processes do, past Python."""
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
    """Raise ``OSError`` where nothing listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def said(error: Exception) -> str:
    """The last line of an error: Ray puts the traces of other processes before it."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip().rstrip(".")


def check_nodes(probe: str | None) -> None:
    """See that every machine of the cluster has this mene, and reads the folder of results, before any time is spent.

    Args:
        probe: a file of this machine that every other one must see too; None where results are in an object store.

    Raises:
        EngineError: names the first machine that does not, and what to do.
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
    """The same of one machine; arguments as it answered.

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
