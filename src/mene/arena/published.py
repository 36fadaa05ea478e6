"""Rows of two arenas that published votes, as battles of this one.

LMArena (``arena-human-preference-140k`` and its forerunners, ``clean_battle_*.json``, the 55k set of Kaggle): ``model_a``,
``model_b``, ``winner`` (model_a, model_b, tie, both_bad, "tie (bothbad)") or ``winner_model_a`` … ``winner_tie``;
``conversation_a`` and ``conversation_b`` or ``prompt``, ``response_a``, ``response_b``; ``conv_metadata`` for the style where
there is no text; ``tstamp`` or ``timestamp``; ``judge`` or ``evaluation_session_id``. There the two seats are models that answer:
the answer takes the place of a critique, and the verdict has no label.

Judge Arena (``atla-ai/judge-arena``, ``utils.py``): ``timestamp``, ``prompt``, ``response_a``, ``response_b``, ``model_a``,
``model_b``, ``winner`` (A, B, Tie), ``judge_id``. A response holds a judge's score and its critique.

A battle's id is the hash of its row, so that the same row is the same battle. It is not known what the voters agreed to, so the
votes are marked as without consent to publication.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from mene.arena.style import Style
from mene.arena.words import LONGEST_NAME, Battle, Choice, Seat, Vote
from mene.criterion import Criterion
from mene.errors import MeneError
from mene.sample import Sample
from mene.scale import Scale
from mene.verdict import Verdict, hash_of

_WINNERS: dict[str, Choice] = {
    "model_a": "a", "model_b": "b", "tie": "tie", "both_bad": "both_bad", "tie (bothbad)": "both_bad",
    "a": "a", "b": "b", "bothbad": "both_bad",
}  # fmt: skip
_PREFERENCE = Criterion(
    name="preference",
    question="Which of the two answers is better?",
    scale=Scale(kind="pairwise", labels=("A", "B", "tie")),
)
_JUDGED = Criterion(name="judge-arena", question="How good is the response?", scale="1-5")  # type: ignore[arg-type]
_SCORE = re.compile(r"\bscore\b\W{0,6}([1-5])(?!\d)", re.I)
_START = datetime(1970, 1, 1, tzinfo=UTC)


class Unreadable(MeneError):
    """A line is not a battle."""

    @classmethod
    def by(cls, error: ValidationError) -> Unreadable:
        """Return an error about the first mistake."""
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        place = ".".join(map(str, first["loc"]))
        return cls(f'field "{place}": {said}' if place else said)


def read_published(row: Mapping[str, Any]) -> tuple[Battle, Vote]:
    """Return the battle and the vote of a row of either form.

    Raises:
        Unreadable: it has neither form; the message names the field.
    """
    for name in ("model_a", "model_b"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise Unreadable(f'no field "{name}": not a battle of mene, LMArena or Judge Arena')
    choice = _winner(row)
    judged = row.get("judge_id") is not None or str(row.get("winner")) in ("A", "B", "Tie")
    at = _time(row)
    who = next(
        (row[name] for name in ("judge_id", "judge", "evaluation_session_id") if row.get(name)), ""
    )
    voter = hash_of(["published", str(who)])[:24] if who else ""
    key = hash_of(json.loads(json.dumps(dict(row), default=str)))[:32]
    one, other = (_text(row, side) for side in "ab")
    try:
        battle = Battle(
            id=key,
            sample=_sample(row),
            criterion=_JUDGED if judged else _PREFERENCE,
            a=_seat(row, "a", one, judged),
            b=_seat(row, "b", other, judged),
            source="Judge Arena" if judged else "LMArena",
            started=at,
            ended=at,
            voter=voter,
        )
        return battle, Vote(battle=key, choice=choice, voter=voter, at=at)
    except ValidationError as error:
        raise Unreadable.by(error) from None


def _winner(row: Mapping[str, Any]) -> Choice:
    winner = row.get("winner")
    if winner is None and any(f"winner_{name}" in row for name in ("model_a", "model_b", "tie")):
        flags = {
            name: row.get(f"winner_{name}") in (1, "1", True)
            for name in ("model_a", "model_b", "tie")
        }
        named = [name for name, flag in flags.items() if flag]
        if len(named) != 1:
            raise Unreadable('fields "winner_…": exactly one of them is 1')
        winner = named[0]
    found = _WINNERS.get(str(winner).strip().lower())
    if found is None:
        raise Unreadable(
            f'field "winner": {str(winner)[:40]!r} is none of model_a, model_b, tie, both_bad, A, B, Tie'
        )
    return found


def _time(row: Mapping[str, Any]) -> datetime:
    value = next((row[name] for name in ("tstamp", "timestamp") if row.get(name) is not None), None)
    try:
        if value is None:
            return _START
        if isinstance(value, datetime):
            found = value
        elif isinstance(value, int | float) or re.fullmatch(r"\d+(\.\d+)?", str(value)):
            found = datetime.fromtimestamp(float(value), UTC)
        else:
            found = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        raise Unreadable(f'field "timestamp": {str(value)[:40]!r} is no time') from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _sample(row: Mapping[str, Any]) -> Sample:
    prompt = row.get("prompt")
    if isinstance(prompt, str):
        return Sample(instruction=prompt)
    turns = _turns(row.get("conversation_a"))
    asked = [text for role, text in turns if role == "user"]
    return Sample(instruction="\n\n".join(asked) or None)


def _text(row: Mapping[str, Any], side: str) -> str | None:
    """Return the text that a seat wrote."""
    for name in (f"response_{side}", f"response_{1 if side == 'a' else 2}"):
        if isinstance(row.get(name), str):
            return row[name]
    turns = _turns(row.get(f"conversation_{side}"))
    return "\n\n".join(text for role, text in turns if role == "assistant") or None


def _turns(talk: Any) -> list[tuple[str, str]]:
    """Return (role, text) of a conversation's turns; in the newer form a text is a list of parts."""
    if isinstance(talk, str) and talk[:1] == "[":
        try:
            talk = json.loads(talk)
        except (ValueError, RecursionError):
            return []
    found = []
    for turn in talk if isinstance(talk, list | tuple) else ():
        if isinstance(turn, Mapping):
            content = turn.get("content")
            if isinstance(content, list | tuple):
                parts = [part.get("text") for part in content if isinstance(part, Mapping)]
                content = "\n".join(part for part in parts if isinstance(part, str))
            if isinstance(content, str):
                found.append((str(turn.get("role")), content))
    return found


def _seat(row: Mapping[str, Any], side: str, text: str | None, judged: bool) -> Seat:
    label = None
    if judged and text and (score := _SCORE.search(text)):
        label = score[1]
    name = str(row[f"model_{side}"]).strip()[:LONGEST_NAME]
    verdict = Verdict(judge=name, label=label, abstained=label is None, critique=text)
    return Seat(judge=name, verdict=verdict, style=None if text else _style(row, side))


def _style(row: Mapping[str, Any], side: str) -> Style | None:
    """Return the style from LMArena's counts, for rows without text. Tokens replace characters: only their ratio matters."""
    meta = row.get("conv_metadata")
    if not isinstance(meta, Mapping):
        return None
    tokens = _sum(meta.get(f"sum_assistant_{side}_tokens"))
    headers, items, bold = (
        _sum(meta.get(f"{name}_count_{side}")) for name in ("header", "list", "bold")
    )
    return Style(characters=tokens, headers=headers, items=items, bold=bold)


def _sum(value: Any) -> int:
    """Return a count, or the sum of the counts in a struct."""
    if isinstance(value, Mapping):
        return sum(map(_sum, value.values()))
    if isinstance(value, int | float) and 0 <= value < 1 << 30:
        return int(value)
    return 0
