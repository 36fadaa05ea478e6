"""Right and wrong responses kept alike: what a change adds here, another one takes away there.

Code that people wrote has more ``==`` than ``!=``, so that changed code has more ``!=``: a judge could tell it by that
alone. Of the changes at hand the one is taken after which words, pairs of words and length are the most even.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

LENGTH = 8  # characters that weigh as much as a word
_TOKEN = re.compile(r"\d+|\w+|[^\w\s]+|\n *")


def gained(wrong: str, right: str) -> Counter[str]:
    """What the wrong text has more of than the right one (less, below 0): words, pairs of them, and length."""
    found = _counted(wrong)
    found.subtract(_counted(right))
    found["length"] = round((len(wrong) - len(right)) / LENGTH)
    return Counter({what: count for what, count in found.items() if count})


class Even:
    """Keeps count of what the wrong texts have had more of so far."""

    def __init__(self) -> None:
        self._sum: Counter[str] = Counter()

    def place(self, options: Sequence[Counter[str]]) -> int:
        """The place of the option that is best for the balance, the first of several."""
        return min(range(len(options)), key=lambda n: self._cost(options[n]))

    def add(self, taken: Counter[str]) -> None:
        """Count what was taken."""
        for what, count in taken.items():
            self._sum[what] += count

    def _cost(self, option: Counter[str]) -> int:
        """By how much the squares of all sums grow."""
        return sum(count * (count + 2 * self._sum[what]) for what, count in option.items())


def _counted(text: str) -> Counter[str]:
    words = _TOKEN.findall(text)
    return Counter(words) + Counter(map(" ".join, pairwise(words)))
