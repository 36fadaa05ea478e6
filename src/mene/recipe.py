"""A recipe: one YAML file that says how a judge is made, from raw sets to the schedule of the training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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

# What ``data`` may name. The schema has the words; ``curate/make/`` does what they say, and a test holds the two together.
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
Make = Literal["answered", "arithmetic", "code", "facts", "javascript", "safety"]


def _must_be(look_up: Callable[[str], object], name: str) -> None:
    """Look a name up; what is wrong with it gets the place of the field."""
    try:
        look_up(name)
    except UsageError as error:
        raise ValueError(str(error)) from None


class Data(BaseModel):
    """The data mix.

    Attributes:
        sources: set -> the most points of it. None are needed where points are made.
        templates: template -> its share of the prompts (weights, any sum).
        longest: characters of a sample's text at most; longer ones are left out.
        system: text of the system turn, as in the judge's preset (``Preset.system``); None = no such turn.
        development: share of each set's groups kept apart for choosing, 0 to 0.5.
        compare: how a pair is asked about, as in the judge's preset: its two responses ``together`` in one prompt, in an
            order that is drawn; in ``both-orders``; or ``pointwise``, each alone.
        derive: kind (``curate/make/derive.py``) -> the most points that are derived from other labels.
        perturb: kind (``curate/make/perturb.py``) -> the most responses that are changed so. Wrong versions bring
            their originals along.
        make: generator (``curate/make/``) -> the most points that it makes, with labels that are right by construction.
        critiques: share, 0 to 1, of the points with a critique (with a teacher: of all points) that are also
            trained on in critique mode.
        margin: where a scorer compares critiques: the probability, 0 to under 1, above which it must prefer the
            chosen one to the rejected one (the mean of both orders); 0 keeps all pairs, and asks nothing.
        require_span: leave out points whose critique refers to nothing in the response (``curate/critiques/span.py``). The
            report has the share of those that do, whether or not it is required.
        unique: ``none`` keeps repeated points, ``exact`` leaves out those with the same words, ``near``
            also those that differ in a few.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[str, Annotated[int, Field(ge=1)]]
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
    margin: float = Field(default=0.5, ge=0, lt=1)
    require_span: bool = False
    unique: Literal["none", "exact", "near"] = "none"

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
        if not self.sources and not self.make:
            raise UsageError(
                "data.sources: nothing to make pairs from; name sets (see `mene curate --list`), or generators in "
                "data.make"
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
    """A LoRA adapter (Hu et al. 2021, arXiv 2106.09685); without one, all weights are trained.

    Attributes:
        rank: of the two factors.
        alpha: the product of the factors counts alpha / rank.
        upper: share of the layers that have one, counted from the last: through the others nothing is propagated back.
        dropout: on the adapter's input.
        start: the adapter to go on from: the ``adapter`` folder of a run or an export, or a built-in judge that has
            one (``nano-torch``). Of the same rank, alpha and layers. None starts from zero.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32, gt=0)
    upper: float = Field(default=1.0, gt=0, le=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    start: str | None = None


class Train(BaseModel):
    """Loss and schedule.

    Attributes:
        beta: of DPO; 0 leaves the preference term out.
        sft: weight of the mean negative log-likelihood of the chosen completion; 0 leaves it out.
        bradley_terry: weight of the loss of the choice between two responses that are asked about alone (``data.compare``:
            pointwise), which takes the place of the two above; 0 leaves it out, and each of the two questions is learned by
            itself.
        pairs: the most pairs of completions to train on; None = all. Of two responses that are asked about alone
            there are two.
        epochs: times that each pair is read.
        learning_rate: the highest, after the warm-up; it falls as a cosine.
        warmup: share of the steps.
        pack_tokens: tokens (nodes of a prefix tree) of a pack of pairs.
        packs: packs per step, over all processes.
        dtype: ``bfloat16`` computes in it and keeps the trained weights in float32.
        evaluate: times that the development rows are judged, the end included.
        development: the most development rows that are judged.
        checkpoint: steps from one checkpoint to the next.
        keep_lower: compute what the layers below the adapter's give once, and keep it in the run's folder (2 bytes times the
            model's width for a token), where it is read at every further pass.
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
    evaluate: int = Field(default=4, ge=1)
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
    """A recipe file.

    Attributes:
        seed: of every draw; the same seed gives the same pairs and the same order.
        base: the model that training starts from.
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


def recipe_names() -> list[str]:
    """Built-in recipes, sorted."""
    return names(RECIPES)


def load_recipe(spec: str, changes: Iterable[str] = ()) -> Recipe:
    """Read a built-in recipe by name, or a YAML file.

    Args:
        changes: ``key=value`` each, e.g. ``train.pairs=900``; the value is YAML.

    Raises:
        UsageError: not there, an unknown key (names the nearest), or a value out of range.
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
    """Set ``section.key=value`` in a recipe that was read; returns ``section.key``."""
    path, equals, value = change.partition("=")
    *sections, key = path.strip().split(".")
    if not equals or not key:
        raise UsageError(f"{change}: write changes like train.pairs=900")
    for section in sections:
        inner = data.get(section)
        if section == "base" and isinstance(inner, str):
            data[section] = inner = {"base": inner}  # of the library, and something of it otherwise
        if not isinstance(inner, dict):
            data[section] = inner = {}
        data = inner
    data[key] = read_yaml(value, change)
    return path.strip()
