"""``mene judge --on ray`` beside the plain run, and while its workers and its driver are killed.

    python benchmarks/scale.py --rows 100000                      the engine that answers at once
    python benchmarks/scale.py --rows 2000 --judge nano           a real one
    python benchmarks/scale.py --rows 100000 --kills 20 --drivers 5
    python benchmarks/scale.py --rows 5000 --store s3://bucket/verdicts --kills 2

Two `ray start` nodes listen on this machine, each with one core. The plain run judges the same rows first. Then workers are
killed with -9 at random while they judge, and the driver is, and started again, until it comes to its end. The kills are spread
over the parts, each a random while after another part is there. Verdicts are compared row by row: same row, id, key, label and
probabilities (those of real models within 1e-4, for a batch's company rounds).

Time is the processor's, of all processes: other programs share the cores. So "overhead" is CPU seconds over those of the plain
run, and "efficiency" those with one worker over those with two.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
TOLERANCE = 1e-4


def opened(spec: str) -> Any:
    """The judge, in a worker."""
    from mene import Judge

    if spec != "none":
        return Judge(spec, load=False)
    sys.path.insert(0, str(HERE))
    from harness import Constant

    url = "openai:none@http://localhost"
    return Judge(url, mode="verdict", template="prefix", engine=Constant())


def write_table(path: Path, rows: int) -> None:
    """Rows with some context, of which ten in turn share one."""
    with path.open("w") as file:
        for number in range(rows):
            context = f"The shop number {number // 10} opens at {number // 10 % 12 + 1}. " * 4
            row = {"context": context, "response": f"It opens at {number % 12 + 1}."}
            file.write(json.dumps({"id": f"r{number}", "instruction": "When?", **row}) + "\n")


def plain(table: Path, ledger: Path, spec: str) -> float:
    """The run of one machine; CPU seconds of this process and its children."""
    from mene.criterion import load_criterion
    from mene.runs.run import run
    from mene.runs.tables import read_rows

    start = _spent()
    judge = opened(spec)
    run(judge, load_criterion("faithfulness"), read_rows(str(table)), ledger)
    judge.close()
    return _spent() - start


def _spent() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def drive(table: str, folder: str, spec: str, workers: int, part_rows: int) -> None:
    """What the driver does, in a process of its own."""
    from mene.runs.on_ray import cluster

    cluster.prepare()
    from mene.criteria_set import load_criteria
    from mene.events import nowhere
    from mene.runs.on_ray.pipeline import Needs
    from mene.runs.on_ray.run import judge_on_ray, work_folder
    from mene.runs.on_ray.worker import Job
    from mene.runs.summary import Summary

    with cluster.cluster():
        criteria = load_criteria("faithfulness")
        work = work_folder(folder, f"scale-{spec}")
        job = Job(partial(opened, spec), criteria, f"scale-{spec}", (table,), folder, work)
        sums: dict[str, Summary] = {}
        judge_on_ray(
            job,
            spec,
            needs=Needs(),
            workers=workers,
            rows=part_rows,
            events=nowhere,
            summaries=sums,
        )
    found = sums["faithfulness"]
    print(json.dumps({"rows": found.rows, "judged": found.judged, "reused": found.reused,
                      "errors": found.errors, "cpu": _spent()}), flush=True)  # fmt: skip


class Nodes:
    """Ray nodes on this machine, and the processes that belong to them."""

    def __init__(self, count: int, port: int) -> None:
        self.folder = tempfile.mkdtemp(prefix="r-")  # names of sockets are short
        self.address = f"127.0.0.1:{port}"
        self.spent: dict[tuple[int, float], float] = {}
        paths = os.pathsep.join([str(HERE.parent / "src"), str(HERE)])
        self.env = {
            **os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
            "PYTHONPATH": paths, "RAY_BACKEND_LOG_LEVEL": "fatal",
        }  # fmt: skip
        for number in range(count):
            node = [f"--port={port}", "--head", "--include-dashboard=false"]
            node += [f"--temp-dir={self.folder}"]
            if number:
                node = [f"--address={self.address}"]
            ray = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start"]
            limits = ["--num-cpus=1", "--object-store-memory=250000000", "--disable-usage-stats"]
            ip = [f"--node-ip-address=127.0.0.{number + 1}"]
            done = subprocess.run(
                [*ray, *node, *limits, *ip], env=self.env, capture_output=True, text=True
            )
            if done.returncode:
                raise SystemExit(f"ray start failed: {done.stdout}{done.stderr}")

    def processes(self) -> list[psutil.Process]:
        """Those whose command line, or whose parent's, names our folder."""
        own, found = [], []
        for process in psutil.process_iter(["cmdline", "ppid"]):
            line = " ".join(process.info["cmdline"] or ())
            if self.folder in line:
                own.append(process)
        pids = {process.pid for process in own}
        for process in psutil.process_iter(["ppid"]):
            if process.pid in pids or process.info["ppid"] in pids:
                found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        """The actors that judge."""
        return [p for p in self.processes() if _line(p).startswith("ray::MapWorker")]

    def look(self) -> None:
        """Take note of the CPU seconds of all that are alive: a process that ends takes its own with it."""
        for process in self.processes():
            with suppress(psutil.Error):
                times = process.cpu_times()
                self.spent[process.pid, process.create_time()] = times.user + times.system

    def cpu(self) -> float:
        """CPU seconds of all processes so far, as far as they were looked at."""
        self.look()
        return sum(self.spent.values())

    def stop(self) -> None:
        drivers = [child for child in psutil.Process().children() if "--drive" in _line(child)]
        for process in (*drivers, *self.processes()):
            try:
                process.kill()
            except psutil.Error:
                continue


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def start_driver(
    nodes: Nodes, given: argparse.Namespace, table: Path, folder: str, workers: int
) -> Any:
    command = [sys.executable, __file__, "--drive", folder, "--table", str(table)]
    command += ["--judge", given.judge]
    command += ["--workers", str(workers), "--part-rows", str(given.part_rows)]
    env = {**nodes.env, "RAY_ADDRESS": nodes.address}
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(driver: Any) -> dict[str, Any]:
    out, err = driver.communicate()
    if driver.returncode:
        raise SystemExit(f"the driver failed: {err[-2000:]}")
    return json.loads(out.splitlines()[-1])


