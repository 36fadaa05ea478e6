"""How fast ``mene serve`` is: what it adds to an engine that answers at once, and 64 clients against ``mene judge``.

    python benchmarks/serve.py instant                 p50 and p99 at 1, 8, 64, 256 clients; requests a second; memory
    python benchmarks/serve.py rows --judge nano       the same rows, by Judge.judge, by 64 clients of /v1/systemone, and by
                                                       the same of llama.cpp's own server, with the same weights and prompts

Server and clients are processes of their own; clients keep their connections and do nothing but wait. CPU is what the
server's process took, all threads, for each request: on a shared machine that figure stands where times do not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

from mene.criterion import Criterion
from mene.engines.base import Completion, Request
from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.judge.judge import Judge
from mene.sample import Sample
from mene.verdict import Usage

QUESTION = "Is every claim in the response supported by the context?"
EXAMPLES = Path(__file__).parents[1] / "examples" / "rag.jsonl"


class InstantEngine(LlamaCppEngine):
    """Answers every request at once, or after a while, with the same probabilities. It chats too, hence its base class.

    Args:
        delay: seconds for each answer.
    """

    identity = "instant:1"
    context: int | None = 100_000

    def __init__(self, delay: float = 0.0) -> None:
        self.control_tokens = frozenset({"<|im_start|>", "<|im_end|>"})
        self._delay = delay

    def run(
        self, requests: Iterable[Request | None], stop: Any = None
    ) -> Generator[Completion, None, None]:
        for request in requests:
            if stop is not None and stop.is_set():
                return
            if request is not None:
                if self._delay:  # even a sleep of no time hands over to another thread
                    time.sleep(self._delay)
                if not request.choose:
                    yield Completion(request.index, critique="because")
                    continue
                share = 1 / len(request.labels)
                shares = dict.fromkeys(request.labels, share)
                usage = Usage(prompt_tokens=100)
                yield Completion(request.index, request.labels[0], shares, usage=usage)

    @property
    def reading(self) -> Any:
        return None

    def prompt(self, request: Request) -> str:
        return request.messages[-1].content

    def count(self, request: Request) -> int:
        return 100

    def calls(self) -> Any:
        return None

    def give_up(self, calls: Any) -> None:
        pass

    def write(self, messages: Any, body: dict[str, Any], calls: Any) -> Iterator[dict[str, Any]]:
        counted = {"tokens_evaluated": 100, "tokens_predicted": 1, "timings": {"cache_n": 0}}
        yield {"content": "{}", "stop": True, "stop_type": "eos", **counted}

    def close(self) -> None:
        pass


def serve_instant(port: int, delay: float, cache: Path | None, queue: int, any_model: bool) -> int:
    """The server, over that engine."""
    from mene.cli.serve import listen, run
    from mene.judge.preset import load_preset
    from mene.serve.app import build_app
    from mene.serve.cache import Cache
    from mene.serve.judges import Judges
    from mene.serve.metrics import Meter
    from mene.serve.serving import Serving

    meter = Meter()

    def opened(preset: Any) -> Judge:
        return Judge(preset, engine=InstantEngine(delay))

    kept = Cache(cache) if cache is not None else None
    judges = Judges([load_preset("nano")], opened=opened, meter=meter, cache=kept, most=queue)
    if any_model:
        judges.name_of = lambda model: judges.default
    return run(build_app(Serving(judges, meter)), listen("127.0.0.1", port), 10, {})


def body_of(row: dict[str, Any], **more: Any) -> bytes:
    """A request of one question about a row."""
    state = {name: row[name] for name in ("instruction", "context", "response") if row.get(name)}
    question = {"type": "noul", "instructions": QUESTION}
    body = {"model": "jev-latest", "state": state, "questions": {"q": question}, **more}
    return json.dumps(body).encode()


async def client(port: int, path: str, bodies: Iterator[bytes], seconds: list[float]) -> None:
    """One client: a request, its answer, the next."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for body in bodies:
        began = time.perf_counter()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(answer.split(b"content-length: ")[1].split(b"\r\n")[0]))
        if not answer.startswith(b"http/1.1 200"):
            raise SystemExit(f"not answered: {answer[:40]!r}")
        seconds.append(time.perf_counter() - began)
        if b"connection: close" in answer:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def clients(
    port: int, count: int, bodies: Sequence[bytes], path: str = "/v1/systemone"
) -> tuple[float, list[float]]:
    """Seconds for all bodies, and for each."""
    queue, seconds = iter(bodies), list[float]()
    began = time.perf_counter()
    await asyncio.gather(*(client(port, path, queue, seconds) for _ in range(count)))
    return time.perf_counter() - began, seconds


