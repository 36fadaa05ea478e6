"""Training text that is also in a benchmark: found in three ways, counted, reported and removed.

*Exact*: the same words. *N-gram*: common runs of 13 words (Brown et al. 2020, arXiv 2005.14165, appendix C), more than a
phrase.
*Near*: mostly the same 5-word shingles (MinHash, Broder 1997), which finds texts with a few changed words. All ignore case,
punctuation and white space.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mene.curate.clean.shingles import SHINGLE, hashed_words, index_of, ngrams, signature
from mene.curate.raw.files import UNREADABLE, read_lines
from mene.curate.raw.sources import Point
from mene.errors import UsageError

if TYPE_CHECKING:
    from datasketch import MinHash

TEXTS = ("instruction", "response", "response_a", "response_b", "context")
RUN = 13  # words of an n-gram
LEAST_SHARE = 0.1  # share of a text's n-grams; less is a common phrase
LEAST_RUN = 40  # number of common n-grams that is a leak whatever their share
SHORT = 6  # words; shorter texts are too generic to count as leaks
# Rows of a benchmark with the same short instruction: then it is the benchmark's prompt, not its content.
COMMON = 50
NEAR = 0.7  # Jaccard similarity of shingles

# (benchmark, field, text)
Text = tuple[str, str, str]
# Text -> kind, benchmark and share in common (``Index.find``).
Known = dict[str, tuple[str, str, float] | None]


@dataclass(frozen=True, slots=True)
class Leak:
    """One text that is also in a benchmark.

    Attributes:
        kind: ``exact``, ``n-gram`` or ``near``.
        bench: the benchmark set it is in.
        field: of the training sample.
        share: of its n-grams or shingles in common, 0 to 1.
    """

    id: str
    source: str
    kind: str
    bench: str
    field: str
    share: float
    excerpt: str


@dataclass
class Leaks:
    """What decontamination removed.

    Attributes:
        dropped: counts by source and kind.
        examples: a few for each source and kind.
    """

    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[Leak] = field(default_factory=list)

    def add(self, leak: Leak, keep: int = 3) -> None:
        """Count a leak, and keep the first few of its kind as examples."""
        self.dropped[leak.source, leak.kind] += 1
        if self.dropped[leak.source, leak.kind] <= keep:
            self.examples.append(leak)


class Hashed(NamedTuple):
    """A text of a benchmark in the index.

    Attributes:
        bench: the benchmark.
        key: the words, each as a number (``hashed_words``); empty where the text is too short.
        grams, shingles: its n-grams, and its shingles with their signature; None for a repeated text.
    """

    bench: str
    key: bytes
    grams: np.ndarray | None = None
    shingles: np.ndarray | None = None
    sign: MinHash | None = None


def hashed(texts: Iterable[Text]) -> Iterator[Hashed]:
    """Yield what the index needs of some texts: most of its work, with the same result on any machine."""
    seen: set[bytes] = set()
    for bench, _, text in texts:
        words = hashed_words(text)
        if len(words) < SHORT:
            yield Hashed(bench, b"")
            continue
        key = words.tobytes()
        if key in seen:
            yield Hashed(bench, key)
            continue
        seen.add(key)
        grams = np.unique(ngrams(words, RUN)) if len(words) >= RUN else None
        shingles = np.unique(ngrams(words, SHINGLE))
        yield Hashed(bench, key, grams, shingles, signature(shingles))


class Index:
    """An index of all texts of the benchmarks.

    Args:
        texts: in the order of the benchmarks.
    """

    def __init__(self, texts: Iterable[Hashed]) -> None:
        self.names: list[str] = []
        places: dict[str, int] = {}
        seen: dict[bytes, int] = {}
        rows: Counter[bytes] = Counter()
        homes: dict[bytes, set[int]] = {}
        runs: list[np.ndarray] = []
        owners: list[np.ndarray] = []
        self._near = index_of(NEAR)
        self._signs: dict[int, tuple[int, np.ndarray]] = {}
        for bench, key, own, shingles, sign in texts:
            place = places.setdefault(bench, len(places))
            if not key:
                continue
            rows[key] += 1
            homes.setdefault(key, set()).add(place)
            if key in seen or shingles is None or sign is None:
                continue
            seen[key] = place
            if own is not None:
                runs.append(own)
                owners.append(np.full(len(own), place, np.uint16))
            number = len(self._signs)
            self._signs[number] = place, shingles
            self._near.insert(number, sign)
        self.names = list(places)
        self._exact = {
            key: place
            for key, place in seen.items()
            if len(key) >= 8 * RUN or (rows[key] < COMMON and len(homes[key]) == 1)
        }
        grams = np.concatenate(runs) if runs else np.empty(0, np.uint64)
        order = np.argsort(grams, kind="stable")
        self._runs = grams[order]
        self._owners = np.concatenate(owners)[order] if owners else np.empty(0, np.uint16)

    def find(self, text: str) -> tuple[str, str, float] | None:
        """Return kind, benchmark and common share for ``text``, or None where it is clean."""
        words = hashed_words(text)
        if len(words) < SHORT:
            return None
        if (place := self._exact.get(words.tobytes())) is not None:
            return "exact", self.names[place], 1.0
        if len(words) >= RUN and len(self._runs):
            grams = np.unique(ngrams(words, RUN))
            at = np.minimum(np.searchsorted(self._runs, grams), len(self._runs) - 1)
            hits = self._runs[at] == grams
            if hits.sum() >= LEAST_RUN or hits.mean() >= LEAST_SHARE:
                owner = np.bincount(self._owners[at[hits]]).argmax()
                return "n-gram", self.names[int(owner)], float(hits.mean())
        if len(words) >= RUN:
            shingles = np.unique(ngrams(words, SHINGLE))
            # Sorted, since the order of a set differs between processes.
            found: list[int] = self._near.query(signature(shingles))  # pyright: ignore
            for number in sorted(found):
                place, other = self._signs[number]
                same = len(np.intersect1d(shingles, other, assume_unique=True))
                share = same / (len(shingles) + len(other) - same)
                if share >= NEAR:
                    return "near", self.names[place], share
        return None


def bench_texts(folder: Path) -> Iterator[Text]:
    """Yield (set, field, text) for every row of every ``NAME.jsonl.gz`` in a folder of benchmarks.

    Raises:
        UsageError: there are no such files, or one is damaged. Curation requires the benchmarks.
    """
    paths = sorted(folder.glob("*.jsonl.gz"))
    if not paths:
        raise UsageError(
            f"{folder}: no benchmark files here; they are needed to keep them out of the training data; "
            "see docs/bench.md"
        )
    for path in paths:
        name = path.name.removesuffix(".jsonl.gz")
        try:
            for line in read_lines(path):
                row = json.loads(line)
                for key in TEXTS:
                    if isinstance(row.get(key), str):
                        yield name, key, row[key]
        except (*UNREADABLE, ValueError) as error:
            raise UsageError(f"{path}: damaged ({error}); download the file again") from None


def leak_of(point: Point, index: Index, known: Known) -> Leak | None:
    """Return the first text of a point that is also in a benchmark; None where the point is clean.

    Args:
        known: cached results for texts of earlier points; pass the same dict in again.
    """
    for key in TEXTS:
        text = getattr(point.sample, key)
        if not text:
            continue
        if len(known) > 10_000:  # rows with a common context or question are close together
            known.clear()
        if text not in known:
            known[text] = index.find(text)
        if found := known[text]:
            return Leak(point.id, point.source, *found[:2], key, found[2], text[:200])
    return None
