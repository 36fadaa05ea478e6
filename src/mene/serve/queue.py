"""What waits, in turns between clients: jobs for a lane, whose lock its callers hold, and chats for a writer."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar


class Waits(Protocol):
    """A job or a chat."""

    client: str


T = TypeVar("T", bound=Waits)


class Queue(Generic[T]):
    """Jobs or chats by client: each client in turn gives its next one."""

    def __init__(self) -> None:
        self._own: dict[str, deque[T]] = {}  # the client whose turn is next stands first
        self._again: deque[T] = deque()

    def __bool__(self) -> bool:
        return bool(self._own or self._again)

    @property
    def waiting(self) -> int:
        """Jobs that nobody has taken yet."""
        return sum(map(len, self._own.values()))

    def put(self, job: T, first: bool = False) -> None:
        """Let a job wait, behind those of its client or before them."""
        own = self._own.setdefault(job.client, deque())
        own.appendleft(job) if first else own.append(job)

    def put_again(self, job: T) -> None:
        """Let a job wait that must be alone with the engine; it comes before all others."""
        self._again.append(job)

    def leave(self, job: T) -> bool:
        """Take out a job that nobody wants any more. False: it does not wait here."""
        own = self._own.get(job.client)
        if own is None or job not in own:
            return False
        own.remove(job)
        if not own:
            del self._own[job.client]
        return True

    def take(self, most: int, alone: bool) -> list[T]:
        """The next jobs, in turns between clients.

        Args:
            alone: the engine has nothing to do, so that a job may come which must be alone. While one waits, nothing else
                is given.
        """
        if self._again:
            return [self._again.popleft()] if alone else []
        taken: list[T] = []
        while self._own and len(taken) < most:
            client = next(iter(self._own))
            own = self._own.pop(client)
            taken.append(own.popleft())
            if own:
                self._own[client] = own  # behind the others
        return taken

    def clear(self) -> list[T]:
        """Take out all."""
        left = [*self._again, *(job for own in self._own.values() for job in own)]
        self._own.clear()
        self._again.clear()
        return left