def cpu(pid: int) -> float:
    """CPU seconds of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """MB of a process (Linux)."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1e3


async def until_ready(port: int, path: str = "/readyz") -> None:
    for _ in range(600):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            ready = b" 200 " in (await reader.read()).split(b"\r\n")[0]
            writer.close()
            if ready:
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit("the server is not ready after a minute")


def serve_bare(port: int) -> int:
    """What no server on these packages is below: a route that reads JSON and writes JSON."""
    from starlette.applications import Starlette
    from starlette.requests import Request as Asked
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from mene.cli.serve import listen, run

    async def answer(request: Asked) -> JSONResponse:
        body = json.loads(await request.body())
        answers = {name: {"type": "noul", "noul": 0.5} for name in body["questions"]}
        return JSONResponse({"model": "bare", "answers": answers, "usage": {"input_tokens": 100}})

    async def ready(request: Asked) -> JSONResponse:
        return JSONResponse({})

    routes = [Route("/v1/systemone", answer, methods=["POST"]), Route("/readyz", ready)]
    return run(Starlette(routes=routes), listen("127.0.0.1", port), 10, {})


def instant(port: int, requests: int, long: int) -> None:
    """The floor, then the server: so that the one can be told by the other on any machine."""
    for part in ("bare", "server"):
        _instant(part, port, requests, long if part == "server" else 0)


