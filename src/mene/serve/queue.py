"""A fair queue with turns between clients: of jobs for a lane (whose lock callers hold), and of chats for a writer."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar


class Waits(Protocol):
    """A job or a chat."""

    client: str


T = TypeVar("T", bound=Waits)


class Queue(Generic[T]):
    """Jobs or chats by client; clients take turns."""

    def __init__(self) -> None:
        self._own: dict[str, deque[T]] = {}  # the client with the next turn is first
        self._again: deque[T] = deque()

    def __bool__(self) -> bool:
        return bool(self._own or self._again)

    @property
    def waiting(self) -> int:
        """Return the number of jobs in the queue."""
        return sum(map(len, self._own.values()))

    def put(self, job: T, first: bool = False) -> None:
        """Queue a job, behind or before the others of its client."""
        own = self._own.setdefault(job.client, deque())
        own.appendleft(job) if first else own.append(job)

    def put_again(self, job: T) -> None:
        """Queue a job that must run alone in the engine; it comes before all others."""
        self._again.append(job)

    def leave(self, job: T) -> bool:
        """Remove a job that is no longer wanted. Return whether it was in the queue."""
        own = self._own.get(job.client)
        if own is None or job not in own:
            return False
        own.remove(job)
        if not own:
            del self._own[job.client]
        return True

    def take(self, most: int, alone: bool) -> list[T]:
        """Return the next jobs, in turns between clients.

        Args:
            alone: the engine is idle, so a job that must run alone may be returned. While such a job waits, no other is
                returned.
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
        """Remove and return all jobs."""
        left = [*self._again, *(job for own in self._own.values() for job in own)]
        self._own.clear()
        self._again.clear()
        return left
