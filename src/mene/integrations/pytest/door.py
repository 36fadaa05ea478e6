"""Workers of pytest-xdist use the judge of the process that started them, so that all workers share one model.

They connect to a socket that only this user can open, with a key of this run; messages are JSON. pytest loads this file in every
run with workers, so it imports nothing of mene before the first question.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from collections.abc import Callable, Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mene import Verdict
    from mene.integrations.pytest.judging import Asked, Question


class Door:
    """The server for workers on this machine.

    Args:
        opened: returns what answers; called at the first question.

    Attributes:
        address, key: for ``Through``; both are needed to connect.
    """

    def __init__(self, opened: Callable[[], Asked]) -> None:
        self._opened = opened
        self.key = secrets.token_bytes(32)
        self._listener = Listener(backlog=64, authkey=self.key)
        self.address = self._listener.address
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, name="mene-pytest", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except (AuthenticationError, EOFError, ConnectionError):
                continue
            except OSError:  # closed
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection, contextlib.suppress(EOFError, OSError):  # the worker has ended
            while True:
                asked = json.loads(connection.recv_bytes())
                connection.send_bytes(json.dumps(self._said(asked)).encode())

    def _said(self, asked: list[list[str]]) -> dict[str, list[str]]:
        from mene import Criterion, MeneError, Sample
        from mene.integrations.pytest.judging import Question

        try:
            questions = [
                Question(Sample.model_validate_json(one), Criterion.model_validate_json(by))
                for one, by in asked
            ]
            with self._lock:
                opened = self._opened()
            return {"verdicts": [verdict.to_json() for verdict in opened.verdicts(questions)]}
        except MeneError as error:
            return {"error": [type(error).__name__, str(error)]}
        except Exception as error:  # a worker without an answer would wait forever
            return {"error": ["MeneError", f"{type(error).__name__}: {error}"]}

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()


class Through:
    """The judge of the process that started this one; see ``Asked``.

    Args:
        address, key: from its ``Door``.

    Raises:
        ModelError: that process has ended.
    """

    def __init__(self, address: str, key: bytes) -> None:
        try:
            self._connection = Client(address, authkey=key)
        except (OSError, EOFError):
            raise _gone() from None
        self._lock = threading.Lock()

    def verdicts(self, questions: Sequence[Question]) -> list[Verdict]:
        """See ``Asked``."""
        from mene import Verdict, errors

        asked = [[one.model_dump_json(), by.model_dump_json()] for one, by in questions]
        try:
            with self._lock:
                self._connection.send_bytes(json.dumps(asked).encode())
                said = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            raise _gone() from None
        if "error" in said:
            kind, text = said["error"]
            raise getattr(errors, kind)(text)
        return [Verdict.model_validate_json(one) for one in said["verdicts"]]

    def close(self) -> None:
        """See ``Asked``."""
        self._connection.close()


def _gone() -> Exception:
    from mene.errors import ModelError

    return ModelError("the process that holds the judge has ended; run pytest again")
