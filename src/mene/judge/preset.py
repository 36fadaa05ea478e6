"""A judge's preset: the model, its engine, and all settings that decide a verdict.

Presets are YAML that users copy and edit; built-in ones live in ``mene/library/judges``. `open.py` starts a preset's engine.
Files that a preset names (``adapter``, ``explainer``, ``template``, ``weights.path``) are looked up in its own folder, then in
the working folder, so that a judge's folder can be moved.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mene.engines.openvino.dtype import DTYPES
from mene.engines.remote.api import APIS, only_decides
from mene.errors import UsageError
from mene.judge.calibration import Calibration
from mene.library.check import parse
from mene.library.load import JUDGES, LIBRARY, TEMPLATES, built_in, find, names, unknown
from mene.text.redact import bare_url
from mene.verdict import Compare
from mene.weights.source import Weights, is_repo

# Rows that get a critique: those with a failing label, those with an uncertain one, all, none.
Explain = Literal["failing", "uncertain", "all", "none"]
Mode = Literal["critique", "verdict"]
EngineName = Literal[
    "embedded", "llamacpp", "openvino", "openai", "systemone", "transformers", "vllm"
]
# The number formats that an engine can be told to compute in; embedded means OpenVINO's.
_DTYPES = {
    "embedded": DTYPES,
    "openvino": DTYPES,
    "transformers": ("float32", "bfloat16", "float16"),
    "vllm": ("float32", "bfloat16", "float16"),
}
# Engines that call a server.
SERVED = tuple(APIS)
# Keys that name an adapter, in the order in which ``Request.adapter`` numbers them.
ADAPTERS = ("adapter", "explainer")
# Engines that can hold a second adapter beside the first, and use either.
TWO_ADAPTERS = ("embedded", "openvino", "llamacpp")
# Engines that leave something to the machine: the engine itself, or its number format.
CHOOSING = ("embedded", "openvino")


class Preset(BaseModel):
    """A judge's settings.

    Attributes:
        name: shown in results.
        about: one or two sentences for ``mene judges``.
        license: of the weights, in a few words.
        warning: what a user must know before trusting the judge; shown with its results.
        measured: what the warning covers: names of criteria, or kinds of scales; empty = any question.
        engine: ``embedded`` picks the fastest engine for a model on this machine (``engines/embedded.py``), openvino or
            llamacpp; or openai or systemone (servers), transformers, or vllm (offline, on a GPU).
        weights: the model: a GGUF file, or for openvino and transformers also a folder.
        adapter: a LoRA adapter: a GGUF file for llamacpp and openvino, a PEFT folder for openvino, transformers and vllm, or
            a hub id for the last two.
        dtype: number format of the computation; None = the engine's choice. openvino: float32, or int8 or bfloat16, which are
            faster on some processors and round (``engines/openvino/dtype.py``); transformers and vllm: all but int8; llama.cpp
            has none to choose from.
        template: name or file of the template.
        system: text of a system turn before the prompt; None = the default of the model's chat template, if any.
        mode: the mode that the judge was made for; the default.
        compare: how two responses are judged: ``together`` in one prompt, in ``both-orders``, or ``pointwise``, each
            alone (``comparison.py``).
        critique_tokens: maximum length of a critique.
        thought_tokens: in verdict mode, maximum length of the thinking that a remote model cannot turn off, in addition to the
            tokens of its label.
        temperature: of the critique; 0 = greedy.
        samples: draws per row, averaged (self-consistency; critique mode only).
        seed: of the draws.
        truncate: ``context`` shortens the context of rows that do not fit, ``results`` the tool results in them; None turns
            such
            rows into errors.
        claims: split each response into sentences and judge each alone (``claims.py``).
        abstain: leave rows to a person where the judge is not sure enough, by the threshold that ``mene align --error`` proved.
            Their verdicts have no label and ``abstained`` set.
        context: maximum number of tokens of prompt and answer; None = the engine's choice.
        memory: bytes of memory that a machine should have; None = not stated.
        critic: what writes critiques (and chooses the label after them): the model with its ``adapter``, or the ``weights``
            alone where the adapter was trained on labels only.
        explainer: a second LoRA adapter of the same model, as a file or folder like ``adapter``. It writes the reasons that
            ``explain`` asks for after a label; None: what writes critiques does. The prompt is then read again for each reason.
            embedded, openvino and llamacpp only.
        writes: whether its critiques, also those before a label, are worth reading; a judge trained on labels only writes nothing
            useful.
        explain: which rows get a critique after their verdict by default (``explaining.py``).
        calibrations: learned by ``mene align``, each applied where it fits; a criterion's own goes before a scale's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "custom"
    about: str = ""
    license: str = ""
    warning: str = ""
    measured: tuple[str, ...] = ()
    engine: EngineName
    weights: Weights
    adapter: str | None = None
    dtype: Literal["float32", "bfloat16", "float16", "int8"] | None = None
    template: str = "selene"
    system: str | None = None
    mode: Mode = "critique"
    compare: Compare = "together"
    critique_tokens: int = Field(default=512, ge=1, le=1_000_000)
    temperature: float = Field(default=0.0, ge=0, le=100, allow_inf_nan=False)
    thought_tokens: int = Field(default=0, ge=0, le=1_000_000)
    samples: int = Field(default=1, ge=1)
    seed: int = 0
    truncate: Literal["context", "results"] | None = None
    claims: bool = False
    abstain: bool = False
    context: int | None = Field(default=None, ge=128, le=1 << 27)
    memory: int | None = Field(default=None, ge=0, le=1 << 50)
    critic: Literal["adapter", "weights"] = "adapter"
    explainer: str | None = None
    writes: bool = True
    explain: Explain = "none"
    calibrations: tuple[Calibration, ...] = ()

    @field_validator("calibrations", mode="before")
    @classmethod
    def _one(cls, value: object) -> object:
        return [value] if isinstance(value, dict) else value

    @field_validator(*ADAPTERS)
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        return value or None

    @model_validator(mode="after")
    def _computed(self) -> Self:
        """Check that the engine can compute in the number format."""
        known = _DTYPES.get(self.engine, ())
        if self.dtype and self.dtype not in known:
            may = f"one of {', '.join(known)}" if known else "leave out dtype"
            raise ValueError(f"engine {self.engine} does not compute in dtype {self.dtype}; {may}")
        return self

    @model_validator(mode="after")
    def _explained(self) -> Self:
        """Check that the engine can use a second adapter, and that there is a first one."""
        if self.explainer and self.engine not in TWO_ADAPTERS:
            may = ", ".join(TWO_ADAPTERS)
            raise ValueError(
                f"engine {self.engine} does not use a second adapter (explainer); one of {may} does"
            )
        if self.explainer and not self.adapter:
            raise ValueError("explainer is a second adapter; name the first one under adapter")
        return self

    @property
    def explains(self) -> bool:
        """Whether it can give reasons after its labels."""
        return self.writes or self.explainer is not None

    @property
    def adapters(self) -> tuple[Path, ...]:
        """The adapters as files, as ``Request.adapter`` numbers them."""
        return tuple(Path(one) for key in ADAPTERS if (one := getattr(self, key)))

    @property
    def critic_adapter(self) -> int | None:
        """``Request.adapter`` of critiques, and of the labels after them."""
        return 0 if self.critic == "adapter" else None

    @property
    def explainer_adapter(self) -> int | None:
        """``Request.adapter`` of reasons after a label."""
        return 1 if self.explainer else self.critic_adapter

    @model_validator(mode="before")
    @classmethod
    def _typed(cls, data: Any) -> Any:
        """Give servers that return only labels (System One) the template named like their engine, as the default."""
        if not isinstance(data, dict) or not only_decides(str(data.get("engine"))):
            return data
        if data.get("writes") or data.get("mode") == "critique":
            server = APIS[data["engine"]].server
            raise ValueError(f"{server} writes no critiques; leave out writes and mode")
        return {"template": data["engine"], **data, "writes": False, "mode": "verdict"}


