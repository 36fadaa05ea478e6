"""An engine for tests of tools: it says Yes where the prompt has the word "good", and writes down what it was asked."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from pathlib import Path
from threading import Event

from mene.engines.base import Completion, Request, best
from mene.errors import EngineError
from mene.verdict import Usage

JUDGE = "openai:scripted@http://localhost"


class Scripted:
    """Where the (first) response has the word ``good``, the first label gets 0.9, of a scale of numbers the last;
    else the second, or the lowest. ``broken`` anywhere is an error.

    Args:
        log: gets a line for every request, from whatever process.
    """

    identity = "scripted:1"
    context: int | None = 100_000
    control_tokens: frozenset[str] = frozenset()

    def __init__(self, log: Path | None = None) -> None:
        self.log = log
        self.asked = 0

    def run(
        self, requests: Iterable[Request | None], stop: Event | None = None
    ) -> Generator[Completion, None, None]:
        for request in requests:
            if request is None:
                continue
            self.asked += 1
            text = request.messages[-1].content
            if self.log is not None:
                with self.log.open("a") as file:
                    file.write("asked\n")
            if not request.choose:
                yield Completion(request.index, critique="because of that", usage=Usage())
                continue
            if "broken" in text:
                yield Completion(request.index, error=EngineError("it broke; try again"))
                continue
            labels = request.labels
            first = labels[-1] if labels[0].isdigit() else labels[0]
            judged = re.search(r"Response[^\n`]*\n```\n(.*?)\n```", text, re.DOTALL)
            good = "good" in (judged[1] if judged else text)
            chosen = first if good else labels[labels[0] == first]
            rest = 0.1 / (len(labels) - 1)
            probabilities = {label: 0.9 if label == chosen else rest for label in labels}
            yield Completion(
                request.index, label=best(probabilities), probabilities=probabilities, usage=Usage()
            )

    def prompt(self, request: Request) -> str:
        return request.messages[-1].content

    def count(self, request: Request) -> int:
        return len(request.messages[-1].content.split())

    def close(self) -> None:
        pass
