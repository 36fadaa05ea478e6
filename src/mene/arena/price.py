"""What a judge costs: the price of tokens at whoever serves it."""

from __future__ import annotations

from dataclasses import dataclass

from mene.errors import UsageError


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens, read and written."""

    read: float
    written: float

    @classmethod
    def parse(cls, text: str) -> tuple[str, Price]:
        """A judge and its price, written ``JUDGE=0.15/0.60``.

        Raises:
            UsageError: it is written otherwise.
        """
        judge, equals, said = text.rpartition("=")
        try:
            read, written = (float(part) for part in said.split("/"))
        except ValueError:
            read = written = -1.0
        if not judge or not equals or not (0 <= read < 1e6 and 0 <= written < 1e6):
            raise UsageError(
                f"--price {text}: write it like --price gpt-4o-mini=0.15/0.60, dollars per million tokens read and written"
            )
        return judge, cls(read, written)

    def of_thousand(self, read: float | None, written: float | None) -> float | None:
        """Dollars of a thousand verdicts; None where nobody counted their tokens.

        Args:
            read, written: tokens of one, on average.
        """
        if read is None and written is None:
            return None
        return ((read or 0.0) * self.read + (written or 0.0) * self.written) / 1000
