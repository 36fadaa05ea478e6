"""A battle, a vote, and their errors. Pure data; ``store.py`` stores it."""

from __future__ import annotations

import json
import re
import secrets
from datetime import UTC, datetime
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from mene.arena.style import Style, style_of
from mene.criterion import Criterion
from mene.errors import MeneError
from mene.judge.preset import Preset
from mene.sample import Sample
from mene.verdict import Verdict, hash_of, whole_characters

Choice = Literal["a", "b", "tie", "both_bad"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
SeatName = Literal["a", "b"]

LONGEST_NAME = 500  # characters of a judge's name, a source, a label
LONGEST_REASON = 4000

# The error of a battle whose voter left.
LEFT = "the voter left before both judges had answered"


def holdable(text: str) -> str:
    """Return a text that every database can store: without NUL (PostgreSQL) and without lone surrogates."""
    return whole_characters(text).replace("\0", "\N{REPLACEMENT CHARACTER}")


def in_reach(time: datetime) -> datetime:
    """Return the time, if databases and time zones can represent it; others would break every reader.

    Raises:
        ValueError: it is out of range.
    """
    try:
        year = time.astimezone(UTC).year
    except (OverflowError, ValueError):
        year = 0
    if not 1970 <= year <= 9998:
        raise ValueError("not a time between 1970 and 9998")
    return time


Line = Annotated[str, AfterValidator(holdable)]
Time = Annotated[AwareDatetime, AfterValidator(in_reach)]
Name = Annotated[Line, Field(max_length=LONGEST_NAME)]
_ID = r"^[0-9a-zA-Z_.-]{8,64}$"
Id = Annotated[str, Field(pattern=_ID)]
Voter = Annotated[str, Field(pattern=r"^[0-9a-zA-Z_.-]{0,64}$")]


class ArenaError(MeneError):
    """The arena refuses a request."""


class NoSuchBattle(ArenaError):
    """No battle has this id."""


class NotFinished(ArenaError):
    """A judge is still running, or one failed: the battle cannot be voted on."""


class AlreadyVoted(ArenaError):
    """The battle has a vote, and can have only one."""


class TooManyVotes(ArenaError):
    """A voter votes faster than the limits allow.

    Attributes:
        seconds: until the next vote is accepted, rounded up.
    """

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(f"too many votes in a short time; vote again in {seconds} s")


def new_id() -> str:
    """Return a new, unguessable id for a battle: 32 hex digits."""
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    """Return whether the text has the form of a battle's id."""
    return re.fullmatch(_ID, text) is not None


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def preset_hash(preset: Preset) -> str:
    """Return a hash of a judge's settings without its name and description: 16 hex digits."""
    said = preset.model_dump(mode="json", exclude={"name", "about", "license", "warning"})
    return hash_of(said)[:16]


class Seat(BaseModel):
    """One of the two judges of a battle.

    Attributes:
        judge: its name, which the voter sees after the vote.
        preset: hash of its settings (``preset_hash``); empty where they are not known.
        verdict: what it said, whole; None while it writes, or where it failed.
        error: why there is no verdict.
        style: of its critique; counted where it is not given. It is all that is left of a critique that was removed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    judge: Name = Field(min_length=1)
    preset: Name = ""
    verdict: Verdict | None = None
    error: Line | None = None
    style: Style | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.verdict is not None:
            if self.error is not None:
                raise ValueError("a seat has a verdict or an error, not both")
            if wrong := self.verdict.mistake():
                raise ValueError(f"its verdict cannot be: {wrong}")
            if self.style is None:
                object.__setattr__(self, "style", style_of(self.verdict.critique))
        return self


class Battle(BaseModel):
    """Two judges on one sample.

    Attributes:
        id: unguessable (``new_id``).
        sample: what they judged.
        content: a hash that tells one sample from another; the sample's own where it is not given. It is all that is left of a
            sample that was removed.
        criterion: by what, whole.
        a, b: the seats; ``a`` is shown on the left.
        seed: of the draw of judges and sides.
        source: where the sample is from, with its licence (``typed``, ``rows.jsonl``, ``SummEdits, CC BY 4.0``).
        started, ended: when the judges were asked, and when the second one was done; None: they still write.
        error: why the battle ended without verdicts to vote on.
        voter: who started it (a salted hash); empty where nobody is known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Id
    sample: Sample
    content: str = Field(default="", pattern=r"^[0-9a-f]{0,32}$")
    criterion: Criterion
    a: Seat
    b: Seat
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    source: Name = ""
    started: Time = Field(default_factory=now)
    ended: Time | None = None
    error: Line | None = None
    voter: Voter = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.a.judge == self.b.judge:
            raise ValueError(f'both seats have the judge "{self.a.judge}"')
        if not self.content:
            object.__setattr__(self, "content", self.sample.content)
        return self

    @property
    def is_finished(self) -> bool:
        """Return whether both judges are done and none failed, so that it can be voted on."""
        return self.ended is not None and self.error is None


class Vote(BaseModel):
    """A person's choice.

    Attributes:
        battle: its id; a battle has one vote.
        choice: the judge of seat ``a`` or ``b`` is right, both are (``tie``), or none is (``both_bad``).
        reason: in the voter's words; may be empty.
        label: the label that the voter would give the sample; None: said nothing.
        voter: a salted hash (``voter.py``); empty where nobody is known.
        at: when.
        consent: the voter agreed that the vote, with its sample, is published.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    battle: Id
    choice: Choice
    reason: Line = Field(default="", max_length=LONGEST_REASON)
    label: Name | None = None
    voter: Voter = ""
    at: Time = Field(default_factory=now)
    consent: bool = False


class Moderation(BaseModel):
    """One line of the log of moderation.

    Attributes:
        target: a battle's id, or a voter.
        kind: which of the two.
        what: ``leave_out`` of ratings and published votes, ``take_back`` such a decision, or ``delete`` (a voter's own wish; the
            voter is not named).
        why, by: the reason, and who decided.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: Line
    kind: Literal["battle", "voter"]
    what: Literal["leave_out", "take_back", "delete"]
    why: Line = Field(min_length=1, max_length=LONGEST_REASON)
    by: Name = Field(min_length=1)
    at: Time = Field(default_factory=now)


def to_json(value: Sample | Criterion) -> str:
    """Return JSON in one line; lone surrogates are escaped, so that any file or database can store it."""
    return json.dumps(value.model_dump(mode="python"), ensure_ascii=True)
