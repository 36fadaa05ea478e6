"""The Ray Data pipeline from tables to blocks to parts: resources, number of workers, and data flow."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pyarrow as pa
import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext

from mene.errors import EngineError
from mene.runs.on_ray.blocks import Block, blocks_of
from mene.runs.on_ray.worker import Done, Worker

READERS = 4  # files read in parallel
DATA = 32 << 20  # bytes of blocks that may wait between two steps


@dataclass(frozen=True)
class Needs:
    """The resources of a worker.

    Attributes:
        memory: bytes; None where unknown.
        gpus: GPUs per worker; ``cpu_too``: without GPUs, it computes on the CPU.
        served: the model runs on a server, so that more workers do not make it faster.
    """

    memory: int | None = None
    gpus: float = 0
    cpu_too: bool = False
    served: bool = False


def pool(needs: Needs, workers: int | None) -> tuple[int, float, float, int]:
    """Return the number of actors, the cores and GPUs that Ray reserves for each, and each actor's number of threads.

    Ray is asked for half of the cores that an actor uses, so that the actors of a lost machine fit on the others until it is
    back. Actors are spread over the machines in any case.

    Raises:
        EngineError: the cluster has no suitable machine.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = sum(node.get("CPU", 0) for node in nodes)
    gpus = sum(node.get("GPU", 0) for node in nodes) if needs.gpus else 0
    if gpus:
        return workers or max(1, int(gpus // needs.gpus)), 0.5, needs.gpus, 0
    if needs.gpus and not needs.cpu_too:
        raise EngineError("this judge needs a GPU, and no machine of the cluster has one")
    fit = 0
    for node in nodes:
        most = int(node.get("CPU", 0))
        if needs.memory:
            most = min(most, int(node.get("memory", 0) // needs.memory))
        fit += most
    count = workers or (1 if needs.served else max(1, fit))
    threads = max(1, int(cores // count))
    return count, 0.1 if needs.served else min(0.5, cores / count / 2), 0, threads


_OUT = pa.schema([("block", pa.binary()), ("done", pa.binary())])


def pipeline(
    tables: Sequence[Sequence[tuple[int, str]]],
    run: str,
    rows: int,
    done: frozenset[str],
    limit: int | None,
    held: dict[str, Any],
    actors: int,
    cores: float,
    gpus: float,
) -> ray.data.Dataset:
    """Build the pipeline from tables to blocks to records of each block's outcome.

    Args:
        tables: for each reader, (index of the table in the run, path or address).
        run, rows, done, limit: as for ``blocks_of``.
        held: shared by all workers: ``job`` and ``index`` in the object store, ``tally`` an actor.
        actors, cores, gpus: see ``pool``.
    """
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Every block is an item of its own, so that it goes to a free worker as soon as it is read.
    context.target_max_block_size = 1
    context.target_min_block_size = 0
    context.execution_options.preserve_order = False
    context.execution_options.resource_limits = context.execution_options.resource_limits.copy(
        object_store_memory=DATA
    )
    items = [{"tables": pickle.dumps(list(table))} for table in tables]
    with DataContext.current(context):
        return (
            ray.data.from_items(items, override_num_blocks=len(items))
            .map_batches(
                cast(Any, _read),
                batch_size=1,
                batch_format="pyarrow",
                # On a single-core machine, readers and actors would wait for each other.
                num_cpus=0,
                concurrency=min(READERS, len(items)),
                fn_kwargs={"run": run, "size": rows, "done": ray.put(done), "limit": limit},
            )
            .map_batches(
                cast(Any, _Actor),
                batch_size=1,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2),
                fn_constructor_kwargs={"held": [held]},
                num_cpus=cores,
                num_gpus=gpus or None,
            )
        )


def _read(items: pa.Table, run: str, size: int, done: Any, limit: int | None) -> Iterator[pa.Table]:
    if isinstance(done, ray.ObjectRef):
        done = ray.get(done)
    for item in items.column("tables").to_pylist():
        for block in blocks_of(pickle.loads(item), run, size, done, limit):
            yield pa.table({"block": [pickle.dumps(block)], "done": [b""]}, _OUT)


class _Actor:
    """A worker in Ray Data's actor pool; a block without rows passes through."""

    def __init__(self, held: list[dict[str, Any]]) -> None:
        job, index, tally = (held[0][name] for name in ("job", "index", "tally"))

        def tell(mark: str, rows: int) -> None:
            tally.under_way.remote(mark, rows)

        self._worker = Worker(ray.get(job), ray.get(index), tell)

    def __call__(self, table: pa.Table) -> pa.Table:
        blocks, results = [], []
        for packed in table.column("block").to_pylist():
            block: Block = pickle.loads(packed)
            done = self._worker.judge(block) if block.raw else None
            blocks.append(pickle.dumps(replace(block, raw=b"")))
            results.append(pickle.dumps(done))
        return pa.table({"block": blocks, "done": results}, _OUT)


def records(dataset: ray.data.Dataset) -> Iterator[tuple[Block, Done | None]]:
    """Yield finished blocks, without their rows, and the outcome of each; None where it was done before."""
    for row in dataset.iter_rows():
        yield pickle.loads(row["block"]), pickle.loads(row["done"])
