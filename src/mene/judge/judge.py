"""A judge: a preset on a running engine.

A sample becomes one question or, for a pair, up to two (``comparison.py``). Each question is asked once or, with several
draws, several times (``ask.py``). Many samples go through the engine together (``stream.py``), and the answers on each
become one verdict. Nothing here reads or writes files of samples or verdicts.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, Final, Unpack, overload

from mene.criteria_set import AnyCriterion, CriteriaSet, Several, load_criteria, load_one
from mene.criterion import Criterion
from mene.engines.base import Completion, Engine
from mene.errors import UsageError
from mene.events import Events, Warn, on_stderr
from mene.judge.any_judge import Known, Memory, Stream, Task, nothing_known
from mene.judge.ask import Ask, Asker
from mene.judge.calibration import Alone, Calibration
from mene.judge.conclude import concluded
from mene.judge.decide import Decider
from mene.judge.default import default_judge
from mene.judge.explain import explained_now
from mene.judge.explaining import Explaining
from mene.judge.many import Samples, from_thread, judged, judged_now
from mene.judge.open import open_engine
from mene.judge.preset import Mode, Preset, load_preset
from mene.judge.settings import Settings, changed
from mene.judge.stream import Asked, answers, verdicts_on
from mene.sample import Sample
from mene.template import Template, load_template
from mene.verdict import Compare, Verdict


class Judge:
    """A preset on a running engine. Judges are immutable: ``using`` returns another judge on the same engine.

    Args:
        spec: a preset (``base``, ``nano``, ``selene-mini``, …), a preset file, ``llamacpp:FILE.gguf``,
            ``hf:ID``, ``openai:MODEL@URL`` or ``systemone:MODEL@URL``; or a ``Preset``. Default: ``base``, or
            ``nano`` where there is no room for it; ``MENE_JUDGE`` names another.
        criterion: used where a call names none.
        engine: a running engine to use instead of the preset's.
        concurrency: rows at once; default: what suits the engine.
        requests_per_minute: limit for a remote engine.
        events: called with ``mene.events`` about downloads and slow steps; default: a line on standard error for each warning.
        load: False loads an embedded model only when the first row needs it.
        settings: overrides of the preset: ``mode``, ``compare``, ``template``, ``critique_tokens``, ``thought_tokens``,
            ``temperature``, ``samples``, ``seed``, ``truncate``, ``claims``, ``abstain``, ``calibrations`` (see ``Preset``).

    Attributes:
        preset: with those settings applied.
        template: the preset's, parsed.

    Raises:
        UsageError: an unknown name or an impossible combination of settings.
        ModelError: the weights are missing; the message says how to get them.
    """

    def __init__(
        self,
        spec: str | Preset | None = None,
        criterion: AnyCriterion | None = None,
        *,
        engine: Engine | None = None,
        concurrency: int | None = None,
        requests_per_minute: float | None = None,
        events: Events = on_stderr,
        load: bool = True,
        **settings: Unpack[Settings],
    ) -> None:
        if spec is None:
            spec, why = default_judge()
            if why:
                events(Warn(why))
        self.preset: Final = changed(
            load_preset(spec) if isinstance(spec, str) else spec, **settings
        )
        self.criterion: Final = None if criterion is None else load_one(criterion)
        template = settings.get("template")
        self.template: Final = (
            template if isinstance(template, Template) else load_template(self.preset.template)
        )
        self.engine: Final = engine or open_engine(
            self.preset,
            critique=self.mode == "critique",
            concurrency=concurrency,
            requests_per_minute=requests_per_minute,
            events=events,
            load=load,
        )
        self.asker: Final = Asker(self.preset, self.template, self.engine)
        self._decider: Final = Decider(self.preset, self.template.identity)
        self._closed = threading.Event()

    def using(self, **settings: Unpack[Settings]) -> Judge:
        """Return another judge on the same engine, with some settings of its preset changed.

        Closing one of them closes all.

        Raises:
            UsageError: as for ``Judge``.
        """
        settings["template"] = settings.get("template") or self.template  # already parsed
        other = Judge(self.preset, self.criterion, engine=self.engine, **settings)
        other._closed = self._closed
        return other

    @property
    def name(self) -> str:
        """The preset's name."""
        return self.preset.name

    @property
    def mode(self) -> Mode:
        """``critique`` (reasons, then the label) or ``verdict`` (the label only)."""
        return self.preset.mode

    @property
    def compare(self) -> Compare:
        """How two responses are judged."""
        return self.preset.compare

    @property
    def judges(self) -> tuple[Judge, ...]:
        """The judge itself, as the only one; a jury has several."""
        return (self,)

    @overload
    def __call__(
        self,
        sample: Sample | Mapping[str, Any] | str | None = None,
        *,
        criterion: AnyCriterion | None = None,
        **fields: Any,
    ) -> Verdict: ...

    @overload
    def __call__(
        self,
        sample: Sample | Mapping[str, Any] | str | None = None,
        *,
        criterion: Several,
        **fields: Any,
    ) -> list[Verdict]: ...

    def __call__(
        self,
        sample: Sample | Mapping[str, Any] | str | None = None,
        *,
        criterion: AnyCriterion | Several | None = None,
        **fields: Any,
    ) -> Verdict | list[Verdict]:
        """Judge one sample: a ``Sample``, a dict, the text of a response, or keyword arguments with its fields.

        Examples:
            >>> judge("Certainly, it ships today.", criterion="tone").criterion
            'tone'
            >>> [v.criterion for v in judge(response="No.", criterion=["tone", "Is the reply polite?"])]
            ['tone', 'is-the-reply-polite']
            >>> judge(response="It is 1878.", criterion="faithfulness")
            Traceback (most recent call last):
            mene.errors.SampleError: field "context" is missing or empty, and faithfulness needs it; add it, ...

        Args:
            criterion: one, or a list of several; a list gives a list of verdicts, in the same order.

        Raises:
            SampleError: a field that a criterion needs is missing or cannot be read.
        """
        several = isinstance(criterion, CriteriaSet | list | tuple)
        chosen = load_criteria(criterion if several else self._one(criterion))
        verdicts = judged_now(self, sample, fields, chosen)
        return verdicts if several else verdicts[0]

    def judge(
        self, samples: Samples, criterion: AnyCriterion | Several | None = None
    ) -> Iterator[Verdict]:
        """Yield verdicts on many samples, in the order of the samples and, for each, of the criteria. Input and output stream.

        A sample that cannot be judged by a criterion gives a verdict with ``error``; the others are not affected.

        Args:
            samples: ``Sample``s, dicts (of any tool that ``mene judge`` reads) or texts of responses; or a data frame.
            criterion: one, or a list of several; each sample then gets one verdict per criterion.
        """
        return judged(self, samples, self._several(criterion))

    def ajudge(
        self, samples: Samples, criterion: AnyCriterion | Several | None = None
    ) -> AsyncIterator[Verdict]:
        """Like ``judge``, for async code: the event loop is not blocked while the model works.

        When cancelled, it ends at once and abandons the requests in progress.
        """
        stop = threading.Event()
        return from_thread(judged(self, samples, self._several(criterion), stop), stop)

    def explain(
        self,
        sample: Sample,
        verdict: Verdict,
        criterion: AnyCriterion | None = None,
        *,
        critique_tokens: int | None = None,
        reconsider: bool = False,
    ) -> Verdict:
        """Return a verdict with a critique, the reason for it.

        Args:
            sample: what was judged.
            verdict: this judge's verdict on it.
            critique_tokens: maximum length of the critique; default: the preset's.
            reconsider: write the critique without showing the model its label, and choose the label again after it; ``first``
                keeps the earlier verdict.

        Raises:
            UsageError: the judge was not trained to write critiques, the verdict has no label of the criterion, or a pair is to
                be reconsidered.
            EngineError: the critique could not be written.
        """
        self.check_open()
        explaining = Explaining("all", tokens=critique_tokens, reconsider=reconsider)
        return explained_now(self, sample, verdict, self._one(criterion), explaining)

    def stream(
        self,
        tasks: Iterable[Task | None],
        known: Known = nothing_known,
        *,
        memory: Memory | None = None,
        stop: threading.Event | None = None,
    ) -> Stream:
        """See ``AnyJudge.stream``."""
        return verdicts_on(self, tasks, known, stop)

    def verdicts(
        self,
        asked: Iterable[tuple[list[Asked], bool]],
        stop: threading.Event | None = None,
    ) -> Stream:
        """Return verdicts for asks that are built already; arguments as for ``answers``."""
        with closing(answers(self.engine, asked, stop)) as answered:
            for one, completions in answered:
                yield one.position, self.conclude(one.ask, one.sample, one.criterion, completions)

    def ask(self, sample: Sample, criterion: Criterion) -> Ask:
        """Return all requests for one verdict on ``sample``; see ``Asker.ask``."""
        return self.asker.ask(sample, criterion)

    def conclude(
        self, ask: Ask, sample: Sample, criterion: Criterion, completions: Iterable[Completion]
    ) -> Verdict:
        """Return the verdict from the completions of ``ask``.

        Args:
            completions: one per request of ``ask``, in the same order.
        """
        return concluded(self.asker, self._decider, ask, sample, criterion, completions)

    def calibrated(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """See ``AnyJudge.calibrated``."""
        return self._decider.calibrated(verdict, criterion)

    def calibration(self, criterion: Criterion) -> Calibration | None:
        """Return the calibration that fits a criterion, or None."""
        return self._decider.calibration(criterion)

    def alone(self, criterion: Criterion) -> Alone | None:
        """How sure the judge must be to decide without a person, if ``mene align --error`` proved it for this criterion; else
        None."""
        return self._decider.alone(criterion)

    def check_abstaining(self, criterion: Criterion) -> None:
        """Check that a judge that may abstain has a proven threshold for doing so.

        Raises:
            UsageError: nothing was proved for this criterion and mode, or only for rows judged in another way.
        """
        self._decider.check_abstaining(criterion)

    def unfit(self, criterion: Criterion) -> str | None:
        """Return a warning where the judge has calibrations, but none for this criterion and these settings; else None."""
        return self._decider.unfit(criterion)

    def _several(self, criterion: AnyCriterion | Several | None) -> CriteriaSet:
        chosen = self.criterion if criterion is None else criterion
        return load_criteria(() if chosen is None else chosen)

    def _one(self, criterion: AnyCriterion | None) -> Criterion:
        chosen = self.criterion if criterion is None else criterion
        return load_one(() if chosen is None else chosen)

    def prompt(
        self, sample: Sample, criterion: AnyCriterion | None = None
    ) -> tuple[str, int | None]:
        """Return the exact text that the model reads for ``sample``, and its number of tokens (None: unknown)."""
        self.check_open()
        chosen = self._one(criterion)
        request = self.ask(sample, chosen).requests[0]
        return self.engine.prompt(request), self.engine.count(request)

    def close(self) -> None:
        """Free the model. Requests in progress and all later ones end with an error."""
        self._closed.set()
        self.engine.close()

    def check_open(self) -> None:
        """Raise ``UsageError`` if the judge is closed."""
        if self._closed.is_set():
            raise UsageError(f"judge {self.name} was closed; open a new one")

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
