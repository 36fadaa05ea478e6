"""vLLM: the label is a constrained choice after a prefilled cue. Tested against a small scripted server only."""

from __future__ import annotations

from mene.engines.base import Completion, Request
from mene.engines.remote import prompt as remote
from mene.engines.remote.answer import Answer
from mene.engines.remote.completions import Chat
from mene.errors import EngineError


async def judge_by_choice(chat: Chat, request: Request, done: Completion) -> None:
    """Fill ``done`` with a critique, if one is asked for, and the label from the server's constrained choice."""
    answer, said = Answer(), ""
    if request.critique_tokens:
        # An empty message cannot be continued.
        begun = bool(request.opening)
        answer = await chat.complete(
            remote.prefilled(request, request.opening) if begun else remote.asked(request),
            request,
            done,
            max_tokens=request.critique_tokens,
            temperature=request.temperature,
            seed=request.seed,
            stop=[request.cue],
            extra=remote.CONTINUE if begun else None,
        )
        done.notes += remote.unfinished(answer, request.critique_tokens)
        # Without thought marks, since the label is not part of a thought. A server's parser may put everything into the
        # thought.
        said = answer.text if answer.text.strip() else answer.thought
        done.critique = said.strip()
        if not request.choose:
            return
        if not done.critique:
            done.notes.append("the model wrote no critique")
        said = (request.opening + said).rstrip() + request.gap
    room = remote.room(request)
    for _ in range(2):
        answer = await chat.complete(
            remote.prefilled(request, said + request.cue),
            request,
            done,
            max_tokens=room,
            temperature=0.0,
            logprobs=True,
            top_logprobs=20,
            extra=remote.choose(request),
        )
        if answer.finished:
            break
        room *= 4
    else:
        raise EngineError(
            f"no label from {chat.name}: {remote.seen(answer, request, room)}; its constrained decoding is off"
        )
    # Where the server's parser takes all text for a thought, the choice is there; nothing else can be.
    word = answer.text if answer.text.strip() else answer.thought
    done.label = remote.exact_label(word, request.labels)
    if done.label is None:
        raise EngineError(
            f"{chat.name} did not keep to the labels (said {word[:60]!r}); its "
            "constrained decoding is off"
        )
    # Only the labels as written could be chosen, so other spellings do not count.
    done.probabilities = remote.read_probabilities(answer, request, done.label, fold=False)