def _instant(part: str, port: int, requests: int, long: int) -> None:
    command = [sys.executable, __file__, part, "--port", str(port)]
    with subprocess.Popen(command) as process:
        try:
            asyncio.run(until_ready(port))
            rows = [json.loads(line) for line in EXAMPLES.open()]
            asyncio.run(clients(port, 8, [body_of(rows[0])] * 200))
            print(f"{part:8}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs':>9}", flush=True)
            for count in (1, 8, 64, 256):
                bodies = [
                    body_of({**rows[i % len(rows)], "instruction": f"{count} {i}"})
                    for i in range(requests)
                ]
                before = cpu(process.pid)
                whole, each = asyncio.run(clients(port, count, bodies))
                cuts = quantiles(each, n=100)
                used = (cpu(process.pid) - before) / requests * 1e6
                print(
                    f"{count:8}{requests / whole:12.0f}{cuts[49] * 1e3:9.2f}{cuts[98] * 1e3:9.2f}{used:9.0f}",
                    flush=True,
                )
            for tenth in range(10 if long else 0):
                bodies = [
                    body_of({**rows[0], "instruction": f"{tenth} {i}"}) for i in range(long // 10)
                ]
                asyncio.run(clients(port, 64, bodies))
                done = (tenth + 1) * len(bodies)
                print(f"{done:8} more requests: {memory(process.pid):.1f} MB", flush=True)
        finally:
            process.terminate()


def rows(port: int, judge: str, count: int, times: int) -> None:
    """Rounds of all three, one after the other, on the same rows; the best time of each counts."""
    given = [json.loads(line) for line in EXAMPLES.open()]
    read = [given[number % len(given)] for number in range(count)]
    criterion = Criterion.model_validate({"question": QUESTION, "scale": "yes/no"})
    shown = {"needs": ("instruction", "response", "context"), "uses": ()}
    criterion = criterion.model_copy(update=shown)
    best = {"judge": float("inf"), "serve": float("inf"), "llama.cpp": float("inf")}
    answers: dict[str, Any] = {}
    for turn in range(times):
        # Another context each time, so that nothing is found in a cache, and no two rows share one.
        samples = [
            Sample(
                **{k: row[k] for k in ("instruction", "response")},
                context=f"{turn}.{number}: {row['context']}",
            )
            for number, row in enumerate(read)
        ]
        with Judge(judge, mode="verdict") as opened:
            opened.prompt(samples[0], criterion)
            chats = [chat_of(opened, sample, criterion) for sample in samples]
            began = time.perf_counter()
            answers["judge"] = sum(1 for _ in opened.judge(samples, criterion))
            best["judge"] = min(best["judge"], time.perf_counter() - began)
        command = [sys.executable, "-m", "mene", "serve", "--judge", judge, "--port", str(port)]
        with subprocess.Popen(command) as process:
            try:
                asyncio.run(until_ready(port))
                bodies = [
                    body_of(sample.model_dump(), x_mene={"template": "prefix"})
                    for sample in samples
                ]
                whole, _ = asyncio.run(clients(port, 64, bodies))
                best["serve"] = min(best["serve"], whole)
            finally:
                process.terminate()
        command = [sys.executable, __file__, "llama", "--port", str(port), "--judge", judge]
        with subprocess.Popen(command) as process:
            try:
                asyncio.run(until_ready(port, "/health"))
                whole, _ = asyncio.run(clients(port, 64, chats, "/v1/chat/completions"))
                best["llama.cpp"] = min(best["llama.cpp"], whole)
            finally:
                process.kill()
    for name, seconds in best.items():
        print(f"{name:10}{len(read) / seconds:9.2f} judgements/s")
    for other in ("judge", "llama.cpp"):
        ratio = best[other] / best["serve"]
        print(f"serve / {other} {ratio:.3f}, {len(read)} rows, best of {times}")


def chat_of(judge: Judge, sample: Sample, criterion: Criterion) -> bytes:
    """What a plain client sends for a label: the same prompt, a few tokens, and their probabilities."""
    [request] = judge.ask(sample, criterion).requests
    messages = [message._asdict() for message in request.messages]
    how = {"max_tokens": 5, "temperature": 0, "logprobs": True, "top_logprobs": 10}
    return json.dumps({"messages": messages, **how}).encode()


def serve_llama(port: int, judge: str) -> None:
    """llama.cpp's own server on a judge's weights, with the settings of its authors but for slots and threads."""
    import xllamacpp as module

    from mene.engines.cores import physical_cores
    from mene.judge.open import fetch
    from mene.judge.preset import load_preset

    xllamacpp: Any = module  # compiled, without type stubs
    preset = load_preset(judge)
    params = xllamacpp.CommonParams()
    params.model.path = str(fetch(preset))
    if preset.adapter:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(preset.adapter), 1.0)]
    params.n_parallel = 8
    params.n_ctx = 4096 * params.n_parallel
    params.n_threads_http = 72  # a thread for each client
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = physical_cores()
    params.verbosity = -1
    params.port = port
    running = xllamacpp.Server(params)
    print(f"llama.cpp at {running.listening_address}", file=sys.stderr)
    time.sleep(3600)  # until it is killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("instant", "rows", "server", "bare", "llama"))
    parser.add_argument("--port", type=int, default=18200)
    parser.add_argument("--requests", type=int, default=5000, help="at each number of clients")
    parser.add_argument("--long", type=int, default=0, help="requests for memory, e.g. 100000")
    parser.add_argument("--delay", type=float, default=0.0, help="of server: seconds an answer")
    parser.add_argument("--cache", type=Path, help="of server: as of `mene serve`")
    parser.add_argument("--queue", type=int, default=1024, help="of server: as of `mene serve`")
    parser.add_argument(
        "--any-model", action="store_true", help="of server: every name is the judge's"
    )
    parser.add_argument("--judge", default="nano")
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--times", type=int, default=2)
    given = parser.parse_args()
    if given.part == "server":
        sys.exit(serve_instant(given.port, given.delay, given.cache, given.queue, given.any_model))
    if given.part == "bare":
        sys.exit(serve_bare(given.port))
    if given.part == "llama":
        serve_llama(given.port, given.judge)
    elif given.part == "instant":
        instant(given.port, given.requests, given.long)
    else:
        rows(given.port, given.judge, given.rows, given.times)


if __name__ == "__main__":
    main()
