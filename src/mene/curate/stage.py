"""What a stage of curation made and left out, for the report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

SHOWN = 3  # dropped texts stored per reason


@dataclass
class Stage:
    """What one stage of curation made and left out.

    Attributes:
        made: counts by origin, e.g. source.
        dropped: counts by reason.
        samples: reason -> a few dropped texts.
    """

    made: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, str]] = field(default_factory=list)

    def drop(self, reason: str, name: str, text: str) -> None:
        """Count one dropped text, and store the first few per reason."""
        self.dropped[reason] += 1
        if self.dropped[reason] <= SHOWN:
            self.samples.append({"reason": reason, "id": name, "text": text[:300]})
