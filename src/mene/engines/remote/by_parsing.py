"""Any server: the answer is parsed strictly, and requested again if it does not end in a label."""

from __future__ import annotations

from typing import Any

from mene.engines.base import Completion, Request
from mene.engines.remote import prompt as remote
from mene.engines.remote.answer import Answer
from mene.engines.remote.completions import Chat
from mene.engines.remote.faults import Fault
from mene.errors import EngineError

# Maximum number of requests until an answer ends in a label.
PARSE_TRIES = 3


async def judge_by_parsing(chat: Chat, request: Request, done: Completion) -> None:
    """Ask until the answer is finished and ends in a label. After an answer that was cut, ask once more with room to
    reason; after one without a label, ask again and say what is missing."""
    messages = asked = [m._asdict() for m in request.messages]
    room = request.critique_tokens + remote.room(request)
    how: dict[str, Any] = {"temperature": request.temperature, "seed": request.seed}
    if request.choose:
        how |= {"logprobs": True, "top_logprobs": 20}
    # A critique alone stays cut: its length must not depend on other rows.
    roomy = chat.thinks and request.choose
    reasoning = remote.REASONING + request.thought_tokens
    room += roomy * reasoning
    answer, critique, tries = Answer(), "", 0
    while tries < PARSE_TRIES:
        try:
            answer = await chat.complete(messages, request, done, max_tokens=room, **how)
        except Fault as fault:
            if not (answer.cut and fault.too_much_room):
                raise
            break  # already asked with more room
        tries += 1
        if not request.choose and (answer.finished or answer.text.strip()):
            critique = remote.critique_of(answer, request)
            if critique:
                done.notes += remote.unfinished(answer, room)
                done.critique = critique
                return
        elif answer.finished:
            done.label = remote.read_label(answer, request)
            # When asked again, a model may give only the label; the reasons are then those of its first answer.
            critique = remote.critique_of(answer, request) or critique
        if done.label is not None:
            break
        messages = asked
        if answer.cut and roomy:
            break  # it had enough room
        if answer.cut:
            chat.thinks = roomy = True
            room += reasoning
        elif request.choose and answer.finished:
            messages = [*asked, *remote.correction(answer, request)]
    if done.label is None:
        what = "label" if request.choose else "critique"
        raise EngineError(
            f"no {what} in the answer after {tries} tries: {remote.seen(answer, request, room)}; "
            + remote.advice(answer, request)
        )
    if messages is not asked:
        done.notes.append("asked again for the label")
    if request.critique_tokens:
        done.critique = critique
        if not critique:
            done.notes.append("the model wrote no critique")
    done.probabilities = remote.read_probabilities(answer, request, done.label, fold=True)
