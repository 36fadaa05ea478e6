"""The benchmarks: one file ``NAME.yaml`` each, with its source, its protocol and figures published by others.

``BenchSet`` is its schema. Code that reads a publisher's own file is in ``NAME.py`` beside it. No data rows here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mene.criterion import Criterion, load_criterion
from mene.errors import UsageError, nearest
from mene.library.check import parse
from mene.library.load import Kind, find, names
from mene.scale import label_text

SETS = Kind("benchmark", "sets", listed="see `mene bench --list`", home=Path(__file__).parents[1])
SetKind = Literal["absolute", "classification", "pairwise"]
Metric = Literal["accuracy", "balanced_accuracy", "pearson", "group_spearman"]


class Public(BaseModel):
    """Where a benchmark's own file is published, and how its rows are read.

    Attributes:
        files: addresses, pinned where possible: ``https://…``, or ``hub:REPOSITORY:FILE@REVISION``.
        form: of the files; default: their ending.
        reader: module of this folder with a function ``rows`` from the publisher's records to rows for `data.py`; default:
            the set's own name.
        options: of that function.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: tuple[str, ...] = Field(min_length=1)
    form: Literal["json", "jsonl", "csv", "parquet"] | None = None
    reader: str | None = None
    options: dict[str, str] = Field(default_factory=dict)


class Published(BaseModel):
    """A judge's published figure.

    Attributes:
        figure: accuracy 0 to 1, correlation -1 to 1.
        source: a key of ``sources`` in ``leaderboard/published.yaml``, or the paper in words; empty = the judge's default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    figure: float = Field(ge=-1, le=1)
    source: str = ""


class BenchSet(BaseModel):
    """One benchmark.

    Attributes:
        name: of its file and in results.
        title: for people.
        kind: the group in reports.
        suites: that it belongs to.
        place: position in lists; sets without one come last, by name.
        criterion: what is judged; ``row`` = every row has its own rubric.
        row_criterion: scale, labels and fields of a row's own criterion (default: a 1-5 score).
        question: field of the row with the criterion's question (default: its rubric).
        gold: label in the file -> label of the scale; None = they are the same.
        headline: only rows with these labels in the file count for the main figure.
        orders: ``both`` = pairs are judged in both orders and the figure is the mean; ``given`` = in the order of the file.
        metric: of one part.
        combine: ``pooled`` rows; ``mean`` over the parts (values of ``source`` in a row); or ``sections``: parts weighted
            inside
            sections, then the mean of the sections.
        sections: section -> part -> its published number of rows, which is its weight.
        parts: the parts that count; None = all.
        group: field whose value dependent rows share.
        part_groups: the same, for parts with another field.
        partial: what is missing of the published set; None = complete. ``published_rows``: if the same file may also be
            complete, its number of rows then.
        stands_for: name of the published set that it is a part of.
        ceiling: best possible figure, where known, and ``ceiling_why``.
        gold_by: who made the labels.
        home: the original public form, pinned, for people.
        source: paper and protocol.
        public: the same form for ``mene bench --get``; None = mene cannot read it.
        published: judge -> figure.
        published_metric: of those figures, if it differs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    kind: SetKind
    suites: tuple[str, ...]
    place: int | None = None
    criterion: Criterion | Literal["row"]
    row_criterion: dict[str, Any] = Field(default_factory=dict)
    question: str | None = None
    gold: dict[str, str] | None = None
    headline: dict[Literal["label"], list[str]] | None = None
    orders: Literal["both", "given"] = "both"
    metric: Metric
    combine: Literal["pooled", "mean", "sections"]
    sections: dict[str, dict[str, int]] = Field(default_factory=dict)
    parts: tuple[str, ...] | None = None
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
    public: Public | None = None
    published: dict[str, Published] = Field(default_factory=dict)
    published_metric: str | None = None

    @field_validator("criterion", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if not isinstance(value, str) or value == "row":
            return value
        try:
            return load_criterion(value)
        except UsageError as error:
            raise ValueError(str(error)) from None  # so that file and line are added

    @field_validator("gold", mode="before")
    @classmethod
    def _text_keys(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {label_text(k).casefold(): label_text(v) for k, v in value.items()}

    @field_validator("published", mode="before")
    @classmethod
    def _figures(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: v if isinstance(v, dict) else {"figure": v} for k, v in value.items()}

    @model_validator(mode="after")
    def _fits(self) -> BenchSet:
        if (self.combine == "sections") != bool(self.sections):
            raise UsageError("combine: the value sections and the key sections go together")
        if isinstance(self.criterion, Criterion):
            scale = self.criterion.scale
            for label in (self.gold or {}).values():
                if scale.match(label) is None:
                    raise UsageError(
                        f'gold: "{label}" is not on the scale {scale}{nearest(label, scale.labels)}'
                    )
        return self

    @property
    def both_orders(self) -> bool:
        """Whether its pairs are judged in both orders."""
        return self.kind == "pairwise" and self.orders == "both"

    def is_part(self, rows: int | None = None) -> bool:
        """Return whether the set, with ``rows`` available rows (None: the usual number), is only a part of the published
        one."""
        whole = self.published_rows is not None and rows is not None and rows >= self.published_rows
        return self.partial is not None and not whole

    @property
    def is_accuracy(self) -> bool:
        """Whether the metric is a share of right rows, not a correlation."""
        return self.metric in ("accuracy", "balanced_accuracy")


class SampledSet(BenchSet):
    """A set that is scored on all rows of a small sample together (``sampled.py``).

    Attributes:
        thin: part -> number of its rows per class, where these are too few for a figure; under an empty name, of the set.
    """

    thin: dict[str, str]


def parse_set(text: str, source: str, name: str) -> BenchSet:
    """Parse a benchmark's file.

    Args:
        source: its name in messages.

    Raises:
        UsageError: names the source, the line and the field.
    """
    return parse(BenchSet, text, source, name=name)


@cache
def all_sets() -> dict[str, BenchSet]:
    """Return every benchmark by name, in the order of reports.

    Raises:
        UsageError: as for ``parse_set``.
    """
    found: list[BenchSet] = []
    for name in names(SETS):
        file = find(SETS, name)
        assert file is not None, name  # it was listed just now
        found.append(parse_set(file.text, file.source, name))
    found.sort(key=lambda one: (one.place is None, one.place or 0, one.name))
    return {one.name: one for one in found}


def suite_names() -> list[str]:
    """Return the names of the suites, in order."""
    return list(dict.fromkeys(s for one in all_sets().values() for s in one.suites))


def find_sets(spec: str) -> list[BenchSet]:
    """Return the sets of a suite, all (``all``), or by comma-separated names.

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
            choice = [*suite_names(), "all", *known]
            raise UsageError(
                f'no suite or benchmark "{name}"{nearest(name, choice)}; the suites are '
                f"{', '.join(suite_names())} and all, and by themselves robustness and bias; see `mene bench --list`"
            )
    return list(found.values())
