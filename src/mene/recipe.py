"""A recipe: one YAML file that describes how a judge is made, from raw data sets to the training schedule."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mene.errors import UsageError, nearest
from mene.library.check import Keys, checked, mapping
from mene.library.load import RECIPES, find, names, unknown
from mene.library.sources import check_source
from mene.library.yaml_file import place, read_yaml
from mene.template import load_template
from mene.verdict import Compare
from mene.weights.source import Weights

# Allowed kinds. `curate/make/` implements them; a test checks that both lists agree.
Derive = Literal["pairs", "yes_no", "scales", "scores", "pointwise"]
Perturb = Literal[
    "swap",
    "number",
    "name",
    "negation",
    "truncate",
    "pad",
    "shuffle",
    "constraint",
    "filler",
    "markdown",
    "tone",
]
Make = Literal[
    "answered", "arithmetic", "asked", "code", "facts", "javascript", "quoted", "safety", "tempting", "tools", "written",
]  # fmt: skip


def _must_be(look_up: Callable[[str], object], name: str) -> None:
    """Look up a name; turn its error into a validation error of the field."""
    try:
        look_up(name)
    except UsageError as error:
        raise ValueError(str(error)) from None


class Own(BaseModel):
    """A table of your own rows with labels, for one criterion.

    Attributes:
        rows: path of the table, relative to the folder that the command runs in.
        criterion: as for ``--criterion``.
        scale, labels: as for ``--scale`` and ``--labels``.
        map: field -> column, for columns with other names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: str
    criterion: str
    scale: str | None = None
    labels: str | None = None
    map: dict[str, str] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name, under which its rows are counted."""
        return Path(self.rows).name

    @property
    def asked(self) -> str:
        """The criterion as it is written after ``-c`` on a command line, with its scale."""
        scale = f" --scale {shlex.quote(self.scale)}" if self.scale else ""
        return f"{shlex.quote(self.criterion)}{scale}"


class Data(BaseModel):
    """The data mix.

    Attributes:
        sources: data set -> maximum number of points from it. May be empty where ``make`` or ``own`` is used.
        own: tables of your own labelled rows; all are used.
        templates: template -> its share of the prompts (relative weights).
        longest: maximum number of characters of a sample's text; longer samples are left out.
        system: text of the system turn, as in the judge's preset (``Preset.system``); None = no system turn.
        development: share of each set's groups held out for model selection, 0 to 0.5.
        compare: how pairs are asked about, as in the judge's preset: ``together`` in one prompt, in a random order; in
            ``both-orders``; or ``pointwise``, each response alone.
        derive: kind (``curate/make/derive.py``) -> maximum number of points derived from other labels.
        perturb: kind (``curate/make/perturb.py``) -> maximum number of responses changed in this way. The original of each
            changed response is included too.
        make: generator (``curate/make/``) -> maximum number of points it makes, with labels correct by construction.
        critiques: share, 0 to 1, of the points with a critique that are also used for training in critique mode. With a
            teacher, the share of all points.
        reasons: the same share for training to give the reason after a label that is given (``--explain``). The points of the
            smaller share are among those of the larger.
        margin: minimum probability, 0 to under 1, with which a scorer must prefer the chosen critique to the rejected one
            (mean of both orders). 0 keeps all pairs without asking the scorer.
        require_span: leave out points whose critique refers to nothing in the response (``curate/critiques/span.py``). The
            report states the share that does refer to something in either case.
        unique: ``none`` keeps repeated points, ``exact`` leaves out points with identical words, ``near`` also those that
            differ in a few words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    own: tuple[Own, ...] = ()
    templates: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=lambda: {"prefix": 1.0}, min_length=1
    )
    longest: int = Field(default=4000, ge=100)
    system: str | None = None
    development: float = Field(default=0.05, ge=0, le=0.5)
    compare: Compare = "both-orders"
    derive: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    perturb: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    make: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    critiques: float = Field(default=0.0, ge=0, le=1)
    reasons: float = Field(default=0.0, ge=0, le=1)
    margin: float = Field(default=0.5, ge=0, lt=1)
    require_span: bool = False
    unique: Literal["none", "exact", "near"] = "none"

    @property
    def argued(self) -> float:
        """Share of the points that get critiques, for training before a label or after it."""
        return max(self.critiques, self.reasons)

    @field_validator("derive", "perturb", "make")
    @classmethod
    def _kinds(cls, value: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        kinds = get_args(
            {"derive": Derive, "perturb": Perturb, "make": Make}[info.field_name or ""]
        )
        for name in value:
            if name not in kinds:
                raise ValueError(
                    f'unknown kind "{name}"{nearest(name, kinds)}; there are {", ".join(kinds)}'
                )
        return value

    @field_validator("sources")
    @classmethod
    def _known(cls, value: dict[str, int]) -> dict[str, int]:
        for name in value:
            _must_be(check_source, name)
        return value

    @field_validator("templates")
    @classmethod
    def _loadable(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            _must_be(load_template, name)
        return value

    @model_validator(mode="after")
    def _something(self) -> Data:
        if not self.sources and not self.make and not self.own:
            raise UsageError(
                "data.sources: nothing to make pairs from; name sets (see `mene curate --list`), generators in "
                "data.make, or tables of your own in data.own"
            )
        return self

    @model_validator(mode="after")
    def _asked_once(self) -> Data:
        if "pointwise" in self.derive and self.compare == "pointwise":
            raise UsageError(
                "data.derive: pointwise asks what data.compare: pointwise asks already; leave one of them out"
            )
        return self


class Adapter(BaseModel):
    """A LoRA adapter (Hu et al. 2021, arXiv 2106.09685). Without one, all weights are trained.

    Attributes:
        rank: of the two factors.
        alpha: the product of the factors is scaled by alpha / rank.
        upper: share of the layers that get an adapter, counted from the last. Back-propagation stops below them.
        dropout: on the adapter's input.
        start: the adapter to continue from: the ``adapter`` folder of a run or an export, or a built-in judge that has one
            (``nano-torch``). Its rank, alpha and layers must be the same. None starts from zero.
        frozen: share of the layers, counted from the first, whose adapter stays as it starts. Back-propagation stops above them,
            so a step costs less.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32, gt=0)
    upper: float = Field(default=1.0, gt=0, le=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    start: str | None = None
    frozen: float = Field(default=0.0, ge=0, lt=1)


class Train(BaseModel):
    """Loss and schedule.

    Attributes:
        beta: of DPO; 0 drops the preference loss.
        sft: weight of the mean negative log-likelihood of the chosen completion; 0 drops it.
        bradley_terry: weight of the Bradley-Terry loss on two responses that are asked about alone (``data.compare:
            pointwise``). It replaces the two losses above. 0 drops it, and each of the two questions is trained
            independently.
        pairs: maximum number of pairs of completions to train on; None = all. Two responses that are asked about alone
            make two pairs.
        epochs: passes over the pairs.
        learning_rate: the peak, after the warm-up; it decays as a cosine.
        warmup: share of the steps.
        pack_tokens: tokens (nodes of a prefix tree) in a pack of pairs.
        packs: packs per step, over all processes.
        dtype: ``bfloat16`` computes in bfloat16 and keeps the trained weights in float32.
        evaluate: number of evaluations on the development rows, including the one at the end; there is one more before the first
            step. 0: none at all.
        development: maximum number of development rows to evaluate on.
        checkpoint: steps between checkpoints.
        keep_lower: compute the output of the layers below the adapter once and store it in the run's folder (2 bytes times
            the model's width per token), so that later epochs read it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    beta: float = Field(default=0.1, ge=0)
    sft: float = Field(default=1.0, ge=0)
    bradley_terry: float = Field(default=0.0, ge=0)
    pairs: int | None = Field(default=None, ge=1)
    epochs: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=5e-4, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    pack_tokens: int = Field(default=640, ge=64)
    packs: int = Field(default=4, ge=1)
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    evaluate: int = Field(default=4, ge=0)
    development: int = Field(default=300, ge=1)
    checkpoint: int = Field(default=50, ge=1)
    keep_lower: bool = False

    @model_validator(mode="after")
    def _some_loss(self) -> Train:
        if not (self.beta or self.sft or self.bradley_terry):
            raise UsageError(
                "train: beta, sft and bradley_terry are all 0: nothing to learn from; set one of them"
            )
        return self


class Recipe(BaseModel):
    """The contents of a recipe file.

    Attributes:
        seed: of all random draws; the same seed gives the same pairs in the same order.
        base: the model to start from.
        adapter: None trains all weights.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    base: Weights | None = None
    adapter: Adapter | None = None
    train: Train = Field(default_factory=Train)
    data: Data

    @model_validator(mode="after")
    def _compares(self) -> Recipe:
        if self.train.bradley_terry and self.data.compare != "pointwise":
            raise UsageError(
                "train.bradley_terry: it compares responses that are judged alone; set data.compare: pointwise, or leave "
                "it out"
            )
        return self

    @model_validator(mode="after")
    def _stores_whole(self) -> Recipe:
        if self.train.keep_lower and self.adapter and self.adapter.frozen:
            raise UsageError(
                "train.keep_lower: takes the lower layers out of the model, but their adapter (adapter.frozen) belongs to "
                "the result; leave one of them out"
            )
        return self


def recipe_names() -> list[str]:
    """Return the names of the built-in recipes, sorted."""
    return names(RECIPES)


def load_recipe(spec: str, changes: Iterable[str] = ()) -> Recipe:
    """Read a built-in recipe by name, or a YAML file.

    Args:
        changes: overrides, each ``key=value``, e.g. ``train.pairs=900``; the value is YAML.

    Raises:
        UsageError: the file does not exist, a key is unknown (the message names the nearest), or a value is out of range.
    """
    found = find(RECIPES, spec)
    if found is None:
        raise unknown(RECIPES, spec)
    text, source = found.text, found.source
    data = mapping(Recipe, text, source)
    changed = {_change(data, change): change for change in changes}

    def where(keys: Keys) -> str:
        for n in range(1, len(keys) + 1):
            if change := changed.get(".".join(map(str, keys[:n]))):
                return change
        return place(text, source, keys)

    return checked(Recipe, data, where)


def _change(data: dict[str, Any], change: str) -> str:
    """Apply ``section.key=value`` to a recipe's data; return ``section.key``."""
    path, equals, value = change.partition("=")
    *sections, key = path.strip().split(".")
    if not equals or not key:
        raise UsageError(f"{change}: write changes like train.pairs=900")
    for section in sections:
        inner = data.get(section)
        if section == "base" and isinstance(inner, str):
            # A base model of the library, with one of its keys changed.
            data[section] = inner = {"base": inner}
        if not isinstance(inner, dict):
            data[section] = inner = {}
        data = inner
    data[key] = read_yaml(value, change)
    return path.strip()
