"""The process that holds a llama.cpp model, seen from outside: start it, ask it, end it.

All of it can be broken off at any moment, by a signal, by another thread, or by the end of this process.
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
    """The process ended while it was asked."""


class Stopped(EngineError):
    """A call was broken off by who made it."""


class Calls:
    """The calls of one run, which any thread may break off all at once.

    llama.cpp gives up what nobody waits for, at the next token or the next batch of a prompt.

    Args:
        process: says whom to ask; it may be another one after one has ended.
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
        """Break off all calls, those to come included."""
        with self._lock:
            self.stopped = True
            for line in self._open:
                with suppress(OSError):  # it may have ended by itself
                    line.shutdown(socket.SHUT_RDWR)

    def begin(self, line: socket.socket) -> None:
        """Take a connection's socket under watch."""
        with self._lock:
            if self.stopped:
                raise Stopped("stopped")
            self._open.add(line)

    def end(self, line: socket.socket) -> None:
        """Let go of it."""
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
        # llama.cpp's threads wait for one another some hundred times a batch. Spinning there for long, as is the
        # default, makes a run ten times slower when any other program wants a core, and costs nothing on an idle one.
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
                    start_new_session=True,  # a Ctrl-C in the terminal reaches this process alone
                )
            except OSError as error:
                raise ModelError(
                    f"its process cannot start ({error}); free memory, or raise the limits "
                    "on processes and open files (`ulimit -a`)"
                ) from None
            # Also at the end of the interpreter; and if there is no such end (a kill), the child sees its input end.
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
        except (OSError, ValueError):  # it ended before it said anything
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
        """Whether it can be asked."""
        return self._child.poll() is None

    def post(self, path: str, body: dict[str, Any], calls: Calls | None = None) -> dict[str, Any]:
        """Ask it; the answer, errors of llama.cpp included.

        Args:
            calls: who may break this call off.

        Raises:
            Stopped: it was broken off.
            Gone: the process ended.
        """
        with self._asked(path, body, calls) as response:
            return json.loads(response.read())

    def stream(
        self, path: str, body: dict[str, Any], calls: Calls | None = None
    ) -> Generator[dict[str, Any], None, None]:
        """Ask it for an answer in pieces; one piece with ``error`` where it refuses. See ``post``."""
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
            "Connection": "close",  # a line kept open would keep one of the server's threads
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
                self._child.wait(timeout=1)  # it may be about to end
            except subprocess.TimeoutExpired:
                raise EngineError(f"llama.cpp did not answer {path}: {error}") from None
            raise Gone(f"llama.cpp ended {self._how()} while it worked on this row") from None
        finally:
            if calls is not None and line is not None:
                calls.end(line)
            connection.close()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._end()


def _scratch() -> IO[bytes]:
    """A file without a name for what llama.cpp says: unlike a pipe, nobody has to read it."""
    try:
        return tempfile.TemporaryFile()
    except OSError:  # no room, no rights
        return Path(os.devnull).open("w+b")


def explained(how: str, said: str) -> str:
    """Why a model was not loaded.

    Args:
        how: how that ended.
        said: what llama.cpp printed. Of its errors the first one is the cause.
    """
    lines = re.findall(r"^[\d.]+ E (.+)$", said, re.MULTILINE) or said.strip().splitlines()[-1:]
    reason = ": ".join([how.rstrip("."), *(" ".join(line.split()) for line in lines[:1])])
    if "error loading model" in said and "alloc" not in said:
        reason += "; check the file, or download it again with `mene pull`"
    return reason


def _end(child: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() != owner:  # a fork of the process that started it
        return
    child.kill()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    with suppress(subprocess.TimeoutExpired):  # its memory may take a moment to be given back
        child.wait(timeout=1)
