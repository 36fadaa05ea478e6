"""``mene judge --otel URL``: sends the verdicts of a run to a collector as they are made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mene import Criterion, Verdict
from mene.errors import UsageError
from mene.integrations.need import need
from mene.integrations.otel.events import record

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider


class Emitting:
    """Sends each verdict once; with its critique, if it gets one.

    Args:
        criterion_of: returns the criterion of a verdict.
        waits: returns whether a verdict may get a critique later in the run.
        provider: destination of the events.
    """

    def __init__(
        self,
        criterion_of: Callable[[Verdict], Criterion],
        waits: Callable[[Verdict], bool],
        provider: LoggerProvider,
    ) -> None:
        self._criterion_of, self._waits, self._provider = criterion_of, waits, provider
        self._waiting: dict[tuple[int | None, str], Verdict] = {}

    def on_verdict(self, verdict: Verdict) -> None:
        """Send a new verdict, or hold it until its critique is written."""
        if self._waits(verdict):
            self._waiting[verdict.row, verdict.criterion] = verdict
        else:
            self._record(verdict)

    def on_explained(self, verdict: Verdict) -> None:
        """Send a verdict with its critique; not if the verdict is from an earlier run, which has sent it."""
        if self._waiting.pop((verdict.row, verdict.criterion), None) is not None:
            self._record(verdict)

    def _record(self, verdict: Verdict) -> None:
        record(verdict, self._criterion_of(verdict), provider=self._provider)

    def close(self) -> None:
        """Send the verdicts that got no critique."""
        for verdict in self._waiting.values():
            self._record(verdict)
        self._waiting = {}


class Collector:
    """A logger provider that sends to a collector over HTTP (OTLP).

    Args:
        url: ``http://localhost:4318``; ``/v1/logs`` is added if it has no path.

    Attributes:
        lost: number of events that the collector did not accept.

    Raises:
        UsageError: it is not a URL.
        ModelError: the extra is not installed.
    """

    def __init__(self, url: str) -> None:
        need("opentelemetry.sdk._logs", "otel")
        need("opentelemetry.exporter.otlp.proto.http", "otel")
        from urllib.parse import urlsplit

        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
        from opentelemetry.sdk.resources import Resource

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UsageError(
                f"--otel {url}: give the URL of a collector, like http://localhost:4318"
            )
        self.url = url if parts.path.strip("/") else f"{url.rstrip('/')}/v1/logs"
        self.lost = 0
        # Events that cannot be sent are counted, and reported once, at the end.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        counted = self

        class Counting(OTLPLogExporter):
            def export(self, batch: Sequence[Any]) -> Any:
                done = super().export(batch)
                if done != LogRecordExportResult.SUCCESS:
                    counted.lost += len(batch)
                return done

        self.provider = LoggerProvider(
            resource=Resource.create({"service.name": "mene"}), shutdown_on_exit=False
        )
        self.provider.add_log_record_processor(
            BatchLogRecordProcessor(Counting(endpoint=self.url, timeout=TIMEOUT_S))
        )

    def close(self) -> None:
        """Send all waiting events."""
        self.provider.shutdown()  # type: ignore[no-untyped-call]


TIMEOUT_S = 5.0
