"""Reasons behind verdicts that are there already: what is asked for one, and what the verdict becomes.

A reason takes a few times as long as a verdict, most of it to write, one token after the other. So every row gets
its verdict first, and then the rows that a person will look at (``explaining.py``) get a critique.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import fields, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from mene.criterion import Criterion
from mene.engines.base import Completion, Request
from mene.errors import EngineError, SampleError, UsageError
from mene.judge.claims import as_asked
from mene.judge.combine import verdict_of
from mene.judge.explaining import Explaining, no_second_thought
from mene.judge.reconsidered import DECISION_FIELDS, before_reconsidering
from mene.judge.settings import no_reasons
from mene.message import GAP, JOINT, Message
from mene.sample import Sample
from mene.verdict import Verdict, hash_of

if TYPE_CHECKING:
    from mene.judge.judge import Judge

TURN = 64  # tokens kept for the turns that ask for a reason, where a context is cut to fit
WINDOW = 256  # rows whose prompts are at hand at once


class Explained(NamedTuple):
    """A verdict and what became of it: ``after`` has the critique, and is ``before`` itself where it had it already;
    ``error`` says why it could not be written, and ``after`` is then None."""

    position: int
    before: Verdict
    after: Verdict | None
    error: str | None = None


class _Reason(NamedTuple):
    """A critique that is asked for: the request, its key, what it is about, and what was cut to make it fit."""

    request: Request
    key: str
    position: int
    criterion: Criterion
    verdict: Verdict
    cut: str | None


def explained(
    judge: Judge,
    rows: Iterable[tuple[int, Sample, Criterion, Verdict]],
    explaining: Explaining,
) -> Iterator[Explained]:
    """Verdicts with their critiques, in whatever order they are done.

    Raises:
        UsageError: a pair is to be reconsidered.
    """
    waiting = iter(rows)
    while window := list(islice(waiting, WINDOW)):
        todo: list[_Reason] = []
        for position, sample, criterion, verdict in window:
            # One that was reconsidered has its reason: a run that asks for less does not undo it.
            if verdict.first is not None and not explaining.reconsider:
                yield Explained(position, verdict, verdict)
                continue
            try:
                request, cut = reason_request(judge, sample, criterion, verdict, explaining)
            except (SampleError, EngineError) as error:
                yield Explained(position, verdict, None, str(error))
                continue
            key = key_of(judge.engine.identity, request, explaining)
            if verdict.critique_key == key:
                yield Explained(position, verdict, verdict)
            else:
                todo.append(_Reason(request, key, position, criterion, verdict, cut))
        todo.sort(key=lambda one: one.request.messages)  # what begins alike stands side by side
        requests = (replace(one.request, index=i) for i, one in enumerate(todo))
        with closing(judge.engine.run(requests)) as running:
            for completion in running:
                _, key, position, criterion, verdict, cut = todo[completion.index]
                if completion.error is None and completion.critique:
                    scale = criterion.scale
                    completion = judge.asker.read(completion, judge.template.written(scale), scale)
                    after = with_critique(verdict, completion, criterion, key, explaining, cut)
                    yield Explained(position, verdict, after)
                else:
                    reason = str(completion.error or "the model wrote nothing")
                    yield Explained(position, verdict, None, reason)


def explained_now(
    judge: Judge, sample: Sample, verdict: Verdict, criterion: Criterion, explaining: Explaining
) -> Verdict:
    """One verdict with its critique.

    Raises:
        UsageError: the judge was never trained to write a critique, the verdict has no label of the criterion, or a pair is
            to be reconsidered.
        EngineError: the critique could not be written.
    """
    if not judge.preset.writes:
        raise UsageError(no_reasons(judge.preset))
    if verdict.label not in criterion.scale.labels:
        raise UsageError(
            f"this verdict has no label of {criterion.scale} that a critique could explain: "
            f"{verdict.error or verdict.label}"
        )
    [done] = explained(judge, [(0, sample, criterion, verdict)], explaining)
    if done.after is None:
        raise EngineError(f"no critique: {done.error}")
    return done.after


def reason_request(
    judge: Judge, sample: Sample, criterion: Criterion, verdict: Verdict, explaining: Explaining
) -> tuple[Request, str | None]:
    """What is asked for a critique, and what was cut to make it fit."""
    tokens = explaining.tokens or judge.preset.critique_tokens
    sample = as_asked(sample, verdict, criterion)
    if explaining.reconsider:
        if judge.preset.claims:
            raise UsageError(
                "--reconsider works on whole responses, not on claims; leave out --reconsider or --claims"
            )
        if criterion.scale.kind == "pairwise":
            raise UsageError(no_second_thought(criterion))
        return judge.asker.request(sample, criterion, tokens)
    asked, cut = judge.asker.request(sample, criterion, 0, reserve=tokens + TURN)
    given = before_reconsidering(verdict)
    labels = criterion.scale.labels
    if given.label in labels:  # as the model wrote it
        given = given.model_copy(update={"label": asked.labels[labels.index(given.label)]})
    request = request_for(asked, given, judge.template.why, tokens, judge.preset.temperature)
    return replace(request, adapted=judge.preset.critic == "adapter"), cut


def request_for(
    asked: Request, verdict: Verdict, why: str, tokens: int, temperature: float
) -> Request:
    """Ask for the reason of a verdict, in the conversation in which it was given.

    The prompt of the verdict is the beginning of this one, so that an engine that still has it reads it from its cache; and
    the model argues for the label that was given, instead of making up its mind anew. (Of a pair whose responses were asked
    about apart, it is the prompt that shows both.)

    Args:
        asked: the request that gave the verdict, in verdict mode.
        why: the user's turn that asks for the reason.
        tokens: most tokens of the critique.
    """
    given = Message("assistant", f"{asked.cue}{asked.joint}{verdict.label}")
    return replace(
        asked,
        messages=(*asked.messages, given, Message("user", why)),
        critique_tokens=tokens,
        temperature=temperature,
        choose=False,
    )


def key_of(identity: str, request: Request, explaining: Explaining) -> str:
    """Names all that is asked for a critique; a critique under another key is not what was asked for."""
    # Left out where they are usual, so that what was written before they could be otherwise is still known.
    usual = {"gap": GAP, "joint": JOINT, "thought_tokens": 0, "adapted": True}
    asked = [
        value
        for f in fields(request)
        if f.name != "index" and usual.get(f.name) != (value := getattr(request, f.name))
    ]
    return hash_of([identity, explaining.reconsider, asked])


def with_critique(
    verdict: Verdict,
    completion: Completion,
    criterion: Criterion,
    key: str,
    explaining: Explaining,
    cut: str | None,
) -> Verdict:
    """The verdict with the critique of a completion.

    Args:
        key: of all that was asked for it, see ``key_of``.
        cut: a note on what of the sample was cut.
    """
    verdict = before_reconsidering(verdict)
    # What an earlier critique had to say of itself goes with it.
    notes = [note for note in verdict.notes if not _is_cut(note)]
    notes += [note for note in ([cut] if cut else []) + completion.notes if note not in notes]
    critique = completion.critique or ""
    changes: dict[str, Any] = {
        "critique": finished(critique) if any(map(_is_cut, completion.notes)) else critique,
        "critique_key": key,
        "revision": verdict.revision + 1,
        "usage": verdict.usage + completion.usage,
        "latency_s": round(verdict.latency_s + completion.latency_s, 4),
        "notes": notes,
    }
    if explaining.reconsider:
        again = verdict_of(completion, criterion.scale)
        changes["first"] = Verdict(**{name: getattr(verdict, name) for name in DECISION_FIELDS})
        changes |= {name: getattr(again, name) for name in DECISION_FIELDS}
    return verdict.model_copy(update=changes)


def _is_cut(note: str) -> bool:
    return note.startswith("critique cut")


def finished(text: str) -> str:
    """A reason that was cut, up to its last finished sentence; as it is where there is none.

    A number of a list ("2.") ends no sentence, and neither does the line that announces the list.
    """
    ends = [
        match.end()
        for match in re.finditer(r"""[.!?…][)\]"'”’»*`]*(?=\s)|[。！？][」』）”]*""", text)
        if not re.search(r"(?:^|\n)\s*(?:\d+|[A-Za-z])\.$", text[: match.end()])
    ]
    return text[: ends[-1]].rstrip() if ends else text
