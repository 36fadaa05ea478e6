"""The reason for a verdict, if a client wants one: a second request to the engine, and its answer."""

from __future__ import annotations

from mene.engines.base import Completion, Request
from mene.judge.explain import Explaining, key_of, reason_request, with_critique
from mene.judge.settings import no_reasons
from mene.serve.job import Job
from mene.serve.plain import plain_criterion
from mene.verdict import Verdict


def without_reason(verdict: Verdict, why: str) -> Verdict:
    """Return the verdict with a note why there is no critique."""
    return verdict.say(notes=[*verdict.notes, f"no critique: {why}"])


def cannot_write(job: Job) -> str | None:
    """Return why the judge cannot write reasons; None if it can."""
    assert job.judge is not None
    preset = job.judge.preset
    return None if preset.explains else no_reasons(preset)


def ask_reason(job: Job) -> tuple[Request, tuple[str, str | None]]:
    """Return the request for the reason of a job's verdict, and its ``Job.why``.

    Raises:
        MeneError: the sample cannot be rendered.
    """
    judge, verdict, asked = job.judge, job.verdict, job.asked
    assert judge is not None and verdict is not None
    criterion = plain_criterion(asked.criterion, judge.engine.control_tokens)
    explaining = Explaining("all", tokens=asked.settings.get("critique_tokens"))
    request, cut = reason_request(judge, asked.sample, criterion, verdict, explaining)
    return request, (key_of(judge.engine.identity, request, explaining), cut)


def with_reason(job: Job, done: Completion) -> Verdict:
    """Return a job's verdict with its reason, or with a note why there is none."""
    judge, verdict, criterion = job.judge, job.verdict, job.asked.criterion
    assert judge is not None and verdict is not None
    if done.error is not None or not done.critique:
        return without_reason(verdict, str(done.error or "the model wrote nothing"))
    said = judge.asker.read(done, judge.template.written(criterion.scale), criterion.scale)
    key, cut = job.why
    return with_critique(verdict, said, criterion, key, Explaining("all"), cut)