def preset_names() -> list[str]:
    """Return the names of the built-in presets, ``base`` and ``nano`` first."""
    return sorted(names(JUDGES), key=lambda name: (name != "base", name != "nano"))


def load_preset(spec: str) -> Preset:
    """Find a preset: a built-in name (in capitals too), a YAML file, a folder with ``judge.yaml``,
    ``openvino:FILE`` (or a folder), ``llamacpp:FILE``, ``hf:ID``, ``vllm:ID``, ``openai:MODEL@URL`` or ``systemone:MODEL@URL``.

    Raises:
        UsageError: no such preset, or its YAML is wrong (the message names the key and the nearest valid one).
    """
    if found := find(JUDGES, spec):
        return _beside(found.folder, parse_preset(found.text, found.source, found.name))
    kind, _, rest = spec.partition(":")
    if rest and (kind == "llamacpp" or kind == "openvino"):
        return Preset(name=spec, engine=kind, weights=Weights(path=rest))
    if rest and kind in ("hf", "vllm"):
        if not os.path.exists(rest) and not is_repo(rest):
            raise UsageError(
                f"{spec}: no such folder, and no repository; write it like {kind}:org/name"
            )
        where = Weights(path=rest) if os.path.exists(rest) else Weights(hub=rest)
        engine: EngineName = "transformers" if kind == "hf" else "vllm"
        return Preset(name=spec, engine=engine, weights=where)
    if rest and kind in SERVED:
        model, url = _served(kind, rest)
        # Only the model: the name goes into every verdict, and a URL may contain a password.
        served = cast("EngineName", kind)
        return Preset(name=bare_url(spec), engine=served, weights=Weights(served=model, url=url))
    raise unknown(JUDGES, spec, bare_url(spec))