def killed_at_random(
    nodes: Nodes, given: argparse.Namespace, table: Path, folder: str, counts: dict[str, Any]
) -> dict[str, Any] | None:
    """Run while workers and the driver are killed, which is counted; None where --seconds were over before the run was."""
    chance = random.Random(given.seed + counts["workers"] + counts["drivers"])
    driver = start_driver(nodes, given, table, folder, 2)
    began, before = time.monotonic(), _parts(folder)
    parts, kills = given.rows / given.part_rows, given.kills + given.drivers
    apart = parts / (kills + 1) / 2  # parts between two kills: some are made while one is awaited
    while driver.poll() is None:
        time.sleep(0.5)
        if given.seconds and time.monotonic() - began > given.seconds:
            driver.kill()
            counts["stops"] = counts.get("stops", 0) + 1
            return None
        if _parts(folder) - before < apart:
            continue
        time.sleep(given.every * chance.random())  # anywhere in a part
        left = given.kills - counts["workers"], given.drivers - counts["drivers"]
        found = nodes.workers()
        if not any(left) or not found:
            continue
        before = _parts(folder)
        if chance.random() < left[1] / sum(left):
            driver.kill()
            driver.wait()
            counts["drivers"] += 1
            driver = start_driver(nodes, given, table, folder, 2)
            continue
        with suppress(psutil.NoSuchProcess):
            chance.choice(found).kill()
            counts["workers"] += 1
    return ended(driver)


