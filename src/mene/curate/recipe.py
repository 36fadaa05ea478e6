"""A recipe's ``data`` section: which sets, how much of each, asked in which formats."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mene.curate.sources import find_source
from mene.errors import UsageError, nearest
from mene.template import load_template


class Data(BaseModel):
    """The data mix.

    Attributes:
        sources: set -> the most points of it.
        templates: template -> its share of the prompts (weights, any sum).
        longest: characters of a sample's text at most; longer ones are left out.
        development: share of each set's groups kept apart for choosing, 0 to 0.5.
        seats: a pair is asked in ``both`` orders, or in ``one``, drawn for each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[str, Annotated[int, Field(ge=1)]] = Field(min_length=1)
    templates: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=lambda: {"prefix": 1.0}, min_length=1
    )
    longest: int = Field(default=4000, ge=100)
    development: float = Field(default=0.05, ge=0, le=0.5)
    seats: Literal["both", "one"] = "both"

    @field_validator("sources")
    @classmethod
    def _known(cls, value: dict[str, int]) -> dict[str, int]:
        for name in value:
            find_source(name)
        return value

    @field_validator("templates")
    @classmethod
    def _loadable(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            load_template(name)
        return value


class Recipe(BaseModel):
    """A recipe file.

    Attributes:
        seed: of every draw; the same seed gives the same pairs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    data: Data


def recipe_names() -> list[str]:
    """Built-in recipes, sorted."""
    folder = resources.files("mene") / "recipes"
    return sorted(
        p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")
    )


def load_recipe(spec: str) -> Recipe:
    """Read a built-in recipe by name, or a YAML file.

    Raises:
        UsageError: not there, an unknown key (names the nearest), or a value out of range.
    """
    if spec in recipe_names():
        text = (resources.files("mene") / "recipes" / f"{spec}.yaml").read_text("utf-8")
    elif spec.endswith((".yaml", ".yml")):
        try:
            text = Path(spec).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise UsageError(f"{spec}: cannot read the recipe: {reason}") from None
    else:
        raise UsageError(
            f'no recipe "{spec}"{nearest(spec, recipe_names())}; give one of '
            f"{', '.join(recipe_names())}, or a .yaml file"
        )
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{spec}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{spec}: expected the keys {', '.join(Recipe.model_fields)}")
    try:
        return Recipe.model_validate(data)
    except UsageError as error:
        raise UsageError(f"{spec}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = [*Recipe.model_fields, *Data.model_fields]
            raise UsageError(
                f'{spec}: unknown key "{where}"{nearest(str(first["loc"][-1]), known)}'
            ) from None
        raise UsageError(f"{spec}: {where}: {first['msg']}") from None
