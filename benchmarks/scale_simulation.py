"""A cluster of up to thousands of workers, simulated from times measured here: where `mene judge --on ray` stops scaling.

    python benchmarks/scale_simulation.py                          measures, then simulates 1 to 4,096 workers
    python benchmarks/scale_simulation.py --rows 10000000 --row-s 0.02 --part-rows 500

What is measured: reading a block (one file is read by one task), taking note of a block that is through, and writing the
manifest of so many parts: the code that does it in a run. What is given: seconds a row, and Ray's own work for a block on the
driver (`benchmarks/scale.py` marks what to take). What is assumed: a worker dies once in --life hours and loads its model again;
one block in 50 takes five times as long; the object store takes 0.1 s for a part, one in a hundred 5 s; a worker has two blocks
at hand.

Readers, workers and the driver are queues; a block that was under way when its worker died is judged again by another one, and
the part that it had perhaps written already is the same part. At the end every block must have exactly one.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Times:
    """Seconds: reading a block, the driver's work for a block, and writing the manifest, for each part in it."""

    read: float
    driver: float
    manifest: float


def measure(part_rows: int, ray_s: float) -> Times:
    """What a run does, timed here by the processor's clock."""
    from mene.runs.on_ray.blocks import blocks_of
    from mene.runs.parts.manifest import Manifest, Part, add_sums, save
    from mene.runs.summary import Summary

    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "rows.jsonl"
        row = json.dumps({"instruction": "When?", "context": "word " * 300, "response": "At nine."})
        table.write_text(f"{row}\n" * part_rows * 8)
        start = time.process_time()
        blocks = [block for block in blocks_of([(0, str(table))], "run", part_rows) if block.rows]
        read = (time.process_time() - start) / len(blocks)
        sums = {"rows": part_rows, "judged": part_rows, "labels": {"Yes": 300, "No": 200},
                "confidences": [400.0, 500.0], "usage": {"prompt_tokens": 200_000}}  # fmt: skip
        parts = [
            Part(name=f"part-00000-{n:010}-{n:020}.parquet", file=0, first=n, rows=part_rows,
                 mark=f"{n:020}", size=10_000, summaries={"c": sums})
            for n in range(5000)
        ]  # fmt: skip
        whole = Summary()
        start = time.process_time()
        for part in parts:
            add_sums(whole, part.summaries["c"])
        noted = (time.process_time() - start) / len(parts)
        manifest = Manifest(
            mene="0", judge="j", criteria={"c": ""}, run="r", files=["f"], rows=[None], parts=parts
        )
        start = time.process_time()
        save(folder, manifest)
        return Times(read, noted + ray_s, (time.process_time() - start) / len(parts))


@dataclass(frozen=True)
class Cluster:
    """What is simulated; times in seconds."""

    workers: int
    blocks: int
    files: int
    block_s: float
    load_s: float = 60.0
    life_s: float = 24 * 3600.0
    straggles: float = 0.02
    readers: int = 4


