"""llama.cpp's server: the wheel's, inside this process, or a compiled one beside it. Both are spoken to over HTTP."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SLOTS = 8
CONTEXT = 8192  # tokens of all slots together: they share one cache


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"xllamacpp": version("xllamacpp")}


def open_engine(job: dict[str, Any]) -> Server:
    return Server(job)


class Server:
    def __init__(self, job: dict[str, Any]) -> None:
        gguf = next(Path(job["model"]).glob("*.gguf"))
        wanted = job["settings"].get("server")
        self.child = None
        self.held: Any = None
        if wanted:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            command = [
                Path(job["work"]) / wanted,
                "-m",
                gguf,
                "-c",
                CONTEXT,
                "-np",
                SLOTS,
                "-t",
                job["threads"],
            ]
            command += [
                "-tb",
                job["threads"],
                "--kv-unified",
                "--port",
                port,
                "--cache-ram",
                0,
                "--no-warmup",
            ]
            quiet = subprocess.DEVNULL
            self.child = subprocess.Popen(list(map(str, command)), stdout=quiet, stderr=quiet)
            self.address = f"http://127.0.0.1:{port}"
        else:
            import xllamacpp as module

            xllamacpp: Any = module
            params = xllamacpp.CommonParams()
            params.model.path = str(gguf)
            params.n_ctx, params.n_parallel, params.kv_unified = CONTEXT, SLOTS, True
            params.cpuparams.n_threads = params.cpuparams_batch.n_threads = job["threads"]
            params.cache_ram_mib, params.warmup, params.verbosity, params.port = 0, False, -1, 0
            self.held = xllamacpp.Server(params)
            self.address = self.held.listening_address
        self.ready()

    def ready(self) -> None:
        for _ in range(1200):
            try:
                with urllib.request.urlopen(self.address + "/health") as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError):
                pass
            if self.child and self.child.poll() is not None:
                raise RuntimeError(f"the server ended with {self.child.returncode}")
            time.sleep(0.05)
        raise RuntimeError("the server did not start in 60 seconds")

    def ask(
        self, prompt: list[int], slot: int = 0, tokens: int = 1, reuse: bool = False, **more: Any
    ) -> Any:
        body = {"prompt": prompt, "n_predict": tokens, "id_slot": slot, "cache_prompt": reuse}
        body |= {"temperature": 0, "ignore_eos": True, **more}
        request = urllib.request.Request(
            self.address + "/completion",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def read(self, prompt: list[int]) -> None:
        self.ask(prompt)

    def share(self, prefix: list[int], tails: list[list[int]]) -> None:
        # One slot, one after the other: what a slot holds is reused as far as it agrees.
        self.ask(prefix + tails[0])
        for tail in tails[1:]:
            self.ask(prefix + tail, reuse=True)

    def write(self, prompt: list[int], count: int, tokens: int) -> float:
        for slot in range(count):
            self.ask(prompt, slot)
        with ThreadPoolExecutor(count) as pool:
            begun = time.perf_counter()
            # One token of the prompt is read again: `tokens` steps in all.
            list(pool.map(lambda slot: self.ask(prompt, slot, tokens, reuse=True), range(count)))
            return time.perf_counter() - begun

    def difference(self, prompt: list[int], yes: int, no: int, before: int) -> float:
        from math import log

        # Lifted far above all others, the two share all the probability, as a softmax of their own logits.
        if before:
            self.ask(prompt[:before])
        more = {"logit_bias": [[yes, 1000], [no, 1000]], "n_probs": 2, "post_sampling_probs": True}
        answer = self.ask(
            prompt, reuse=bool(before), samplers=["temperature"], **{**more, "temperature": 1.0}
        )
        found = {p["id"]: p["prob"] for p in answer["completion_probabilities"][0]["top_probs"]}
        return log(max(found.get(yes, 0.0), 1e-9)) - log(max(found.get(no, 0.0), 1e-9))

    def close(self) -> None:
        if self.child:
            self.child.terminate()
            self.child.wait()


def system_info() -> str:
    """The instruction sets that the wheel's llama.cpp was built for."""
    import xllamacpp as module

    xllamacpp: Any = module
    return " ".join(re.findall(r"(\w+) = 1", xllamacpp.get_system_info()))
