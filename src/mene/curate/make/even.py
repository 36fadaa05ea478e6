"""Balancing right and wrong responses: what one change adds, another one removes.

Code by people has more ``==`` than ``!=``, so mutated code has more ``!=``, and a judge could detect it by that alone. Of the
possible changes, the one is used after which words, pairs of words and length are most balanced.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

LENGTH = 8  # characters that weigh as much as one word
_TOKEN = re.compile(r"\d+|\w+|[^\w\s]+|\n *")


def gained(wrong: str, right: str) -> Counter[str]:
    """Return how much more often (or less, below 0) words and pairs of words occur in the wrong text, and its extra length."""
    found = _counted(wrong)
    found.subtract(_counted(right))
    found["length"] = round((len(wrong) - len(right)) / LENGTH)
    return Counter({what: count for what, count in found.items() if count})


class Even:
    """Counts what the wrong texts have had more of so far."""

    def __init__(self) -> None:
        self._sum: Counter[str] = Counter()

    def place(self, options: Sequence[Counter[str]]) -> int:
        """Return the index of the option that balances best, the first of several."""
        return min(range(len(options)), key=lambda n: self._cost(options[n]))

    def add(self, taken: Counter[str]) -> None:
        """Count a used option."""
        for what, count in taken.items():
            self._sum[what] += count

    def _cost(self, option: Counter[str]) -> int:
        """Return how much the sum of squared counts grows."""
        return sum(count * (count + 2 * self._sum[what]) for what, count in option.items())


def _counted(text: str) -> Counter[str]:
    words = _TOKEN.findall(text)
    return Counter(words) + Counter(map(" ".join, pairwise(words)))
