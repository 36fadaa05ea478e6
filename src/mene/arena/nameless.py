"""A battle without what people typed: texts are replaced by pseudonyms, which differ in each exported file."""

from __future__ import annotations

import hashlib
import hmac

from mene.arena.words import Battle, Seat, Vote, to_json
from mene.criterion import Criterion, criterion_names, load_criterion
from mene.sample import Sample
from mene.scale import Scale
from mene.verdict import Verdict

REMOVED = "(removed)"
_NUMBERS = (
    "label", "score", "probabilities", "confidence", "usage", "latency_s", "abstained", "likeliest", "judge",
)  # fmt: skip


def renamed(key: bytes, voter: str) -> str:
    """Return a voter's pseudonym under this key; empty if the voter is not known."""
    return _number(key, voter)[:24] if voter else ""


def without_samples(battle: Battle, vote: Vote | None, key: bytes) -> tuple[Battle, Vote | None]:
    """Return the battle without sample, critiques and reasons. A custom criterion also loses its question and labels.

    Args:
        key: one per exported file. A sample or criterion has the same pseudonym within a file, and another one in other files.
    """
    criterion, labels = _nameless(battle.criterion, key)
    left = battle.model_copy(
        update={
            "sample": Sample(),
            "content": _number(key, battle.content)[:16],
            "criterion": criterion,
            "source": "" if battle.source in ("own", "typed") else battle.source,
            "a": _without_critique(battle.a, labels),
            "b": _without_critique(battle.b, labels),
            "error": None if battle.error is None else REMOVED,
        }
    )
    if vote is None:
        return left, None
    own = None if vote.label is None else labels.get(vote.label, vote.label)
    return left, vote.model_copy(update={"reason": "", "label": own})


def _nameless(criterion: Criterion, key: bytes) -> tuple[Criterion, dict[str, str]]:
    """Return the criterion, and its new label names; numbers, Yes, No, A, B and tie stay."""
    if criterion.name in criterion_names() and load_criterion(criterion.name) == criterion:
        return criterion, {}
    scale, labels = criterion.scale, dict[str, str]()
    if scale.kind == "nominal" and scale.labels != Scale.binary().labels:
        labels = {label: f"label {place}" for place, label in enumerate(scale.labels, 1)}
        scale = Scale.classes(*labels.values())
    name = f"own-{_number(key, to_json(criterion))[:8]}"
    return Criterion(name=name, question=REMOVED, scale=scale), labels


def _without_critique(seat: Seat, labels: dict[str, str]) -> Seat:
    error = None if seat.error is None else REMOVED
    if seat.verdict is None:
        return seat.model_copy(update={"error": error})
    kept = {name: getattr(seat.verdict, name) for name in _NUMBERS}
    for name in ("label", "likeliest"):
        kept[name] = labels.get(kept[name], kept[name])
    if kept["probabilities"] is not None:
        kept["probabilities"] = {
            labels.get(one, one): p for one, p in kept["probabilities"].items()
        }
    return seat.model_copy(update={"verdict": Verdict(**kept)})


def _number(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
