"""A text as the runs of its words, and an index that finds texts with most runs in common (MinHash, Broder 1997).

Case, punctuation and white space do not count.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

from mene.errors import ModelError

if TYPE_CHECKING:
    from datasketch import MinHash, MinHashLSH

SHINGLE = 5  # words of a shingle
PERMUTATIONS = 64

_WORD = re.compile(r"\w+")
_BASE = np.uint64(0x9E3779B97F4A7C15)


def require() -> None:
    """Say early that the index cannot be made: raises ``ModelError`` where datasketch is not installed."""
    try:
        import datasketch  # noqa: F401
    except ImportError:
        raise ModelError('datasketch is not installed; run: pip install "mene[curate]"') from None


def index_of(threshold: float) -> MinHashLSH:
    """An empty index of signatures; it is asked for those whose Jaccard similarity is about ``threshold`` or more."""
    require()
    from datasketch import MinHashLSH

    return MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)


def hashed_words(text: str) -> np.ndarray:
    """A text's words in small letters, each as a 64-bit number. Shape (words,), uint64."""
    words = _WORD.findall(text.casefold())
    return np.array([_hashed(word) for word in words], np.uint64)


def _hashed(word: str) -> int:
    raw = word.encode("utf-8", "surrogatepass")
    return zlib.crc32(raw) << 32 | zlib.adler32(raw)


def ngrams(words: np.ndarray, size: int) -> np.ndarray:
    """Every run of ``size`` words as one number; of a shorter text, the text. Shape (runs,), uint64."""
    size = min(size, len(words))
    total = np.zeros(len(words) - size + 1, np.uint64)
    for k in range(size):
        total = total * _BASE + words[k : k + len(total)]
    return total


def signature(shingles: np.ndarray) -> MinHash:
    """The MinHash of a set of shingles."""
    from datasketch import MinHash

    found = MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=int)
    found.update_batch((shingles >> np.uint64(32)).tolist())
    return found
