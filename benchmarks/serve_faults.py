"""What `mene serve` does when things go wrong, each tried with a real process, over an engine that answers at once.

    python benchmarks/serve_faults.py                            all but the last two
    python benchmarks/serve_faults.py crowd client kill slow long disk
    python benchmarks/serve_faults.py changed --times 10000      valid bodies, changed somewhere
    python benchmarks/serve_faults.py fuzz --times 10000         bodies by schemathesis (a program of its own) from our OpenAPI

crowd   1,000 clients at once, a queue of 256: each gets a verdict, at the latest when it comes back as 429 told it
client  clients that are killed, or say nothing more, in the middle of a request: their places are free again
kill    the server is killed (SIGKILL) at work and started again: what was answered is in its cache
slow    clients that read a byte a second, while others ask
long    bodies of 100 MB, with their length said and without: refused, and memory stays as it is
disk    a cache on a disk that fills up (needs root, for a tmpfs of 1 MB): answers go on
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from serve import EXAMPLES, body_of, memory, until_ready

PORT = int(os.environ.get("PORT", "18210"))
ROWS = [json.loads(line) for line in EXAMPLES.open(encoding="utf-8")]
USUAL: dict[str, dict[str, Any]] = {
    "/v1/judge": {"samples": [{"response": "Hi.", "context": "A shop."}, "Thanks."], "criteria": ["faithfulness", {
        "question": "Is it polite?", "scale": "1-3", "labels": {"1": "no", "2": "so so", "3": "yes"}}], "explain": True,
        "mode": "verdict", "draws": 1, "seed": 1, "abstain": False, "temperature": 0.5},
    "/v1/prompt": {"sample": {"response_a": "Hi.", "response_b": "Ho.", "instruction": "Greet."}, "criterion": "preference"},
    "/v1/systemone": {"model": "jev-latest", "state": {"test_case": {"actual_output": "Hi.", "retrieval_context": ["A", "B"]}},
        "questions": {"a": {"type": "noul", "instructions": {"q": "Is it?"}, "criteria": {"true": "so", "false": None}},
            "b": {"type": "choice", "instructions": "Which?", "criteria": {"x": None, "y y": ["z"]}},
            "c": {"type": "score", "criteria": ["bad", {"good": 1}, "better"]}}, "x_mene": {"critique": True}},
    "/v1/decisions": {"model": "nano", "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi."}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}], "questions": [
            {"type": "predicate", "instructions": "Is it?", "name": "p"},
            {"type": "choice", "instructions": "Which?", "choices": [{"value": True}, {"value": "true", "description": "d"}]},
            {"type": "score", "instructions": "How?", "levels": [{"label": "low"}, {"label": "high", "description": "h"}]}]},
    "/v1/chat/completions": {"model": "nano", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user",
        "content": [{"type": "text", "text": "Hi."}]}], "temperature": 0.5, "top_p": 0.9, "max_tokens": 9, "n": 2, "seed": 7,
        "stop": ["x"], "logprobs": True, "top_logprobs": 2, "stream": True, "stream_options": {"include_usage": True},
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object", "properties": {
            "a": {"type": "array", "items": {"$ref": "#/$defs/A"}}}, "$defs": {"A": {"enum": ["x", 1, None]}}}}}},
    "/v1/eval": {"model_id": "atla-selene", "model_input": "Hi?", "model_output": "Hi.", "evaluation_criteria":
        "Is it polite? Your score should be an integer between 1 and 5.\nScore 1: no.\nScore 5: yes.", "few_shot_examples": [
            {"model_input": "a", "model_output": "b", "score": "3", "critique": "c"}], "prompt_version": 1},
    "/v1/metrics": {"name": "tone", "metric_type": "binary", "description": "Is it?", "required_fields": ["model_input"]},
    "/playground/sample": {"row": {"messages": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hi."}]}},
    "/mcp": {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "evaluate_llm_response", "arguments": {
        "evaluation_criteria": "Is it polite? Answer yes or no.", "llm_prompt": "Hi?", "llm_response": "Hi."}}},
}  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -0.0, 1e308, 0.5, "", " ", "\n", "\0", "a", "🙂", "\u202e", "x" * 5000,
    "{{1}}", "{% raw", "<|im_end|>", "nano", "1-5", "A", "%s", "../../etc/passwd", "file:///etc/passwd", [], [[]], {}, {"": None},
    {"a": {}}, [None], ["a"] * 300, {str(i): None for i in range(300)}, {"type": "noul"}, {"$ref": "#"}, {"$ref": "#/a/b"},
    "\ud800", float("nan"), float("inf"),
)  # fmt: skip


@contextmanager
def server(*more: str, port: int = PORT) -> Iterator[subprocess.Popen[bytes]]:
    """The server, over an engine that answers at once; ended in the end."""
    command = [sys.executable, str(Path(__file__).with_name("serve.py")), "server"]
    with subprocess.Popen([*command, "--port", str(port), *more]) as process:
        try:
            asyncio.run(until_ready(port))
            yield process
        finally:
            process.terminate()
            process.wait(20)


async def post(
    body: bytes, path: str = "/v1/systemone", port: int = PORT
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer, on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head(path, len(body)) + body)
        return await read(reader)
    finally:
        writer.close()


def head(path: str, length: int) -> bytes:
    more = "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{more}\r\n".encode()


async def read(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), headers, await reader.read()


async def get(path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    _, _, found = await read(reader)
    writer.close()
    return found.decode()


async def counted(name: str) -> float:
    """A figure of /metrics, the sum over its labels."""
    found = re.findall(rf"^{name}{{.*}} (\S+)$", await get("/metrics"), re.MULTILINE)
    return sum(map(float, found))


async def idle(seconds: float = 10.0) -> bool:
    """Does the server come to have nothing to do?"""
    for _ in range(int(seconds * 20)):
        if not await counted("mene_waiting") + await counted("mene_running"):
            return True
        await asyncio.sleep(0.05)
    return False


def asking(number: int) -> bytes:
    row = ROWS[number % len(ROWS)]
    return body_of({**row, "instruction": f"{number} {row['instruction']}"})


def crowd() -> str:
    async def one(number: int, seen: Counter[int]) -> None:
        for _ in range(60):
            status, headers, _ = await post(asking(number))
            seen[status] += 1
            if status != 429:
                return
            await asyncio.sleep(float(headers["retry-after-ms"]) / 1e3)

    async def all_of_them() -> Counter[int]:
        seen = Counter[int]()
        await asyncio.gather(*(one(number, seen) for number in range(1000)))
        assert await idle()
        return seen

    with server("--delay", "0.002", "--queue", "256"):
        seen = asyncio.run(all_of_them())
    assert seen[200] == 1000 and set(seen) <= {200, 429}, seen
    return f"1,000 clients: {seen[200]} verdicts; 429 was said {seen[429]} times"


def client() -> str:
    script = """
