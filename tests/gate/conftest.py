"""Verdicts made by hand, as sections and as files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from mene.verdict import Verdict


def made(
    label: str | None,
    number: int = 0,
    criterion: str = "faithfulness",
    judge: str = "nano",
    p: float = 0.9,
    **more,
) -> Verdict:
    """A verdict on row ``number``: a label (``"abstain"``), or None for an error."""
    facts = {
        "id": f"r{number}",
        "row": number + 1,
        "content": f"text {number}",
        "key": f"{number:032x}",
    }
    base = {"criterion": criterion, "judge": judge, **facts}
    if label is None:
        return Verdict(**base | {"error": "too long"} | more)
    if label == "abstain":
        return Verdict(**base | {"abstained": True, "likeliest": "Yes"} | more)
    if label in ("Yes", "No"):
        odds = {"Yes": p if label == "Yes" else 1 - p, "No": p if label == "No" else 1 - p}
        return Verdict(**base | {"label": label, "probabilities": odds, "confidence": p} | more)
    if label.isdigit():
        odds = {str(n): float(str(n) == label) for n in range(1, 6)}
        return Verdict(
            **base | {"label": label, "score": float(label), "probabilities": odds} | more
        )
    return Verdict(**base | {"label": label} | more)


@pytest.fixture
def verdict() -> Callable[..., Verdict]:
    return made


@pytest.fixture
def verdicts() -> Callable[..., list[Verdict]]:
    """``verdicts("Yes", "No", None, criterion=…)``."""
    return lambda *labels, **more: [made(label, n, **more) for n, label in enumerate(labels)]


@pytest.fixture
def ledger(tmp_path) -> Callable[[str, Iterable[Verdict]], Path]:
    """Writes verdicts to a file of this name."""

    def write(name: str, lines: Iterable[Verdict]) -> Path:
        path = tmp_path / name
        path.write_text("".join(one.to_json() + "\n" for one in lines), "utf-8")
        return path

    return write