def _served(kind: str, rest: str) -> tuple[str, str | None]:
    """Split ``MODEL@URL``. A model's name may contain an @ too: the URL starts after the last one before a scheme.

    Raises:
        UsageError: the part after the @ is a host without a scheme.
    """
    model, at, url = rest.rpartition("@")
    if found := re.fullmatch(r"(.+)@(https?://.*)", rest, re.I | re.S):
        return found[1], found[2]
    if at and model and re.match(r"localhost\b|[\w.-]+:\d+(/|$)|\d+(\.\d+){3}\b", url):
        raise UsageError(f"{kind}:{model}@{url}: write the URL with its http:// or https://")
    return rest, None


def _builtin() -> Path:
    return LIBRARY / JUDGES.folder


def portable(adapter: str) -> str:
    """Return an adapter's name that is valid in another installation of mene: a path inside the package for adapters
    that ship with it."""
    path = Path(adapter)
    return path.relative_to(_builtin()).as_posix() if path.is_relative_to(_builtin()) else adapter


def _beside(folder: Path, preset: Preset) -> Preset:
    """Return the preset with full paths of the files that lie beside it or beside the built-in presets."""

    def full(name: str | None) -> str | None:
        if not name:
            return name
        # Not pathlib's functions, which raise where a name is too long or a ~user does not exist.
        path = folder / os.path.expanduser(name)
        shipped = _builtin() / name
        if not any(map(os.path.exists, (path, name))) and os.path.exists(shipped):
            path = shipped
        return str(path.resolve()) if os.path.exists(path) else name

    changes: dict[str, Any] = {key: full(getattr(preset, key)) for key in ADAPTERS}
    if built_in(TEMPLATES, preset.template) is None:
        changes["template"] = template = full(preset.template)
        _check_inside(folder, str(template), preset)
    if preset.weights.path:
        weights = preset.weights.model_copy(update={"path": full(preset.weights.path)})
        changes["weights"] = weights
    return preset.model_copy(update=changes)


def _check_inside(folder: Path, template: str, preset: Preset) -> None:
    """Refuse a template elsewhere: its text is sent to the model, and a judge's folder may come from anyone.

    Raises:
        UsageError: it is neither in the preset's folder nor in the working folder.
    """
    # A name with a NUL is never a file, and resolving it would raise.
    real = Path(os.path.abspath(template) if "\0" in template else os.path.realpath(template))
    if not any(real.is_relative_to(home.resolve()) for home in (folder, Path(), _builtin())):
        raise UsageError(
            f"judge {preset.name}: template: {preset.template} is outside the judge's folder; "
            "copy it next to the preset, or give it with --template"
        )


def parse_preset(text: str, source: str, name: str) -> Preset:
    """Read a preset from YAML; see ``load_preset``."""
    return parse(Preset, text, source, name=name)
