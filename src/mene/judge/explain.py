"""Critiques added after the verdicts: the request for one, and its effect on the verdict.

A critique takes several times as long as a verdict, since it is written token by token. So every row gets its verdict
first, and then the rows that a person will look at (``explaining.py``) get a critique.
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

TURN = 64  # reserved for the turns that ask for a reason, where a context is cut to fit
WINDOW = 256  # rows whose prompts are in memory at once


class Explained(NamedTuple):
    """A verdict before and after. ``after`` has the critique; it is ``before`` itself where that had one already, and None
    where
    the critique could not be written, for the reason in ``error``."""

    position: int
    before: Verdict
    after: Verdict | None
    error: str | None = None


class _Reason(NamedTuple):
    """A request for a critique: its key, its row, and a note of what was cut to make it fit."""

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
    """Yield verdicts with their critiques, in order of completion.

    Raises:
        UsageError: a pair cannot be reconsidered.
    """
    waiting = iter(rows)
    while window := list(islice(waiting, WINDOW)):
        todo: list[_Reason] = []
        for position, sample, criterion, verdict in window:
            # A reconsidered verdict has its critique already; a run without reconsidering does not undo it.
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
        # Prompts with a common beginning go to the engine together.
        todo.sort(key=lambda one: one.request.messages)
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
    """Return one verdict with its critique.

    Raises:
        UsageError: the judge was not trained to write critiques, the verdict has no label of the criterion, or a pair is to be
            reconsidered.
        EngineError: the critique could not be written.
    """
    if not (judge.preset.writes if explaining.reconsider else judge.preset.explains):
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
    """Return the request for a critique, and a note of what was cut to make it fit."""
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
    if given.label in labels:  # in the model's spelling
        given = given.model_copy(update={"label": asked.labels[labels.index(given.label)]})
    request = request_for(asked, given, judge.template.why, tokens, judge.preset.temperature)
    return replace(request, adapter=judge.preset.explainer_adapter), cut


def request_for(
    asked: Request, verdict: Verdict, why: str, tokens: int, temperature: float
) -> Request:
    """Return the request for the reason, as a continuation of the conversation that gave the verdict.

    Its prompt begins with the verdict's prompt, so that an engine can reuse its cache (where the same adapter is in use), and the
    model argues for the label that it gave instead of deciding anew. (For a pair judged pointwise, the prompt shows both
    responses.)

    Args:
        asked: the request that gave the verdict, in verdict mode.
        why: the user's turn that asks for the reason.
        tokens: maximum length of the critique.
    """
    return replace(
        asked,
        messages=follow_up(asked, str(verdict.label), why),
        critique_tokens=tokens,
        temperature=temperature,
        choose=False,
    )


def follow_up(asked: Request, label: str, why: str) -> tuple[Message, ...]:
    """Return the conversation in which a label is given and its reason is asked for.

    Args:
        asked: the request for the label, in verdict mode.
        label: as the model writes it.
        why: the user's turn that asks for the reason.
    """
    given = Message("assistant", f"{asked.cue}{asked.joint}{label}")
    return (*asked.messages, given, Message("user", why))


def key_of(identity: str, request: Request, explaining: Explaining) -> str:
    """Return the hash of the whole request for a critique; a critique with another key is written anew."""
    # Usual values are left out, so that keys from before these settings existed stay valid.
    usual = {"gap": GAP, "joint": JOINT, "thought_tokens": 0, "adapter": 0}
    asked = [
        False if f.name == "adapter" and value is None else value
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
    """Return the verdict with the critique of a completion.

    Args:
        key: see ``key_of``.
        cut: a note of what was cut from the sample.
    """
    verdict = before_reconsidering(verdict)
    # Notes about an earlier critique go with it.
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
    """Return a truncated reason up to its last complete sentence; unchanged where there is none.

    A list number ("2.") does not end a sentence, nor does a line that introduces a list.
    """
    ends = [
        match.end()
        for match in re.finditer(r"""[.!?…][)\]"'”’»*`]*(?=\s)|[。！？][」』）”]*""", text)
        if not re.search(r"(?:^|\n)\s*(?:\d+|[A-Za-z])\.$", text[: match.end()])
    ]
    return text[: ends[-1]].rstrip() if ends else text
