"""Near-duplicates inside the training data: the first one is kept.

*Exact*: the same question about the same words. *Near*: mostly the same 5-word shingles in every text that the judge sees
(MinHash, Broder 1997; confirmed on the shingles), with the same label. Versions that differ in a word and in the label are
kept:
a judge should learn from them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import numpy as np

from mene.curate.clean.shingles import SHINGLE, hashed_words, index_of, ngrams, signature
from mene.curate.raw.sources import Point
from mene.curate.stage import Stage

SAME = 0.85  # Jaccard similarity of the shingles of each text
_hashed = lru_cache(maxsize=4096)(hashed_words)  # rows with a common context are close together


def exact(
    points: Iterable[Point], keys: Iterable[bytes], seen: set[bytes], stage: Stage
) -> Iterator[Point]:
    """Yield the points whose key (``key``) is not in ``seen``, and add it there."""
    for point, mark in zip(points, keys, strict=True):
        if mark in seen:
            stage.drop("exact", point.id, _judged(point))
        else:
            seen.add(mark)
            yield point


def key(point: Point) -> bytes:
    """Return a hash of what is asked and shown, ignoring case, punctuation and the order of a pair."""
    criterion = point.criterion
    texts = [_hashed(text).tobytes() for text in _texts(point)]
    if criterion.scale.kind == "pairwise":
        texts.sort()
    whole = hashlib.blake2b(digest_size=12)
    for part in (point.task.encode(), point.own_question.encode(), *texts):
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.digest()


def near(
    points: Iterable[Point],
    stage: Stage,
    fold: Callable[[Iterable[list[Point]]], Iterable[list[bool]]] = lambda groups: map(new, groups),
) -> Iterator[Point]:
    """Yield the points that are not near-duplicates of an earlier one with the same task and label.

    Args:
        fold: applies ``new`` to independent groups, in order; may run elsewhere.
    """
    every = list(points)
    groups: defaultdict[str, list[Point]] = defaultdict(list)
    for point in every:
        groups[_task(point)].append(point)
    flags = {task: iter(found) for task, found in zip(groups, fold(groups.values()), strict=True)}
    for point in every:
        if next(flags[_task(point)]):
            yield point
        else:
            stage.drop("near", point.id, _judged(point))


def new(points: Iterable[Point]) -> list[bool]:
    """Return for each point of one task and label whether it is new, i.e. no near-duplicate of an earlier new one."""
    index = index_of(SAME)
    kept: list[list[np.ndarray]] = []
    flags = []
    for point in points:
        texts = [np.unique(ngrams(_hashed(text), SHINGLE)) for text in _texts(point) if text]
        sign = signature(np.unique(np.concatenate(texts)))
        flags.append(not any(_alike(texts, kept[int(str(n))]) for n in index.query(sign)))
        if flags[-1]:
            index.insert(len(kept), sign)
            kept.append(texts)
    return flags


def _task(point: Point) -> str:
    return f"{point.task}\0{point.own_question}\0{point.label}"


def _alike(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    if len(one) != len(other):
        return False
    for mine, theirs in zip(one, other, strict=True):
        same = len(np.intersect1d(mine, theirs, assume_unique=True))
        if same < SAME * (len(mine) + len(theirs) - same):
            return False
    return True


def _texts(point: Point) -> list[str]:
    return [getattr(point.sample, name) or "" for name in point.criterion.shown]


def _judged(point: Point) -> str:
    return point.sample.response or point.sample.response_a or ""
