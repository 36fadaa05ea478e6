"""The process that holds a llama.cpp model, as its parent sees it: start it, send it requests, end it.

Every step can be aborted at any time, by a signal, by another thread, or by the end of the parent.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from mene.errors import EngineError, ModelError

CHILD = Path(__file__).with_name("child.py")


class Gone(EngineError):
    """The process ended during a request."""


class Stopped(EngineError):
    """A call was aborted by the code that made it."""


class Calls:
    """The calls of one run; any thread may abort them all.

    llama.cpp drops an abandoned request at the next token, or at the next batch of a prompt.

    Args:
        process: returns the process to send requests to, which changes after a restart.
    """

    def __init__(self, process: Callable[[], Process]) -> None:
        self._process = process
        self.stopped = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """See ``Process.post``."""
        return self._process().post(path, body, self)

    def stream(self, path: str, body: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """See ``Process.stream``."""
        return self._process().stream(path, body, self)

    def stop(self) -> None:
        """Abort all calls, including later ones."""
        with self._lock:
            self.stopped = True
            for line in self._open:
                with suppress(OSError):  # it may have ended already
                    line.shutdown(socket.SHUT_RDWR)

    def begin(self, line: socket.socket) -> None:
        """Register a connection's socket."""
        with self._lock:
            if self.stopped:
                raise Stopped("stopped")
            self._open.add(line)

    def end(self, line: socket.socket) -> None:
        """Unregister a connection's socket."""
        with self._lock:
            self._open.discard(line)


class Process:
    """A llama.cpp server.

    Args:
        settings: see ``child.start``.

    Raises:
        ModelError: it cannot load the model.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._key = secrets.token_hex(16)
        environment = dict(os.environ)
        # llama.cpp's threads wait for each other some hundred times per batch. The default, long spinning, makes a run ten
        # times slower when another program needs a core; short spinning costs nothing on an idle machine.
        environment.setdefault("GOMP_SPINCOUNT", "2000")
        found = importlib.util.find_spec("xllamacpp")
        if found is None or found.origin is None:
            raise ModelError("the package xllamacpp is missing; install it: pip install xllamacpp")
        library = str(Path(found.origin).parents[1])
        with _scratch() as said:
            try:
                self._child = subprocess.Popen(
                    [sys.executable, "-P", str(CHILD)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    env=environment,
                    start_new_session=True,  # Ctrl-C in the terminal reaches only the parent
                )
            except OSError as error:
                raise ModelError(
                    f"its process cannot start ({error}); free memory, or raise the limits "
                    "on processes and open files (`ulimit -a`)"
                ) from None
            # Also runs at interpreter exit. After a kill it does not, but the child sees its input close.
            self._end = weakref.finalize(self, _end, self._child, os.getpid())
            try:
                answer = self._ask({**settings, "key": self._key, "library": library})
            except BaseException:
                self._end()
                raise
            if "address" not in answer:
                how = answer.get("error") or f"it ended {self._how()}"
                self._end()
                said.seek(0)
                raise ModelError(explained(how, said.read().decode(errors="replace")))
        self.flash: bool = answer["flash"]
        self._address = urlsplit(answer["address"])

    def _ask(self, settings: dict[str, Any]) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(settings).encode() + b"\n")
            self._child.stdin.flush()
            return json.loads(self._child.stdout.readline())
        except (OSError, ValueError):  # it ended before it answered
            return {}

    def _how(self) -> str:
        code = self._child.wait()
        if code >= 0:
            return f"with code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        memory = "; often there is too little memory" if -code == signal.SIGKILL else ""
        return f"by {name}{memory}"

    @property
    def alive(self) -> bool:
        """Return whether it accepts requests."""
        return self._child.poll() is None

    def post(self, path: str, body: dict[str, Any], calls: Calls | None = None) -> dict[str, Any]:
        """Send a request; return the answer, including errors of llama.cpp.

        Args:
            calls: may abort this call.

        Raises:
            Stopped: the call was aborted.
            Gone: the process ended.
        """
        with self._asked(path, body, calls) as response:
            return json.loads(response.read())

    def stream(
        self, path: str, body: dict[str, Any], calls: Calls | None = None
    ) -> Generator[dict[str, Any], None, None]:
        """Send a request; yield the answer in pieces, or one piece with ``error``. See ``post``."""
        with self._asked(path, body, calls) as response:
            if response.status != 200:
                yield json.loads(response.read())
                return
            for line in response:
                name, _, value = line.partition(b":")
                if name == b"data" and value.strip() != b"[DONE]":
                    yield json.loads(value)
                elif name == b"error":
                    yield {"error": json.loads(value)}

    @contextmanager
    def _asked(
        self, path: str, body: dict[str, Any], calls: Calls | None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port)
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._key}",
            # A persistent connection would occupy one of the server's threads.
            "Connection": "close",
        }
        line: socket.socket | None = None
        try:
            connection.connect()
            line = connection.sock
            if calls is not None and line is not None:
                calls.begin(line)
            connection.request("POST", path, json.dumps(body).encode(), headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            if calls is not None and calls.stopped:
                raise Stopped("stopped") from None
            try:
                self._child.wait(timeout=1)  # it may be ending
            except subprocess.TimeoutExpired:
                raise EngineError(f"llama.cpp did not answer {path}: {error}") from None
            raise Gone(f"llama.cpp ended {self._how()} while it worked on this row") from None
        finally:
            if calls is not None and line is not None:
                calls.end(line)
            connection.close()

    def close(self) -> None:
        """End the process at once, whatever it is doing."""
        self._end()


def _scratch() -> IO[bytes]:
    """Return an unnamed file for llama.cpp's output: unlike a pipe, it need not be read."""
    try:
        return tempfile.TemporaryFile()
    except OSError:  # disk full, or no permission
        return Path(os.devnull).open("w+b")


def explained(how: str, said: str) -> str:
    """Return the reason why a model was not loaded.

    Args:
        how: how the process ended.
        said: llama.cpp's output. The first error in it is the cause.
    """
    lines = re.findall(r"^[\d.]+ E (.+)$", said, re.MULTILINE) or said.strip().splitlines()[-1:]
    reason = ": ".join([how.rstrip("."), *(" ".join(line.split()) for line in lines[:1])])
    if "error loading model" in said and "alloc" not in said:
        reason += "; check the file, or download it again with `mene pull`"
    return reason


def _end(child: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() != owner:  # in a fork of the parent
        return
    child.kill()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    with suppress(subprocess.TimeoutExpired):  # its memory may take a moment to be released
        child.wait(timeout=1)
