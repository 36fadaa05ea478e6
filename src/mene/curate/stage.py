"""What a stage of curation made and left out, as the report tells it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

SHOWN = 3  # samples kept of every reason


@dataclass
class Stage:
    """What one stage of curation made and left out.

    Attributes:
        made: by what, e.g. source.
        dropped: by reason.
        samples: a few dropped texts of every reason.
    """

    made: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, str]] = field(default_factory=list)

    def drop(self, reason: str, name: str, text: str) -> None:
        """Count one thing left out, and keep the first few of its reason."""
        self.dropped[reason] += 1
        if self.dropped[reason] <= SHOWN:
            self.samples.append({"reason": reason, "id": name, "text": text[:300]})
