"""The output of the untrained lower layers for each pack, computed once and stored on disk.

With an adapter on the upper layers only, everything below them is the same in every epoch. The hidden states before the first
trained layer are written to a file of the run. Training, the DPO reference and the evaluations read them instead of computing
them: with 8 of 28 layers trained, a step costs less than half. A token takes ``2 * width`` bytes (3 kB at a width of 1,536).
"""

from __future__ import annotations

import hashlib
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from mene.errors import UsageError
from mene.files import whole
from mene.train.examples import Pack
from mene.train.forward import Batch, Model, completion_logps, logits_of, tensors
from mene.train.processes import processes

# Below float16's 65,504; some models have larger values, so each token has a scale of its own.
HIGHEST = 60_000
LIKE = 0.02  # largest change of a token's log-probability, in nats, that 16-bit storage may cause


class Lower:
    """The stored hidden states of packs, in a folder.

    Args:
        folder: with one file per pack, named by its tokens, the weights and the layers.
        model: identity of the weights (``Loaded.identity``).
        layers: number of lower layers below the stored states.
    """

    def __init__(self, folder: Path, model: str, layers: int) -> None:
        self.folder, self.layers = folder, layers
        self.model = f"{model}|{layers}|1"  # the last number is the version of the file format

    def path(self, pack: Pack) -> Path:
        tree = pack.tree
        found = hashlib.sha256(self.model.encode())
        found.update(np.array([tree.ids, tree.parents], np.int64).tobytes())
        return self.folder / f"{found.hexdigest()[:32]}.npz"

    def write(self, pack: Pack, hidden: np.ndarray) -> None:
        """Store the states of a pack. Shape (nodes, width), float32."""
        scale = np.maximum(np.abs(hidden).max(-1, keepdims=True), 1e-12) / HIGHEST
        states = (hidden / scale).astype(np.float16)
        with whole(self.path(pack)) as file:
            np.savez(file, states=states, scale=scale.astype(np.float32))

    def read(self, pack: Pack) -> np.ndarray:
        """Return the stored states of a pack. Shape (nodes, width), float32.

        Raises:
            UsageError: the file is missing or damaged.
        """
        path = self.path(pack)
        try:
            with np.load(path) as file:
                found = file["states"].astype(np.float32) * file["scale"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(
                f"{path}: the cached outputs of the lower layers are missing or damaged ({error}); delete it, and run the same "
                "command again"
            ) from None
        return found

    def tensors(self, pack: Pack) -> Batch:
        """Return a pack as input for a model without its lower layers: ``forward.tensors``, and ``hidden``."""
        return {**tensors(pack), "hidden": torch.from_numpy(self.read(pack))[None]}

    def complete(
        self,
        model: Model,
        packs: Sequence[Pack],
        step: Callable[[], None],
        stopping: Callable[[], bool],
    ) -> bool:
        """Compute the missing states of some packs. Return False after an interruption; finished ones are kept.

        With several processes, each computes its share and waits for the others.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        mine, count = processes()
        own = {self.path(pack): pack for pack in packs[mine::count]}
        for path, pack in own.items():
            if stopping():
                return False
            if not path.exists():
                self.write(pack, hidden_before(model, pack, self.layers))
            step()
        for path in {self.path(pack) for pack in packs} - own.keys():
            while not path.exists():
                if stopping():
                    return False
                time.sleep(1)
            step()
        return True


def untrained(model: Model) -> int:
    """Return the number of lower layers without trained weights in or below them."""
    layers = layers_of(model)
    trained = [any(p.requires_grad for p in layer.parameters()) for layer in layers]
    below = {id(p) for layer in layers for p in layer.parameters()}
    if any(p.requires_grad and id(p) not in below for p in model.parameters()):
        return 0  # an embedding, or the output matrix, is trained too
    return trained.index(True) if any(trained) else 0


def layers_of(model: Model) -> nn.ModuleList:
    """Return the decoder layers of a causal model, inside the adapter's wrappers."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    return cast("nn.ModuleList", cast("PreTrainedModel", inner).get_decoder().layers)


class Reached(Exception):
    """Raised to end a forward pass once the wanted value is known."""


def hidden_before(model: Model, pack: Pack, layer: int) -> np.ndarray:
    """Return a layer's input for each node of a pack. Shape (nodes, width), float32."""
    found: list[Tensor] = []

    def stop(_: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        found.append(arguments[0] if arguments else options["hidden_states"])
        raise Reached

    hook = layers_of(model)[layer].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with torch.inference_mode():
            logits_of(model, {k: v.to(model.device) for k, v in tensors(pack).items()})
    except Reached:
        pass
    finally:
        hook.remove()
    return found[0][0].float().cpu().numpy()


def leave_out(model: PeftModel, lower: Lower, pack: Pack) -> None:
    """Remove the lower layers from a model (freeing their memory), which from then on reads stored states.

    Args:
        pack: one with stored states, read in both ways to check that results agree.

    Raises:
        UsageError: they do not; this model has another step between its embedding and its layers.
    """
    layers = layers_of(model)
    batch = {k: v.to(model.device) for k, v in tensors(pack).items()}
    with torch.inference_mode():
        before = completion_logps(model, batch)
        for number in range(lower.layers):
            layers[number] = Passing(layers[number])
        batch = {k: v.to(model.device) for k, v in lower.tensors(pack).items()}
        after = completion_logps(model, batch)
    apart = (before - after).abs() / batch["lengths"]
    if not bool((apart <= LIKE).all()):  # also where it is NaN
        raise UsageError(
            f"the lower layers of {type(model.get_base_model()).__name__} cannot be kept apart "
            f"(log-probabilities change by {apart.max():.2g} a token); set train.keep_lower: false"
        )


class Passing(nn.Module):
    """A placeholder layer that returns its input."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        for name in ("attention_type", "layer_type"):  # attributes that models read
            if hasattr(layer, name):
                setattr(self, name, getattr(layer, name))

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden_states
