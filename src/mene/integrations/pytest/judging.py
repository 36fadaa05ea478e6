"""The judge of a pytest run, opened at the first question, and its verdicts of earlier runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from mene import Criterion, Judge, MeneError, Sample, Verdict, errors
from mene.events import Begin, Event, Warn
from mene.integrations.grade import fails
from mene.integrations.pytest.ledger import SharedLedger
from mene.text.visible import visible


class Question(NamedTuple):
    """A sample and the criterion to judge it by; the sample's id is the name of the test."""

    sample: Sample
    criterion: Criterion


class Asked(Protocol):
    """What answers questions: the judge in this process, or that of the process that started this worker (``door.py``)."""

    def verdicts(self, questions: Sequence[Question]) -> list[Verdict]:
        """Return one verdict per question, in their order; a failed one has an ``error``.

        Raises:
            MeneError: the judge is missing (``ModelError``), or the question makes no sense (``UsageError``).
        """
        ...

    def close(self) -> None:
        """Free the model, or the connection."""
        ...


class Judging:
    """The judge in this process, and its earlier verdicts.

    Args:
        spec: the judge's name; None = the default judge.
        ledger: the file of verdicts; None = no verdict is stored.
        explain: add a critique to failing verdicts.
        tell: receives messages about downloads.

    Attributes:
        asked, reused: number of new verdicts, and of verdicts from the ledger.
        warnings: for the user, without repeats.
    """

    def __init__(
        self, spec: str | None, ledger: Path | None, explain: bool, tell: Callable[[str], None]
    ) -> None:
        self._spec, self._explain, self._tell = spec, explain, tell
        self._lock = threading.Lock()
        self._judge: Judge | None = None
        self._missing: MeneError | None = None
        self.asked = self.reused = 0
        self.warnings: list[str] = []
        self.ledger = SharedLedger(ledger, self._warn)

    @property
    def name(self) -> str:
        """Return the judge's name."""
        return self._judge.name if self._judge else self._spec or "the default judge"

    def verdicts(self, questions: Sequence[Question]) -> list[Verdict]:
        """See ``Asked``."""
        with self._lock:
            judge = self._opened()
            try:
                return self._judged(judge, questions)
            except errors.ModelError as error:
                self._missing = error
                raise

    def _opened(self) -> Judge:
        """Return the judge. If opening it fails, it is not tried again in this run: every further test would wait for it."""
        if self._missing:
            raise self._missing
        if self._judge is None:
            try:
                self._judge = Judge(self._spec, events=self._hear, load=False)
            except errors.ModelError as error:
                self._missing = error
                raise
        return self._judge

    def _judged(self, judge: Judge, questions: Sequence[Question]) -> list[Verdict]:
        tasks = [(place, sample, criterion) for place, (sample, criterion) in enumerate(questions)]
        found: dict[int, Verdict] = {}

        def known(position: int, sample: Sample, key: str) -> bool:
            before = self.ledger.find(key)
            if before is None:
                return False
            own = questions[position].criterion
            names = {"id": sample.id, "criterion": own.name, "judge": judge.name}
            found[position] = judge.calibrated(before.model_copy(update=names), own)
            self.reused += 1
            return True

        for position, verdict in judge.stream(tasks, known):
            found[position] = verdict.sound()
            self.asked += 1
            self.ledger.add(found[position])
        return [self._reasoned(judge, *asked, found[n]) for n, asked in enumerate(questions)]

    def _reasoned(
        self, judge: Judge, sample: Sample, criterion: Criterion, verdict: Verdict
    ) -> Verdict:
        if not self._explain or verdict.critique is not None or not fails(verdict, criterion):
            return verdict
        try:
            explained = judge.explain(sample, verdict, criterion)
        except MeneError as error:
            self._warn(f"no critique: {error}")
            return verdict
        self.ledger.add(explained)
        return explained

    def _hear(self, event: Event) -> None:
        match event:
            case Warn(text):
                self._warn(text)
            case Begin(work, total) if self._judge is None:  # while it is opened: a download
                size = f", {total / 1e6:,.0f} MB" if total else ""
                self._tell(f"downloading {visible(work)}{size}; the next run has it")

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def close(self) -> None:
        """See ``Asked``."""
        if self._judge is not None:
            self._judge.close()
