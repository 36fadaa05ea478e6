"""Texts as runs of words, and an index of texts with mostly the same runs (MinHash, Broder 1997).

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
    """Check early that datasketch is installed: raise ``ModelError`` where it is not."""
    try:
        import datasketch  # noqa: F401
    except ImportError:
        raise ModelError('datasketch is not installed; run: pip install "mene[curate]"') from None


def index_of(threshold: float) -> MinHashLSH:
    """Return an empty index of signatures that finds a Jaccard similarity of about ``threshold`` or more."""
    require()
    from datasketch import MinHashLSH

    return MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)


def hashed_words(text: str) -> np.ndarray:
    """Return a text's words in lower case, each as a 64-bit number. Shape (words,), uint64."""
    words = _WORD.findall(text.casefold())
    return np.array([_hashed(word) for word in words], np.uint64)


def _hashed(word: str) -> int:
    raw = word.encode("utf-8", "surrogatepass")
    return zlib.crc32(raw) << 32 | zlib.adler32(raw)


def ngrams(words: np.ndarray, size: int) -> np.ndarray:
    """Return every run of ``size`` words as a number; of a shorter text, one for the whole. Shape (runs,), uint64."""
    size = min(size, len(words))
    total = np.zeros(len(words) - size + 1, np.uint64)
    for k in range(size):
        total = total * _BASE + words[k : k + len(total)]
    return total


def signature(shingles: np.ndarray) -> MinHash:
    """Return the MinHash of a set of shingles."""
    from datasketch import MinHash

    found = MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=int)
    found.update_batch((shingles >> np.uint64(32)).tolist())
    return found
