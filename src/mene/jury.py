"""Several judges on one sample: the mean of their probabilities, each one's verdict kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from mene.combine import combine
from mene.criterion import Criterion, load_criterion
from mene.errors import SampleError, UsageError
from mene.judge import CriterionOf, Judge, windows
from mene.sample import Sample
from mene.verdict import Verdict


class Jury:
    """Judges with one voice; used like a ``Judge`` in a run.

    Args:
        judges: two or more, with different names.

    Raises:
        UsageError: fewer than two, or the same one twice.
    """

    def __init__(self, judges: list[Judge]) -> None:
        names = [judge.name for judge in judges]
        if len(judges) < 2 or len(set(names)) < len(names):
            raise UsageError(f"a jury needs two or more different judges, not {', '.join(names)}")
        self.judges = judges
        self.name = f"jury({', '.join(names)})"

    def stream(
        self,
        samples: Iterable[tuple[int, Sample] | None],
        criterion: str | Criterion | CriterionOf | None = None,
        known: Callable[[int, Sample, str], bool] = lambda position, sample, key: False,
    ) -> Iterator[tuple[int, Verdict]]:
        """See ``Judge.stream``. Works window by window: every juror hears all rows of one first."""
        if criterion is None:
            raise UsageError("no criterion given; see `mene criteria`")
        chosen = load_criterion(criterion) if isinstance(criterion, str) else criterion
        criterion_of = chosen if callable(chosen) else lambda sample: chosen
        for window, _ in windows(samples):
            heard: dict[int, tuple[Sample, str]] = {}
            for position, sample in window:
                try:
                    key = self._key(sample, criterion_of(sample))
                except SampleError:
                    key = ""  # every juror will say what is wrong
                if not (key and known(position, sample, key)):
                    heard[position] = (sample, key)
            todo = [(position, sample) for position, (sample, _) in heard.items()]
            spoken = [dict(judge.stream(todo, chosen)) for judge in self.judges]
            for position, (sample, key) in heard.items():
                parts = [verdicts[position] for verdicts in spoken]
                own = criterion_of(sample)
                whole = combine(parts, own.scale)
                names = {"id": sample.id, "criterion": own.name, "judge": self.name, "key": key}
                yield position, whole.model_copy(update=names)

    def calibrated(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """See ``Judge.calibrated``: the jurors' verdicts under their calibrations of today, combined anew."""
        if verdict.error is not None or len(verdict.parts) != len(self.judges):
            return verdict
        each = zip(self.judges, verdict.parts, strict=True)
        parts = [judge.calibrated(part, criterion) for judge, part in each]
        if all(new is old for new, old in zip(parts, verdict.parts, strict=True)):
            return verdict
        whole = combine(parts, criterion.scale)
        names = {name: getattr(verdict, name) for name in ("id", "criterion", "judge", "key")}
        return whole.model_copy(update={**names, "revision": verdict.revision + 1})

    def _key(self, sample: Sample, criterion: Criterion) -> str:
        keys = "".join(judge.ask(sample, criterion).key for judge in self.judges)
        return hashlib.blake2b(keys.encode(), digest_size=16).hexdigest()

    def close(self) -> None:
        """Free all models."""
        for judge in self.judges:
            judge.close()
