"""Prices and assumptions of a plan: ``library/plan.yaml``, or a user's copy of it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from mene.errors import UsageError
from mene.library.check import parse
from mene.library.load import LIBRARY


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Assumptions(_Strict):
    """Shares of a peak, 0 to 1, and sizes; the file states their sources."""

    compute: float = Field(gt=0, le=1)
    bandwidth: float = Field(gt=0, le=1)
    together: int = Field(ge=1)
    bytes: float = Field(gt=0, le=8)
    machines: float = Field(gt=0, le=1)


class GPU(_Strict):
    """A GPU: peak of dense bfloat16 (TFLOPS), memory (GB), bandwidth (GB/s), dollars per hour, and the source of the price."""

    name: str
    tflops: float = Field(gt=0)
    memory: float = Field(gt=0)
    bandwidth: float = Field(gt=0)
    hour: float = Field(ge=0)
    seen: str


class API(_Strict):
    """Dollars per million tokens."""

    read: float = Field(ge=0)
    written: float = Field(ge=0)
    seen: str


class Machine(_Strict):
    """Dollars per hour of the measuring machine."""

    hour: float = Field(ge=0)
    seen: str = ""


class Agreement(_Strict):
    """How often a judge agreed with people: a share, its 95 % interval, the number of rows, and the data set."""

    value: float = Field(ge=0, le=1)
    low: float | None = Field(default=None, ge=0, le=1)
    high: float | None = Field(default=None, ge=0, le=1)
    rows: int = Field(ge=1)
    of: str


class Known(_Strict):
    """A judge: its number of weights, and its measured agreement by criterion."""

    weights: int = Field(gt=0)
    agreement: dict[str, Agreement] = Field(default_factory=dict)


class Prices(_Strict):
    """The whole file."""

    assumptions: Assumptions
    gpus: dict[str, GPU]
    apis: dict[str, API]
    machine: Machine
    judges: dict[str, Known]


def load_prices(path: Path | None = None) -> Prices:
    """Read prices and assumptions.

    Raises:
        UsageError: the file does not exist, or a key or value is wrong (the message names it).
    """
    source = path or LIBRARY / "plan.yaml"
    try:
        text = source.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{source}: cannot read: {getattr(error, 'strerror', None) or error}"
        ) from None
    return parse(Prices, text, str(source))
