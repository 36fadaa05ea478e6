"""What a judge costs: its provider's price of tokens."""

from __future__ import annotations

from dataclasses import dataclass

from mene.errors import UsageError


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million input (``read``) and output (``written``) tokens."""

    read: float
    written: float

    @classmethod
    def parse(cls, text: str) -> tuple[str, Price]:
        """Return a judge and its price from ``JUDGE=0.15/0.60``.

        Raises:
            UsageError: the text has another form.
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
        """Return the price of a thousand verdicts in dollars; None if their tokens were not counted.

        Args:
            read, written: mean input and output tokens of one verdict.
        """
        if read is None and written is None:
            return None
        return ((read or 0.0) * self.read + (written or 0.0) * self.written) / 1000
