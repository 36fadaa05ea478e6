"""Weights divided among processes (FSDP2) give the loss and the gradients of one process that has all of them.

Accelerate shards on GPUs only, so this shards with PyTorch itself, over gloo, what `JointTrainer` computes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from mene.train.examples import Pack
from mene.train.forward import completion_logps, tensors
from mene.train.loss import joint_loss

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

sys.path.insert(0, str(Path(__file__).parent))  # the processes started below import this file
from test_loss import EXAMPLES, tiny  # noqa: E402


def loss_of(model: Any) -> Any:
    pack = Pack.of(EXAMPLES)
    logps = completion_logps(model, tensors(pack))
    lengths = torch.from_numpy(pack.lengths)[0::2]
    before = torch.zeros(2, len(EXAMPLES))
    found = joint_loss(logps[0::2], logps[1::2], *before, lengths, beta=0.1, alpha=1.0)
    return found.loss.sum()


def sharded(rank: int, folder: str) -> None:
    """What each of two processes does; the first keeps loss and gradients, put together again."""
    from torch.distributed.fsdp import fully_shard

    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    mesh = torch.distributed.init_device_mesh("cpu", (2,))
    model = tiny(0)
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    loss = loss_of(model)
    loss.backward()
    halves = [p.to_local().numel() for p in model.parameters()]
    whole = {name: p.grad.full_tensor() for name, p in model.named_parameters()}
    if rank == 0:
        torch.save({"loss": loss.item(), "grads": whole, "halves": halves}, f"{folder}/found.pt")
    torch.distributed.barrier()
    os._exit(0)  # with an orderly end gloo's threads abort the process at times


def test_sharded_weights_learn_the_same(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(sharded, (str(tmp_path),), nprocs=2)
    found = torch.load(tmp_path / "found.pt")
    model = tiny(0)
    loss = loss_of(model)
    loss.backward()
    assert found["halves"] == [p.numel() // 2 for p in model.parameters()]
    assert found["loss"] == pytest.approx(loss.item(), abs=1e-4)
    for name, parameter in model.named_parameters():
        assert torch.allclose(found["grads"][name], parameter.grad, atol=1e-4), name
