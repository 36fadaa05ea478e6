"""Which benchmarks there are, and the protocol of each: `sets.yaml` as typed words. No data here."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mene.criterion import Criterion, load_criterion
from mene.errors import UsageError, nearest
from mene.library.yaml_file import read_yaml
from mene.scale import label_text

Kind = Literal["absolute", "classification", "pairwise"]
Metric = Literal["accuracy", "balanced_accuracy", "pearson", "group_spearman"]


class BenchSet(BaseModel):
    """One benchmark.

    Attributes:
        name: of its file and in results.
        title: for people.
        kind: the group it is reported in.
        suites: that it belongs to.
        criterion: what is judged; ``row`` = every row brings its own rubric.
        row_criterion: scale, labels and fields of a row's own criterion (default: a 1-5 score).
        question: field of the row that is the criterion's question (default: its rubric).
        gold: label in the file -> label of the scale; None = they are the same.
        headline: only rows with these labels in the file count for the main figure.
        orders: ``both`` = pairs are judged in both orders and the figure is the mean; ``given`` =
            in the order of the file.
        metric: of one part.
        combine: ``pooled`` rows, ``mean`` over the parts (values of ``source``), or
            ``rewardbench``: published weights inside sections, then the mean of sections.
        parts: the parts that count; None = all.
        thin: of a sample (``sampled.py``), part -> its rows of each class, where these are too few for a figure.
        group: field whose value rows share that are not independent.
        part_groups: the same of a part that has another one.
        partial: what is missing of the published set; None = complete. ``published_rows``, where the same file can
            also be whole: the rows that it then has.
        stands_for: name of the published set it is a part of.
        ceiling: best possible figure, where it is known, and ``ceiling_why``.
        gold_by: who made the labels.
        home: the original public form, pinned.
        source: paper and protocol.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    kind: Kind
    suites: tuple[str, ...]
    criterion: Criterion | Literal["row"]
    row_criterion: dict[str, Any] = Field(default_factory=dict)
    question: str | None = None
    gold: dict[str, str] | None = None
    headline: dict[str, list[str]] | None = None
    orders: Literal["both", "given"] = "both"
    metric: Metric
    combine: Literal["pooled", "mean", "rewardbench"]
    parts: tuple[str, ...] | None = None
    thin: dict[str, str] = Field(default_factory=dict)
    group: str | None = None
    part_groups: dict[str, str] = Field(default_factory=dict)
    partial: str | None = None
    published_rows: int | None = None
    stands_for: str | None = None
    ceiling: float | None = None
    ceiling_why: str | None = None
    gold_by: str
    home: str
    source: str

    @field_validator("criterion", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return load_criterion(value) if isinstance(value, str) and value != "row" else value

    @field_validator("gold", mode="before")
    @classmethod
    def _text_keys(cls, value: Any) -> Any:
        return value and {label_text(k).casefold(): label_text(v) for k, v in value.items()}

    @property
    def both_orders(self) -> bool:
        """Pairs that are judged in both orders?"""
        return self.kind == "pairwise" and self.orders == "both"

    def is_part(self, rows: int | None = None) -> bool:
        """Is the set, of which ``rows`` are at hand (None: as usual), only a part of the published one?"""
        whole = self.published_rows is not None and rows is not None and rows >= self.published_rows
        return self.partial is not None and not whole

    @property
    def is_accuracy(self) -> bool:
        """Is the metric a share of right rows, rather than a correlation?"""
        return self.metric in ("accuracy", "balanced_accuracy")


@cache
def all_sets() -> dict[str, BenchSet]:
    """Every benchmark by name, in the order they are reported."""
    text = (resources.files("mene") / "bench" / "sets.yaml").read_text("utf-8")
    return {
        name: BenchSet.model_validate({"name": name, **one})
        for name, one in read_yaml(text, "sets.yaml").items()
    }


def suite_names() -> list[str]:
    """Names of the suites, in order."""
    return list(dict.fromkeys(s for one in all_sets().values() for s in one.suites))


def find_sets(spec: str) -> list[BenchSet]:
    """The sets of a suite, ``all``, or sets by name, comma-separated.

    Raises:
        UsageError: no such suite or set; names the nearest.
    """
    known = all_sets()
    found: dict[str, BenchSet] = {}
    for name in (part.strip() for part in spec.split(",")):
        if name in known:
            found[name] = known[name]
        elif name == "all" or name in suite_names():
            found |= {n: one for n, one in known.items() if name == "all" or name in one.suites}
        else:
            names = [*suite_names(), "all", *known]
            raise UsageError(
                f'no suite or benchmark "{name}"{nearest(name, names)}; the suites are '
                f"{', '.join(suite_names())} and all, and by themselves robustness and bias; see `mene bench --list`"
            )
    return list(found.values())
