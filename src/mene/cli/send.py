"""``mene judge --otel``: send verdicts to a collector, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mene.cli.console import say
from mene.verdict import Verdict

if TYPE_CHECKING:
    from mene.cli.judge import Plan
    from mene.cli.watch import Watch

Told = Callable[[Verdict], None]


@contextmanager
def sent(url: str | None, plan: Plan, watch: Watch) -> Iterator[tuple[Told, Told]]:
    """Yield two functions that a run calls: with each verdict, and with each verdict that got its critique.

    Args:
        url: of the collector; None: send nothing.

    Raises:
        UsageError: it is not a URL.
        ModelError: the extra is not installed.
    """
    if url is None:
        yield watch.on_verdict, watch.on_explained
        return
    from mene.integrations.otel.export import Collector, Emitting

    collector = Collector(url)
    waits = lambda verdict: plan.explaining.selects(verdict, plan.criterion_of(verdict))  # noqa: E731
    emitting = Emitting(plan.criterion_of, waits, collector.provider)

    def on_verdict(verdict: Verdict) -> None:
        emitting.on_verdict(verdict)
        watch.on_verdict(verdict)

    def on_explained(verdict: Verdict) -> None:
        emitting.on_explained(verdict)
        watch.on_explained(verdict)

    try:
        yield on_verdict, on_explained
    finally:
        emitting.close()
        collector.close()
        if collector.lost:
            say(
                f"mene: {collector.lost} verdicts could not be sent to {collector.url}; is a collector running there?"
            )
