"""Parsing of the options of ``mene arena serve``: judges, samples, prices, weights, figures of benchmarks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mene.arena.price import Price
from mene.arena.samples import Samples, bundled, of_file
from mene.arena.terms import Terms
from mene.bench.leaderboard.results import figure_of, read_results
from mene.bench.sets import all_sets
from mene.cli.console import say
from mene.cli.opening import parts
from mene.cli.options import once_each
from mene.criterion import load_criterion
from mene.errors import UsageError, nearest
from mene.judge.open import fetch
from mene.judge.preset import Preset, load_preset
from mene.serve.keys import Keys

if TYPE_CHECKING:
    from mene.cli.arena_serve import ArenaServeOptions


@dataclass(frozen=True)
class Given:
    """The parsed options, checked before anything is opened.

    Attributes:
        presets: the competing judges.
        origin: public address behind a proxy; empty: the server's own address.
        keys, admins: keys of voters and of moderators; None: no key is needed, and no moderation over HTTP.
        facts, prices, weights: by judge.
    """

    presets: list[Preset]
    origin: str
    keys: Keys | None
    admins: Keys | None
    samples: Samples
    terms: Terms
    facts: dict[str, dict[str, Any]]
    prices: dict[str, Price]
    weights: dict[str, float]


def read_given(options: ArenaServeOptions) -> Given:
    """Return the parsed options.

    Raises:
        UsageError: something is missing or wrong.
    """
    presets = presets_of(options.judge)
    names = [preset.name for preset in presets]
    return Given(
        presets=presets,
        origin=origin_of(options.public_url),
        keys=Keys.read(options.api_key) if options.api_key is not None else None,
        admins=Keys.read(options.admin_key) if options.admin_key is not None else None,
        samples=samples_of(options.samples, options.criterion, options.licence),
        terms=Terms.read(options.terms) if options.terms is not None else Terms(),
        facts=facts_of(options.results, names),
        prices=prices_of(options.price, names),
        weights=weights_of(options.weight, names),
    )


def presets_of(given: str | None) -> list[Preset]:
    """Return the competing judges, with the names that people see.

    Raises:
        UsageError: fewer than two, or one that does not exist.
    """
    found = []
    for spec in parts(given):
        named = re.fullmatch(r"([\w.+ -]{1,60})=(.+)", spec)
        preset = load_preset(named[2] if named else spec)
        found.append(preset.model_copy(update={"name": named[1]}) if named else preset)
    if len(found) < 2:
        raise UsageError(
            "an arena needs two judges or more: --judge base,nano (`mene judges` lists them)"
        )
    return found


def sized(
    facts: Mapping[str, Mapping[str, Any]], presets: list[Preset]
) -> dict[str, dict[str, Any]]:
    """Return the facts, with the size of each judge's weights."""
    return {one.name: {**facts.get(one.name, {}), "size": size_of(one)} for one in presets}


def size_of(preset: Preset) -> int | None:
    """Return the size of a judge's local weights in bytes; None if a server has them."""
    path = fetch(preset)
    if path is None:
        return None
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def origin_of(url: str | None) -> str:
    """Return scheme and host of a URL; empty if no URL is given.

    Raises:
        UsageError: it is not a URL, or has a path.
    """
    if url is None:
        return ""
    split = urlsplit(url.rstrip("/"))
    if split.scheme not in ("http", "https") or not split.netloc or split.path or split.query:
        raise UsageError(
            f"--public-url {url}: write it like https://arena.example.org; the arena needs a host of its own"
        )
    return f"{split.scheme}://{split.netloc.lower()}"


def samples_of(file: str | None, criterion: str | None, licence: str) -> Samples:
    """Return the samples to draw: of a file, or the bundled ones.

    Raises:
        UsageError: the file or the criterion is missing or wrong.
    """
    if file is None:
        if criterion is not None:
            raise UsageError(
                "--criterion says how the rows of --samples FILE are judged; name the file"
            )
        return Samples(bundled())
    if criterion is None:
        raise UsageError(f"--samples {file}: say by which --criterion its rows are judged")
    rows, wrong = of_file(file, load_criterion(criterion), licence)
    for said in wrong[:3]:
        say(f"mene: {said}")
    if len(wrong) > 3:
        say(f"mene: {len(wrong) - 3} more rows cannot be used")
    return Samples(rows)


def prices_of(given: list[str] | None, names: list[str]) -> dict[str, Price]:
    """Return judge -> price, from ``--price``."""
    found = once_each("--price", (Price.parse(text) for text in given or ()))
    _known("--price", found, names)
    return found


def weights_of(given: list[str] | None, names: list[str]) -> dict[str, float]:
    """Return judge -> how often it is drawn, from ``--weight``."""
    found = once_each("--weight", map(_weight, given or ()))
    _known("--weight", found, names)
    return found


def _weight(text: str) -> tuple[str, float]:
    name, _, said = text.rpartition("=")
    try:
        weight = float(said)
    except ValueError:
        raise UsageError(f"--weight {text}: write it like --weight nano=2") from None
    if not 0 <= weight <= 1000:
        raise UsageError(f"--weight {text}: a weight is from 0 (never drawn) to 1000")
    return name, weight


def _known(option: str, found: Mapping[str, Any], names: list[str]) -> None:
    for name in found:
        if name not in names:
            raise UsageError(f'{option}: no judge "{name}" in this arena{nearest(name, names)}')


def facts_of(folder: Path | None, names: list[str]) -> dict[str, dict[str, Any]]:
    """Return judge -> its agreement with people on benchmarks, largest benchmark first."""
    if folder is None:
        return {}

    titles = all_sets()
    found: dict[str, dict[str, Any]] = {}
    for entry in read_results(folder):
        if entry.judge not in names:
            continue
        figures = []
        for name, said in entry.sets.items():
            if (figure := figure_of(said)) is None or figure.value is None:
                continue
            title = f"{titles[name].title if name in titles else name}, {entry.mode}"
            figures.append(
                {"set": title, "value": figure.value, "low": figure.low, "high": figure.high, "n": said["rows"]}
            )  # fmt: skip
        known = found.setdefault(entry.judge, {"bench": []})["bench"]
        known += figures
        known.sort(key=lambda one: -one["n"])
    return found