def simulate(cluster: Cluster, times: Times, seed: int = 0) -> dict[str, float]:
    """Run it; seconds to the end, the share of the workers' time that was judging, and what the driver was busy with.

    Raises:
        AssertionError: a block was lost, or counts twice.
    """
    from mene.runs.on_ray.run import SAVED_S, SHARE

    chance = random.Random(seed)
    readers = min(cluster.readers, cluster.files)
    room = 2 * cluster.workers + readers  # blocks that are read ahead: back-pressure
    reader_free = [0.0] * readers
    events: list[tuple[float, int, str, int, int]] = []  # time, serial, what, worker, block
    serial = 0
    waiting: list[int] = []  # blocks that are read, or were given back
    idle: list[int] = []
    dies = [chance.expovariate(1 / cluster.life_s) for _ in range(cluster.workers)]
    next_block, held, judging = 0, 0, 0.0
    parts: dict[int, int] = {}  # block -> times that its part was written
    listed: dict[int, int] = {}
    driver_free, saved, took, saving, deaths = 0.0, 0.0, 0.0, 0.0, 0

    def push(at: float, what: str, worker: int, block: int) -> None:
        nonlocal serial
        serial += 1
        heapq.heappush(events, (at, serial, what, worker, block))

    def read_on(now: float) -> None:
        nonlocal next_block, held
        while next_block < cluster.blocks and held < room:
            reader = min(range(readers), key=reader_free.__getitem__)
            reader_free[reader] = max(now, reader_free[reader]) + times.read
            push(reader_free[reader], "read", -1, next_block)
            next_block += 1
            held += 1

    def hand_out(now: float) -> None:
        nonlocal judging, deaths
        while waiting and idle:
            block, worker = waiting.pop(), idle.pop()
            slow = 5.0 if chance.random() < cluster.straggles else 1.0
            takes = cluster.block_s * slow * chance.lognormvariate(0, 0.2)
            store = 5.0 if chance.random() < 0.01 else chance.expovariate(10)
            if now + takes + store >= dies[worker]:
                deaths += 1
                if (
                    dies[worker] > now + takes + store / 2
                ):  # the part was written, nobody heard of it
                    parts[block] = parts.get(block, 0) + 1
                end = max(now, dies[worker])
                push(end, "died", worker, block)
                dies[worker] = end + cluster.load_s + chance.expovariate(1 / cluster.life_s)
            else:
                judging += takes
                push(now + takes + store, "judged", worker, block)

    for worker in range(cluster.workers):
        push(cluster.load_s, "ready", worker, -1)
    read_on(0.0)
    end = 0.0
    while events:
        now, _, what, worker, block = heapq.heappop(events)
        if what == "read":
            waiting.append(block)
        elif what == "ready":
            idle.append(worker)
        elif what == "died":
            waiting.append(block)
            push(now + cluster.load_s, "ready", worker, -1)
        elif what == "judged":
            parts[block] = parts.get(block, 0) + 1
            idle.append(worker)
            driver_free = max(now, driver_free) + times.driver
            if driver_free - saved > max(SAVED_S, took / SHARE):
                took = times.manifest * (len(listed) + 1)
                driver_free += took
                saving += took
                saved = driver_free
            push(driver_free, "noted", -1, block)
        elif what == "noted":
            listed[block] = listed.get(block, 0) + 1
            held -= 1
            end = now
            read_on(now)
        hand_out(now)
    assert set(listed) == set(range(cluster.blocks)) == set(parts), "a block was lost"
    assert set(listed.values()) == {1}, "a block counts twice"
    return {
        "workers": cluster.workers,
        "hours": end / 3600,
        "efficiency": judging / (end * cluster.workers),
        "driver": cluster.blocks * times.driver / end,
        "manifest": saving / end,
        "reading": cluster.blocks * times.read / end / readers,
        "deaths": deaths,
        "written_twice": sum(count - 1 for count in parts.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--part-rows", type=int, default=500)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--row-s", type=float, default=0.1, help="seconds a row takes a worker")
    parser.add_argument(
        "--ray-s", type=float, default=0.01, help="the driver's work for a block, of Ray"
    )
    parser.add_argument(
        "--life", type=float, default=24.0, help="hours until a worker dies, on average"
    )
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 10, 100, 1000, 2000, 4000])
    given = parser.parse_args()
    times = measure(given.part_rows, given.ray_s)
    print(
        json.dumps({"read_s": times.read, "driver_s": times.driver, "manifest_s": times.manifest})
    )
    blocks = -(-given.rows // given.part_rows)
    for workers in given.workers:
        cluster = Cluster(
            workers, blocks, given.files, given.part_rows * given.row_s, life_s=given.life * 3600
        )
        found = simulate(cluster, times)
        print(json.dumps({name: round(value, 4) for name, value in found.items()}), flush=True)


if __name__ == "__main__":
    main()