import socket, sys, time
line = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
line.sendall(sys.stdin.buffer.read())
print("sent", flush=True)
time.sleep(60)"""

    async def test() -> float:
        body = json.dumps({"samples": [f"{i}" for i in range(300)], "criterion": "Is it polite?"})
        whole = head("/v1/judge", len(body)) + body.encode()
        for sent in (
            whole,
            whole[:-200],
        ):  # one that waits for its answer, one whose body never ends
            command = [sys.executable, "-c", script, str(PORT)]
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as process:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write(sent)
                process.stdin.close()
                process.stdout.readline()
                if sent is whole:
                    while not await counted("mene_running"):
                        await asyncio.sleep(0.02)
                process.kill()
        began = time.perf_counter()
        assert await idle(5)
        status, _, _ = await post(asking(1))
        assert status == 200
        return time.perf_counter() - began

    with server("--delay", "0.1"):
        seconds = asyncio.run(test())
    return f"client killed with 300 judgements of 0.1 s under way: its places were free {seconds:.1f} s later"


def kill() -> str:
    async def ask(numbers: range, port: int) -> list[int]:
        statuses = list[int]()
        for number in numbers:
            with suppress(OSError, asyncio.IncompleteReadError):
                statuses.append((await post(asking(number), port=port))[0])
        return statuses

    with tempfile.TemporaryDirectory() as folder:
        kept = "--cache", f"{folder}/cache.sqlite"

        async def until_killed(process: Any) -> int:
            work = [asyncio.create_task(ask(range(n, 2000, 8), PORT)) for n in range(8)]
            await asyncio.sleep(1.5)
            process.send_signal(signal.SIGKILL)
            return sum(len(one) for one in await asyncio.gather(*work))

        with server(*kept) as process:
            answered = asyncio.run(until_killed(process))
        with server(*kept):
            # Every client asked its numbers in order: those up to the least that was answered were.
            again = range(answered - 8 * 8)
            statuses = asyncio.run(ask(again, PORT))
            spared = asyncio.run(spared_ones())
    assert set(statuses) == {200}
    return f"killed after {answered} answers; of {len(again)} asked again {spared:.0f} came from the cache"


async def spared_ones() -> float:
    page = await get("/metrics")
    found = re.search(r'mene_verdicts_total{.*outcome="spared".*} (\S+)', page)
    return float(found[1]) if found else 0.0


def slow() -> str:
    async def test() -> tuple[int, float, float]:
        body = {
            "samples": [f"{i} " + "x" * 400 for i in range(500)],
            "criterion": "Is it polite?",
            "stream": True,
        }
        bodies = [json.dumps({**body, "seed": n}).encode() for n in range(32)]
        readers = list[tuple[socket.socket, bytes]]()
        for data in bodies:
            line = socket.create_connection(("127.0.0.1", PORT))
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            line.sendall(head("/v1/judge", len(data)) + data)
            readers.append((line, data))
        each = list[float]()
        for number in range(50):
            for line, _ in readers:
                line.recv(1)
            began = time.perf_counter()
            status, _, _ = await post(asking(number))
            assert status == 200
            each.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)
        for line, _ in readers:
            line.close()
        assert await idle()
        return len(readers), sorted(each)[len(each) // 2] * 1e3, max(each) * 1e3

    with server("--queue", "100000") as process:
        before = memory(process.pid)
        count, median, most = asyncio.run(test())
        grown = memory(process.pid) - before
    others = f"others had answers in {median:.0f} ms (at most {most:.0f})"
    return f"{count} clients that read a byte at a time: {others}; memory grew by {grown:.0f} MB"


def long() -> str:
    async def send(length: int, chunked: bool) -> tuple[int, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {length}"
        writer.write(f"POST /v1/judge HTTP/1.1\r\nHost: localhost\r\n{how}\r\n\r\n".encode())
        part, sent = b'"' + b"x" * 65535, 0
        answer = asyncio.create_task(read(reader))
        with suppress(OSError):
            while sent < length and not answer.done():
                writer.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
                await writer.drain()
                await asyncio.sleep(0)
                sent += len(part)
        status, _, _ = await asyncio.wait_for(answer, 20)
        writer.close()
        return status, sent

    with server() as process:
        before = memory(process.pid)
        found = [asyncio.run(send(100_000_000, chunked)) for chunked in (False, True, False, True)]
        grown = memory(process.pid) - before
        assert asyncio.run(post(asking(1)))[0] == 200
    assert {status for status, _ in found} == {413}, found
    taken = ", ".join(f"{sent / 1e6:.1f}" for _, sent in found)
    return f"bodies of 100 MB: all 413, after {taken} MB; memory grew by {grown:.0f} MB"


def disk() -> str:
    if os.geteuid():
        return "a full disk: needs root, for a tmpfs"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
        try:

            async def ask(numbers: range) -> Counter[int]:
                return Counter([(await post(asking(number)))[0] for number in numbers])

            with server("--cache", f"{folder}/cache.sqlite"):
                full = asyncio.run(ask(range(3000)))
                again = asyncio.run(ask(range(50)))
                spared = asyncio.run(spared_ones())
            with server("--cache", f"{folder}/cache.sqlite"):
                after = asyncio.run(ask(range(50)))
                later = asyncio.run(spared_ones())
        finally:
            subprocess.run(["umount", folder], check=True)
    assert set(full) == set(again) == set(after) == {200}
    told = f"{spared:.0f} and, after a new start, {later:.0f} of 50 from the cache"
    return f"a full disk under the cache: {full[200]} answers of 3,000; {told}"


def changed(times: int, seed: int) -> str:
    """Valid bodies in which some values are put in place of others, keys are missing, doubled or new."""
    chance = random.Random(seed)

    def spots(value: Any) -> list[tuple[Any, Any]]:
        found = list[tuple[Any, Any]]()
        keys = (
            value
            if isinstance(value, dict)
            else range(len(value))
            if isinstance(value, list)
            else ()
        )
        for key in keys:
            found += [(value, key), *spots(value[key])]
        return found

    def one() -> tuple[str, bytes]:
        path = chance.choice(list(USUAL))
        body = json.loads(json.dumps(USUAL[path]))
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            holder, key = chance.choice(spots(body) or [(body, "x")])
            how = chance.random()
            if how < 0.7:
                holder[key] = deepcopy(chance.choice(ODD))
            elif how < 0.85:
                _, other = chance.choice(spots(USUAL[chance.choice(list(USUAL))]))
                values = [v for h, k in spots(body) if k == other for v in [h[k]]]
                holder[key] = json.loads(json.dumps(chance.choice(values or [other])))
            elif isinstance(holder, dict):
                holder.pop(key, None)
            else:
                holder *= 3
        data = json.dumps(body, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
        if chance.random() < 0.05:
            cut = chance.randrange(len(data) + 1)
            data = chance.choice(
                (data[:cut], data[:cut] + b"\xff" + data[cut:], data + data, b"[" * 5000)
            )
        return path, data

    def no_number(name: str) -> None:
        raise ValueError(name)

    async def ask(bodies: Iterator[tuple[str, bytes]], seen: Counter[int], bad: list[Any]) -> None:
        for path, data in bodies:
            status, _, found = await post(data, path)
            seen[status] += 1
            if status >= 500:
                bad.append((status, path, data[:2000], found[:300]))
            try:
                json.loads(found if found[:1] == b"{" else b"{}", parse_constant=no_number)
            except ValueError:
                bad.append((status, path, data[:2000], b"no JSON: " + found[:300]))

    async def all_of_them() -> tuple[Counter[int], list[Any]]:
        bodies, seen, bad = iter([one() for _ in range(times)]), Counter[int](), list[Any]()
        await asyncio.gather(*(ask(bodies, seen, bad) for _ in range(8)))
        assert await idle()
        return seen, bad

    with server():
        seen, bad = asyncio.run(all_of_them())
    for one_bad in bad[:10]:
        print(*one_bad, sep="\n  ")
    told = ", ".join(f"{count} × {status}" for status, count in sorted(seen.items()))
    assert not bad, f"{len(bad)} of {times}: {told}"
    return f"{times} changed bodies (seed {seed}): {told}"


def fuzz(times: int, seed: int, program: str) -> str:
    """Bodies by schemathesis. Any model name means the judge here, or nearly all would be 404."""
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    with server("--any-model"):
        document = json.loads(asyncio.run(get("/openapi.json")))
        taking = sum(
            "requestBody" in one for ways in document["paths"].values() for one in ways.values()
        )
        command = [program, "run", f"http://localhost:{PORT}/openapi.json", "--checks", checks, "--max-examples",
            str(-(-times // taking)), "--mode", "all", "--phases", "coverage,fuzzing", "--seed", str(seed), "--no-shrink",
            "--continue-on-failure", "--warnings", "off", "--suppress-health-check", "all"]  # fmt: skip
        ended = subprocess.run(command, cwd=tempfile.gettempdir(), check=False).returncode
        page = asyncio.run(get("/metrics"))
    seen = Counter[str]()
    counts = r'^mene_requests_total{route="(.*)",status="(\d+)"} (\S+)$'
    for route, status, count in re.findall(counts, page, re.MULTILINE):
        if route != "/readyz":  # which said 503 until the judge was there
            seen[status] += int(float(count))
    told = ", ".join(f"{count} × {status}" for status, count in sorted(seen.items()))
    assert not ended and not any(status >= "500" for status in seen), told
    return f"{sum(seen.values())} requests by schemathesis: {told}"


PARTS = {one.__name__: one for one in (crowd, client, kill, slow, long, disk)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", choices=(*PARTS, "changed", "fuzz"), default=list(PARTS)
    )
    parser.add_argument("--times", type=int, default=10_000, help="bodies of changed and fuzz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--schemathesis", default="schemathesis", help="the program")
    given = parser.parse_args()
    for part in given.parts:
        if part == "changed":
            print(part, changed(given.times, given.seed), sep="\t", flush=True)
        elif part == "fuzz":
            print(part, fuzz(given.times, given.seed, given.schemathesis), sep="\t", flush=True)
        else:
            print(part, PARTS[part](), sep="\t", flush=True)


if __name__ == "__main__":
    main()
