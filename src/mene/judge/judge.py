"""The one path from a sample to a verdict.

A sample becomes one question or two (of a pair, ``comparison.py`` says which), each is asked once or several times
(draws), and what the engine answers becomes one verdict. Nothing here knows about files.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import (
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Protocol, Unpack

from mene.criterion import Criterion, load_criterion
from mene.engines.base import GAP, JOINT, Completion, Engine, Message, Request, best
from mene.errors import ContextOverflow, EngineError, MeneError, SampleError, UsageError
from mene.judge.calibration import Alone, Calibration, choose
from mene.judge.combine import (
    SAME_TEXT,
    abstained,
    combine,
    decided,
    even,
    meant,
    verdict_of,
    with_probabilities,
    with_threshold,
)
from mene.judge.comparison import Comparison, Question, comparison_for
from mene.judge.default import default_judge
from mene.judge.explain import Explaining, before_reconsidering, explained
from mene.judge.preset import Mode, Preset, load_preset, open_engine
from mene.judge.settings import Settings, changed, no_reasons
from mene.sample import Sample, as_sample, each, id_of
from mene.scale import Scale
from mene.template import Template, load_template
from mene.verdict import Compare, Verdict, hash_of
from mene.weights.fetch import printing
from mene.weights.job import Progress

CriterionOf = Callable[[Sample], Criterion]
# Told position, sample and key: is there a verdict already?
Known = Callable[[int, Sample, str], bool]
# What a program has to judge; Any is a data frame.
Samples = Iterable[Sample | Mapping[str, Any] | str] | Any
# Rows looked at together to put shared prefixes side by side. The first window is small, so that
# the first verdict comes at once.
FIRST_WINDOW, WINDOW = 16, 256
# Characters per token of the context window that fill it, as a rule: prose has 4 or 5.
SURELY_FULL = 16
# What a calibration decides of a verdict.
DECIDED = ("label", "probabilities", "threshold", "abstained")
# How long a cancelled `ajudge` waits for the engine to let go; it goes on doing so in its own thread.
STOPPING_S = 1.0


def nothing_known(position: int, sample: Sample, key: str) -> bool:
    """No verdict is there already."""
    return False


@dataclass(frozen=True, slots=True)
class Ask:
    """All requests that one verdict of one judge needs, and the key that names them.

    Attributes:
        questions: what is asked; ``comparison`` knows what their answers say together.
        requests: all draws of the first question, then those of the next one.
    """

    comparison: Comparison
    questions: tuple[Question, ...]
    requests: tuple[Request, ...]
    key: str
    notes: tuple[str, ...] = ()


class Memory(Protocol):
    """Keeps what single jurors say until the jury has its verdict; see ``Ledger``."""

    def juror(self, position: int, juror: str, key: str) -> Verdict | None:
        """What a juror said of a row before."""
        ...

    def append_juror(self, position: int, verdict: Verdict) -> None:
        """Keep what a juror says of a row."""
        ...


class AnyJudge(Protocol):
    """One judge or a jury: whatever a run can ask for verdicts."""

    @property
    def name(self) -> str:
        """Shown in results."""
        ...

    @property
    def judges(self) -> Sequence[Judge]:
        """Who judges: of one judge itself, of a jury its jurors."""
        ...

    def stream(
        self,
        samples: Iterable[tuple[int, Sample] | None],
        criterion: str | Criterion | CriterionOf | None = None,
        known: Known = nothing_known,
        *,
        memory: Memory | None = None,
        stop: threading.Event | None = None,
    ) -> Generator[tuple[int, Verdict], None, None]:
        """Verdicts on (position, sample) pairs, in whatever order they are done; see ``Judge.stream``."""
        ...

    def calibrated(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """The verdict under the calibrations of today."""
        ...

    def close(self) -> None:
        """Free all models."""
        ...


class Judge:
    """A preset on a running engine. It does not change: ``using`` gives another judge on the same engine.

    Args:
        spec: a preset (``base``, ``nano``, ``selene-mini``, …), a preset file, ``llamacpp:FILE.gguf``,
            ``hf:ID``, ``openai:MODEL@URL`` or ``systemone:MODEL@URL``; or a ``Preset``. Default: ``base``, or
            ``nano`` where there is no room for it; ``MENE_JUDGE`` names another.
        criterion: used when none is given at the call.
        engine: an engine that is already running, instead of the preset's.
        concurrency: rows at once; default: what suits the engine.
        requests_per_minute: limit for a remote engine.
        progress: called with (bytes, total) while a model is downloaded.
        load: False loads an embedded model with the first row that needs it.
        settings: of the preset, to be other than it says: ``mode``, ``compare``, ``template``, ``critique_tokens``,
            ``temperature``, ``samples``, ``seed``, ``truncate``, ``abstain``, ``calibrations`` (see ``Preset``).

    Attributes:
        preset: with those settings.
        template: the preset's, loaded.

    Raises:
        UsageError: an unknown name or impossible combination.
        ModelError: the weights are missing, and how to get them.
    """

    def __init__(
        self,
        spec: str | Preset | None = None,
        criterion: str | Criterion | None = None,
        *,
        engine: Engine | None = None,
        concurrency: int | None = None,
        requests_per_minute: float | None = None,
        progress: Progress | None = None,
        load: bool = True,
        **settings: Unpack[Settings],
    ) -> None:
        if spec is None:
            spec, why = default_judge()
            if why:
                printing(why)
        self.preset: Final = changed(
            load_preset(spec) if isinstance(spec, str) else spec, **settings
        )
        self.criterion: Final = _criterion(criterion) if criterion is not None else None
        template = settings.get("template")
        self.template: Final = (
            template if isinstance(template, Template) else load_template(self.preset.template)
        )
        self.engine: Final = engine or open_engine(
            self.preset,
            critique=self.mode == "critique",
            concurrency=concurrency,
            requests_per_minute=requests_per_minute,
            progress=progress,
            load=load,
        )
        self._closed = threading.Event()

    def using(self, **settings: Unpack[Settings]) -> Judge:
        """Another judge on the same engine, with other settings of its preset; what is not named stays.

        Closing one of them closes all.

        Raises:
            UsageError: as of ``Judge``.
        """
        settings["template"] = settings.get("template") or self.template  # not read again
        other = Judge(self.preset, self.criterion, engine=self.engine, **settings)
        other._closed = self._closed
        return other

    @property
    def name(self) -> str:
        """The preset's."""
        return self.preset.name

    @property
    def mode(self) -> Mode:
        """``critique`` (reason, then the label) or ``verdict`` (the label at once)."""
        return self.preset.mode

    @property
    def compare(self) -> Compare:
        """How two responses are judged."""
        return self.preset.compare

    @property
    def critique_tokens(self) -> int:
        """Most tokens of a critique before the label; 0 in verdict mode."""
        return self.preset.critique_tokens if self.mode == "critique" else 0

    @property
    def judges(self) -> tuple[Judge, ...]:
        """Who judges: of one judge itself, of a jury its jurors."""
        return (self,)

    def __call__(
        self,
        sample: Sample | Mapping[str, Any] | str | None = None,
        *,
        criterion: str | Criterion | None = None,
        **fields: Any,
    ) -> Verdict:
        """Judge one sample: a ``Sample``, a dict, the text of a response, or (besides that text) its fields.

        Raises:
            SampleError: a field that the criterion needs is missing, or cannot be read.
        """
        chosen = self._one(criterion)
        if isinstance(sample, str):
            sample = {"response": sample}
        if fields and isinstance(sample, Sample):
            raise UsageError("give a Sample or fields, not both")
        given = sample if isinstance(sample, Sample) else {**(sample or {}), **fields}
        read = as_sample(given, fields=chosen.shown)
        chosen.check(read)
        return next(self.judge([read], chosen))

    def judge(
        self, samples: Samples, criterion: str | Criterion | None = None
    ) -> Iterator[Verdict]:
        """Judge many samples. Verdicts come in the order of the samples; both sides stream.

        Args:
            samples: ``Sample``s, dicts (of any tool that ``mene judge`` reads) or texts of responses; or a data frame.

        A sample that cannot be judged gives a verdict with ``error``; the others go on.
        """
        return self._judge_in_order(samples, criterion)

    def _judge_in_order(
        self,
        samples: Samples,
        criterion: str | Criterion | None,
        stop: threading.Event | None = None,
    ) -> Generator[Verdict, None, None]:
        chosen = self._one(criterion)
        waiting: dict[int, Verdict] = {}

        def read() -> Iterator[tuple[int, Sample]]:
            for position, given in enumerate(each(samples)):
                try:
                    yield position, as_sample(given, fields=chosen.shown, number=position + 1)
                except SampleError as error:
                    row = Sample(id=id_of(given) or str(position + 1))
                    waiting[position] = self._error(row, chosen, error)

        return _in_order(self.stream(read(), chosen, stop=stop), waiting)

    async def ajudge(
        self, samples: Samples, criterion: str | Criterion | None = None
    ) -> AsyncIterator[Verdict]:
        """``judge`` for async code: the event loop stays free while the model works.

        Cancelled, it ends at once, and what is under way is abandoned.
        """
        stop = threading.Event()
        verdicts = self._judge_in_order(samples, criterion, stop)
        # A thread of its own, in which one thing is done after the other: the end waits for the step under way.
        worker = ThreadPoolExecutor(1, thread_name_prefix="mene-ajudge")
        loop = asyncio.get_running_loop()
        try:
            while (verdict := await loop.run_in_executor(worker, next, verdicts, None)) is not None:
                yield verdict
        finally:
            stop.set()
            ended = worker.submit(verdicts.close)
            worker.shutdown(wait=False)
            await asyncio.wait([asyncio.wrap_future(ended)], timeout=STOPPING_S)

    def explain(
        self,
        sample: Sample,
        verdict: Verdict,
        criterion: str | Criterion | None = None,
        *,
        critique_tokens: int | None = None,
        reconsider: bool = False,
    ) -> Verdict:
        """A verdict with the reason for it.

        Args:
            sample: what was judged, and ``verdict`` what this judge said of it.
            critique_tokens: most tokens of the critique; default: the preset's.
            reconsider: the critique is written without being told the label, and the label is read again behind it; the
                verdict that was given is kept in ``first``.

        Raises:
            UsageError: the judge was never trained to write a critique, the verdict has no label of the criterion, or a pair is
                to be reconsidered.
            EngineError: it could not be written.
        """
        if not self.preset.writes:
            raise UsageError(no_reasons(self.preset))
        self._check_open()
        chosen = self._one(criterion)
        if verdict.label not in chosen.scale.labels:
            raise UsageError(
                f"no label of {chosen.scale} to explain: {verdict.error or verdict.label}"
            )
        explaining = Explaining("all", tokens=critique_tokens, reconsider=reconsider)
        [done] = explained(self, [(0, sample, verdict)], lambda sample: chosen, explaining)
        if done.after is None:
            raise EngineError(f"no critique: {done.error}")
        return done.after

    def stream(
        self,
        samples: Iterable[tuple[int, Sample] | None],
        criterion: str | Criterion | CriterionOf | None = None,
        known: Known = nothing_known,
        *,
        memory: Memory | None = None,
        stop: threading.Event | None = None,
    ) -> Generator[tuple[int, Verdict], None, None]:
        """``judge`` for (position, sample) pairs, in whatever order they are done.

        Args:
            samples: None among them says that no more are at hand for now; those before it are then
                judged without waiting for a full window.
            criterion: one for all, or a function that gives each sample's own (a rubric per row).
            known: told position, sample and key; True skips the sample (a ledger has it already).
            memory: of a jury; one judge has no use for it.
            stop: set by another thread, it ends the iterator, and what is under way is abandoned.

        Raises:
            UsageError: the judge was closed, no criterion is given, or it cannot know what to abstain from.
        """
        self._check_open()
        chosen = criterion if callable(criterion) else self._one(criterion)
        if isinstance(chosen, Criterion):
            self.check_abstaining(chosen)
        criterion_of = chosen if callable(chosen) else lambda sample: chosen
        failed: deque[tuple[int, Verdict]] = deque()
        pending: dict[int, _Pending] = {}

        def requests() -> Iterator[Request | None]:
            serial = 0
            for window, idle in windows(samples):
                asks: list[tuple[int, Sample, Ask]] = []
                for position, sample in window:
                    own = criterion_of(sample)
                    if own is not chosen:
                        self.check_abstaining(own)
                    try:
                        ask = self.ask(sample, own)
                    except (SampleError, EngineError) as error:  # too long, or not to be counted
                        failed.append((position, self._error(sample, own, error)))
                        continue
                    if not known(position, sample, ask.key):
                        asks.append((position, sample, ask))
                # Sorted by text, prompts that begin alike stand side by side, so that the engine
                # finds what they share in its cache: same context, same instruction, both orders.
                asks.sort(key=lambda a: a[2].requests[0].messages)
                for position, sample, ask in asks:
                    done: list[Completion | None] = [None] * len(ask.requests)
                    for part, request in enumerate(ask.requests):
                        pending[serial] = _Pending(position, sample, ask, done, part)
                        request.index = serial
                        yield request
                        serial += 1
                if idle:
                    yield None

        engine = self.engine
        running = engine.run(requests(), stop)
        try:
            for completion in running:
                while failed:
                    yield failed.popleft()
                state = pending.pop(completion.index)
                state.done[state.part] = completion
                if None not in state.done:
                    own = criterion_of(state.sample)
                    yield state.position, self.conclude(state.ask, state.sample, own, state.done)
            while failed:
                yield failed.popleft()
        finally:
            close = getattr(running, "close", None)
            if close:
                close()

    def ask(self, sample: Sample, criterion: Criterion) -> Ask:
        """Render everything that one verdict on ``sample`` needs.

        Raises:
            SampleError: a needed field is missing, or the prompt does not fit.
            EngineError: what it would have to be cut to cannot be found out.
        """
        criterion.check(sample)
        scale = criterion.scale
        comparison = self.comparison(criterion)
        questions = comparison.ask(sample, criterion)
        requests: list[Request] = []
        notes = [
            f"{field} is empty"
            for field in criterion.shown
            if (text := getattr(sample, field)) is not None and not text.strip()
        ]
        for question in questions:
            request, cut = self._request(*question, self.critique_tokens)
            if cut and cut not in notes:
                notes.append(cut)
            for draw in range(self.preset.samples):
                requests.append(replace(request, seed=self.preset.seed + draw) if draw else request)
        said = [self.engine.identity, self.preset.samples, notes]
        said += [
            [r.messages, r.labels, r.opening, r.cue, r.critique_tokens, r.temperature, r.seed]
            for r in requests
        ]
        said += [
            [r.gap, r.joint, scale.labels]
            for r in requests
            if (r.gap, r.joint, r.labels) != (GAP, JOINT, scale.labels)
        ]
        if scale.kind == "pairwise":  # the same answers may be put together otherwise
            said.append([scale.labels, comparison.name])
        return Ask(comparison, questions, tuple(requests), hash_of(said), tuple(notes))

    def request(
        self, sample: Sample, criterion: Criterion, tokens: int, reserve: int = 0
    ) -> tuple[Request, str | None]:
        """One request on a sample as it stands, and what was cut to make it fit (None: nothing).

        Args:
            tokens: most tokens of a critique before the label; 0 = verdict mode.
            reserve: tokens that must fit behind it.

        Raises:
            SampleError: a needed field is missing, or the prompt does not fit.
            EngineError: what it would have to be cut to cannot be found out.
        """
        criterion.check(sample)
        return self._request(sample, criterion, tokens, reserve)

    def _request(
        self, sample: Sample, criterion: Criterion, tokens: int, reserve: int = 0
    ) -> tuple[Request, str | None]:
        request = self._render(sample, criterion, tokens)
        if not self.preset.truncate:
            return request, None
        return self._fit(request, sample, criterion, reserve)

    def _render(self, sample: Sample, criterion: Criterion, tokens: int) -> Request:
        messages = self.template.render(
            criterion, sample, critique=bool(tokens), control_tokens=self.engine.control_tokens
        )
        if self.preset.system is not None:
            messages = (Message("system", self.preset.system), *messages)
        return Request(
            index=0,
            messages=messages,
            labels=self.template.written(criterion.scale),
            opening=self.template.opening,
            cue=self.template.cue,
            critique_tokens=tokens,
            temperature=self.preset.temperature if tokens else 0.0,
            seed=self.preset.seed,
            gap=self.template.gap,
            joint=self.template.joint,
            thought_tokens=0 if tokens else self.preset.thought_tokens,
        )

    def read(self, completion: Completion, written: tuple[str, ...], scale: Scale) -> Completion:
        """What a completion says in the labels of the scale, its critique without the marks of its form."""
        said = meant(completion, written, scale.labels)
        if said.critique:
            said = replace(said, critique=self.template.tidy(said.critique))
        return said

    def _fit(
        self, request: Request, sample: Sample, criterion: Criterion, reserve: int
    ) -> tuple[Request, str | None]:
        """Cut the sample's context, from its end, until the prompt fits; say how much is gone."""
        if self.engine.context is None:
            self.engine.count(request)  # a remote engine learns its window when it first asks
        window = self.engine.context
        written = request.critique_tokens
        room = (window or 0) - written - reserve - 64
        whole = sample.context or ""
        size = sum(len(m.content.encode()) for m in request.messages)
        if not window or not whole or size < room:  # a token is at least one byte
            return request, None
        kept, margin = whole[: SURELY_FULL * max(room, 1)], 0.02
        tokens = None
        if (
            kept != whole
        ):  # so long a text is not counted whole: its start is too much already, as a rule
            start = self._render(sample.model_copy(update={"context": kept}), criterion, written)
            tokens = self.engine.count(start)
        if tokens is None or tokens <= room:
            kept, tokens = whole, self.engine.count(request)
        if tokens is None or tokens <= room:
            return request, None
        bare = self._render(sample.model_copy(update={"context": "…"}), criterion, written)
        others = self.engine.count(bare) or 0
        if others >= room:
            raise ContextOverflow(
                f"the prompt has {others} tokens even with its context cut away, and {room} fit; "
                "shorten the instruction or the response"
            )
        while tokens > room:
            # What fits by the context's own characters per token, less 2 % for uneven text; where that does not do, ever more,
            # so that no text is counted more than a few times.
            share = (room - others) / (tokens - others)
            kept = kept[: int(len(kept) * share * (1 - margin))]
            margin = min(2 * margin, 0.5)
            cut = sample.model_copy(update={"context": kept or "…"})
            request = self._render(cut, criterion, written)
            tokens = self.engine.count(request) or 0
        return request, f"context truncated to {len(kept)} of {len(whole)} characters"

    def conclude(
        self,
        ask: Ask,
        sample: Sample,
        criterion: Criterion,
        completions: Iterable[Completion | None],
    ) -> Verdict:
        """The verdict that the answers to ``ask`` make.

        Args:
            completions: one per request of ``ask``, in their order.
        """
        scale = criterion.scale
        done = zip(completions, ask.requests, strict=True)
        answers = []
        for question in ask.questions:
            own = question.criterion.scale
            draws = [
                verdict_of(self.read(completion, request.labels, own), own)
                for completion, request in islice(done, len(ask.requests) // len(ask.questions))
                if completion is not None
            ]
            answers.append(combine(draws, own))
        whole = self.calibrated(ask.comparison.conclude(answers, scale), criterion)
        is_pair = scale.kind == "pairwise"
        if is_pair and sample.is_even:
            whole = even(whole, scale)
        return whole.say(
            id=sample.id,
            criterion=criterion.name,
            judge=self.name,
            key=ask.key,
            compare=ask.comparison.name if is_pair else None,
            notes=[*ask.notes, *whole.notes],
        )

    def calibrated(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """The verdict under the judge's calibration of today; made with another one, it becomes what it would be now."""
        if verdict.error is not None:
            return verdict
        given = verdict
        if (
            verdict.first is not None and self.preset.abstain
        ):  # nothing is proved of labels read behind a critique
            verdict = before_reconsidering(verdict)
        if verdict.first is not None:  # what was read behind a critique stays what it is
            first = self.calibrated(verdict.first, criterion)
            if first is verdict.first:
                return verdict
            return verdict.model_copy(update={"first": first, "revision": verdict.revision + 1})
        if SAME_TEXT in verdict.notes or self._stands(verdict, criterion):
            return verdict
        new = self._decided(verdict, criterion)
        changed = any(getattr(new, name) != getattr(given, name) for name in DECIDED)
        if not changed and verdict is given:
            return given
        new.revision += bool(verdict.key)
        said, says = (v.label or v.likeliest for v in (verdict, new))
        if says != said and verdict.critique_key:  # it argues for the other label
            new.critique, new.critique_key = None, ""
        return new

    def _stands(self, verdict: Verdict, criterion: Criterion) -> bool:
        """Is there nothing to decide, as of most verdicts: no calibration, now or then, and nobody abstains?"""
        if self.preset.abstain or verdict.abstained or verdict.uncalibrated or verdict.threshold:
            return False
        given = verdict.probabilities
        likeliest = given is None or verdict.label == best(given)
        return likeliest and self.calibration(criterion) is None

    def _decided(self, verdict: Verdict, criterion: Criterion) -> Verdict:
        """A copy with what the calibration of today, its threshold and ``abstain`` make of what the model said."""
        new = decided(verdict, criterion.scale).model_copy()
        found = self.calibration(criterion)
        raw = verdict.uncalibrated or verdict.probabilities
        if raw is not None:
            applied = raw if found is None else found.apply(raw)
            with_probabilities(new, applied, criterion.scale)
            new.uncalibrated = None if applied == raw else raw
            new.threshold = None
            if found is not None and found.threshold is not None:
                with_threshold(new, found.threshold.label, found.threshold.at)
        if not self.preset.abstain:
            return new
        alone = None if found is None else found.alone
        sure = alone is not None and new.confidence is not None and new.confidence >= alone.at
        return new if sure else abstained(new)

    def alone(self, criterion: Criterion) -> Alone | None:
        """How sure the judge must be to decide without a person, where ``mene align --error`` proved it for this criterion."""
        found = self.calibration(criterion)
        return None if found is None else found.alone

    def check_abstaining(self, criterion: Criterion) -> None:
        """See that a judge that is to abstain knows from what.

        Raises:
            UsageError: nothing was proved for this criterion and mode, or of rows that are judged otherwise.
        """
        if not self.preset.abstain:
            return
        alone = self.alone(criterion)
        if alone is None:
            raise UsageError(
                f"{self.name} does not know how sure it must be of {criterion.name} in {self.mode} mode to decide alone; "
                "`mene align FILE --error 0.05` learns it from labels of yours, and writes the judge to abstain with"
            )
        if self.preset.samples > 1:
            raise UsageError(
                "what was proved is of one draw per row: leave several samples or abstaining out"
            )
        if criterion.scale.kind == "pairwise" and alone.compare != self.compare:
            raise UsageError(
                f"what was proved is of pairs judged so: --compare {alone.compare}; add that, or align anew"
            )

    def calibration(self, criterion: Criterion) -> Calibration | None:
        """The calibration for a criterion, if the judge has one that fits."""
        known = self.preset.calibrations
        if not known:
            return None
        return choose(known, criterion, self.mode, self.template.identity, self.compare)

    def unfit(self, criterion: Criterion) -> str | None:
        """What a user must know where none of the judge's calibrations was learned for this; else None."""
        learned = self.preset.calibrations
        if not learned or self.calibration(criterion) is not None:
            return None
        known = ", ".join(dict.fromkeys(c.criterion or "/".join(c.labels) for c in learned))
        return (
            f"{self.name} has no calibration for {criterion.name} in {self.mode} mode (it has for {known} in "
            f"{learned[0].mode} mode); `mene align` learns one from labels of yours"
        )

    def _error(self, sample: Sample, criterion: Criterion, error: MeneError) -> Verdict:
        return Verdict(id=sample.id, criterion=criterion.name, judge=self.name, error=str(error))

    def _one(self, criterion: str | Criterion | None) -> Criterion:
        if criterion is not None:
            return _criterion(criterion)
        if self.criterion is None:
            raise UsageError("no criterion given; see `mene criteria`")
        return self.criterion

    def prompt(
        self, sample: Sample, criterion: str | Criterion | None = None
    ) -> tuple[str, int | None]:
        """The exact text the model reads for ``sample``, and its number of tokens (None: unknown)."""
        self._check_open()
        chosen = self._one(criterion)
        request = self.ask(sample, chosen).requests[0]
        return self.engine.prompt(request), self.engine.count(request)

    def comparison(self, criterion: Criterion) -> Comparison:
        """How it is asked about a criterion: of two responses, together, in both orders, or each alone."""
        return comparison_for(criterion, self.compare)

    def close(self) -> None:
        """Free the model. What is under way ends with an error, and so does whatever is asked later."""
        self._closed.set()
        self.engine.close()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise UsageError(f"judge {self.name} was closed; open a new one")

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _in_order(
    verdicts: Generator[tuple[int, Verdict], None, None], waiting: dict[int, Verdict]
) -> Generator[Verdict, None, None]:
    """Verdicts in the order of their positions; ``waiting`` is filled by others too."""
    following = 0
    with closing(verdicts):
        for position, verdict in verdicts:
            waiting[position] = verdict
            while following in waiting:
                yield waiting.pop(following)
                following += 1
    while following in waiting:
        yield waiting.pop(following)
        following += 1


@dataclass(slots=True)
class _Pending:
    """A sample whose requests are under way; ``done`` is shared by all of its parts."""

    position: int
    sample: Sample
    ask: Ask
    done: list[Completion | None]
    part: int


def _criterion(given: str | Criterion) -> Criterion:
    return load_criterion(given) if isinstance(given, str) else given


def windows(
    samples: Iterable[tuple[int, Sample] | None],
) -> Iterator[tuple[list[tuple[int, Sample]], bool]]:
    """Group rows into windows; the first are small.

    A None ends a window early (so that one may be empty) and is told on as True.
    """
    window: list[tuple[int, Sample]] = []
    size = FIRST_WINDOW
    for sample in samples:
        if sample is not None:
            window.append(sample)
        if sample is None or len(window) == size:
            yield window, sample is None
            size = min(size * 2, WINDOW) if window else size
            window = []
    if window:
        yield window, False
