"""A server in a thread of the test's own process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn


@contextmanager
def threaded(config: uvicorn.Config, port: int = 0, force: bool = False) -> Iterator[int]:
    """The port at which an app is served; 0: any free one.

    Args:
        force: at the end, requests that are under way are not waited for.
    """
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()  # who comes before the server is up waits
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit, server.force_exit = True, force
        thread.join(30)
