"""The server's metrics for Prometheus. Criteria of the library have their names; those of clients are all "own"."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from mene.criterion import criterion_names
from mene.errors import MeneError
from mene.serve.cache import Cache
from mene.serve.desk import Asked, Desk
from mene.verdict import Verdict

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
disable_created_metrics()  # they would add an unused second line to every counter
MIME = "text/plain; version=0.0.4; charset=utf-8"


class Meter:
    """All counters of one server."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._named = frozenset(criterion_names())
        # Cached, since looking up a label takes longer than counting.
        self._routes: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "mene_requests", "HTTP requests.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "mene_request_seconds",
            "From a request to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._verdicts = Counter(
            "mene_verdicts",
            "Judgements by outcome: verdict, spared (from the cache, or asked twice at once) or error.",
            ["judge", "criterion", "outcome"],
            registry=registry,
        )
        self._tokens = Counter(
            "mene_tokens",
            "Tokens read (computed), reused and written.",
            ["judge", "criterion", "kind"],
            registry=registry,
        )
        self._waiting = Gauge(
            "mene_waiting", "Judgements that wait for their turn.", ["judge"], registry=registry
        )
        self._running = Gauge("mene_running", "Judgements under way.", ["judge"], registry=registry)
        self._rate = Gauge(
            "mene_rate", "Judgements a second while there is work.", ["judge"], registry=registry
        )
        self._cache = Gauge("mene_cache", "Look-ups in the cache.", ["found"], registry=registry)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        found = self._routes.get((route, status))
        if found is None:
            made = self._requests.labels(route, status), self._seconds.labels(route)
            found = self._routes[route, status] = made
        found[0].inc()
        found[1].observe(seconds)

    def told(self, judge: str) -> Callable[[Asked, Verdict | MeneError, bool], None]:
        """Return the function that a desk calls with every outcome."""

        verdicts, counts = self._verdicts, dict[tuple[str, ...], Counter]()

        def of(counter: Counter, *labels: str) -> Counter:
            found = counts.get(labels)
            if found is None:
                found = counts[labels] = counter.labels(judge, *labels)
            return found

        def count(asked: Asked, outcome: Verdict | MeneError, spared: bool) -> None:
            name = asked.criterion.name
            criterion = name if name in self._named else "own"
            if isinstance(outcome, MeneError):
                of(verdicts, criterion, "error").inc()
                return
            of(verdicts, criterion, "spared" if spared else "verdict").inc()
            if spared:
                return
            usage = outcome.usage
            read = max(usage.prompt_tokens - usage.cached_tokens, 0)
            for kind, tokens in (
                ("read", read),
                ("reused", usage.cached_tokens),
                ("written", usage.completion_tokens),
            ):
                if tokens:
                    of(self._tokens, criterion, kind).inc(tokens)

        return count

    def page(self, desks: dict[str, Desk], cache: Cache | None) -> bytes:
        """Return all metrics in Prometheus' text format."""
        for name, desk in desks.items():
            self._waiting.labels(name).set(desk.waiting)
            self._running.labels(name).set(desk.running)
            self._rate.labels(name).set(desk.pace.rate or 0)
        if cache is not None:
            self._cache.labels("yes").set(cache.hits)
            self._cache.labels("no").set(cache.misses)
        return generate_latest(self.registry)