def _parts(folder: str) -> int:
    from mene.runs.parts.manifest import parts_in

    return len(parts_in(folder))


def compare(ledger: Path, folder: str, rows: int) -> dict[str, Any]:
    """Verdicts of the parts against those of the plain run."""
    from mene.runs.parts.read import read_parts
    from mene.runs.read_ledger import read_verdicts

    wanted = {verdict.row: verdict for verdict in read_verdicts(ledger)}
    seen: dict[int, int] = {}
    differ, labels, most = 0, 0, 0.0
    for other in read_parts(folder):
        row = other.row or 0
        seen[row] = seen.get(row, 0) + 1
        one = wanted[row]
        same = (one.id, one.key, one.content) == (other.id, other.key, other.content)
        gaps = [
            abs(p - (other.probabilities or {})[k]) for k, p in (one.probabilities or {}).items()
        ]
        most = max(most, *gaps)
        labels += one.label != other.label
        differ += not same or max(gaps) > TOLERANCE
    return {
        "lost": rows - len(seen),
        "doubled": sum(count - 1 for count in seen.values()),
        "differ": differ,
        "other_labels": labels,
        "largest_difference": most,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--judge", default="none")
    parser.add_argument("--part-rows", type=int, default=500)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--drivers", type=int, default=0)
    parser.add_argument(
        "--every", type=float, default=2.0, help="most seconds from a new part to a kill"
    )
    parser.add_argument(
        "--one", action="store_true", help="with one worker too, for the efficiency"
    )
    parser.add_argument("--store", help="folder of the parts; default: one on this disk")
    parser.add_argument("--keep", type=Path, help="folder in which a later call goes on")
    parser.add_argument(
        "--seconds", type=float, help="kill the driver then, for a later call to go on"
    )
    parser.add_argument("--port", type=int, default=26379)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drive", help=argparse.SUPPRESS)
    parser.add_argument("--table", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nodes are stopped then, too
    if given.drive:
        drive(given.table, given.drive, given.judge, given.workers, given.part_rows)
        return
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
        run_all(given, given.keep)
        return
    with tempfile.TemporaryDirectory() as own:
        run_all(given, Path(own))


def run_all(given: argparse.Namespace, own: Path) -> None:
    """The plain run, and those on Ray, with their files in a folder."""
    table, ledger, known = own / "rows.jsonl", own / "plain.jsonl", own / "known.json"
    state: dict[str, Any] = (
        json.loads(known.read_text()) if known.exists() else {"workers": 0, "drivers": 0}
    )
    if "plain" not in state:
        write_table(table, given.rows)
        state["plain"] = plain(table, ledger, given.judge)
        known.write_text(json.dumps(state))
    alone = state["plain"]
    print(json.dumps({"run": "plain", "cpu": round(alone, 1)}), flush=True)
    nodes = Nodes(2, given.port)
    try:
        if given.kills or given.drivers:
            folder = given.store or f"{own}/parts-killed"
            found = killed_at_random(nodes, given, table, folder, state)
            said = {"run": "killed", **state}
            if found is not None:
                said |= {**found, **compare(ledger, folder, given.rows)}
            print(json.dumps(said), flush=True)
            return
        for workers in (1, 2) if given.one else (2,):
            folder = given.store or f"{own}/parts-{workers}"
            before = nodes.cpu()
            driver = start_driver(nodes, given, table, folder, workers)
            while driver.poll() is None:
                time.sleep(1)
                nodes.look()
            found = ended(driver)
            spent = found.pop("cpu") + nodes.cpu() - before
            said = {"run": f"ray, {workers} workers", "cpu": round(spent, 1), **found}
            said |= {"over_plain": round(spent / alone - 1, 3)}
            print(json.dumps(said | compare(ledger, folder, given.rows)), flush=True)
    finally:
        nodes.stop()
        known.write_text(json.dumps(state))


if __name__ == "__main__":
    main()
