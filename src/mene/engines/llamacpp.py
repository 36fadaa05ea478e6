"""The embedded llama.cpp engine, on the package ``xllamacpp``.

One process, one model, one thread pool. A request is sent to a fixed slot (a slot is one sequence
with its own KV cache), so that this file decides what every slot has in its cache. The part of the prompts
that all requests share is computed once and copied to the other slots.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# llama.cpp's threads wait for one another some hundred times a batch. Spinning there for long, as is the
# default, makes a run ten times slower when any other program wants a core; this is set before
# the library is loaded, and costs nothing on an idle machine.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import xllamacpp as _xllamacpp

from mene.engines.answer import closed
from mene.engines.base import Completion, Request
from mene.engines.gguf_header import check_adapter, read_header
from mene.engines.labels import LabelPaths, label_paths
from mene.engines.pump import pump
from mene.engines.steps import RESERVE, judgement, overflow
from mene.errors import EngineError, MeneError, ModelError
from mene.verdict import Usage
from mene.weights.cache import file_identity

xllamacpp: Any = _xllamacpp  # a compiled module without type stubs

# Tokens that llama.cpp reads at once (its default).
MICRO_BATCH = 512
# Fewest tokens read at once that round like any other number of them, on a CPU; see `_read_evenly`.
EVEN_FLASH, EVEN_PLAIN = 64, 2
# A shared start shorter than this (characters) is not worth copying between slots.
SHARED_MIN = 200


class LlamaCppEngine:
    """Runs a GGUF model inside this process.

    Args:
        path: the GGUF file.
        adapter: a LoRA adapter as GGUF.
        slots: sequences worked on at once; fewer are used where memory is short. One is fastest
            for verdicts (a prompt alone keeps a CPU busy), several for critiques.
        context: tokens per prompt and answer; default: what the model was trained on, at most 8192.
        threads: default: one per physical core.
        gpu_layers: layers to put on a GPU, if this build of xllamacpp has one; -1 = all.

    Raises:
        ModelError: the file is missing, damaged or not loadable.
    """

    def __init__(
        self,
        path: Path,
        *,
        adapter: Path | None = None,
        slots: int = 1,
        context: int | None = None,
        threads: int | None = None,
        gpu_layers: int = -1,
    ) -> None:
        header = read_header(path)
        self.control_tokens = header.control_tokens
        self.context: int | None = min(context or 8192, header.context)
        self.slots = _affordable_slots(slots, self.context * header.kv_values_per_token * 2)
        self.identity = "llamacpp:" + file_identity(path)
        if adapter is not None:
            check_adapter(adapter)
            self.identity += "+" + file_identity(adapter)
        self._shared = tempfile.TemporaryDirectory(prefix="mene-")
        self._key = secrets.token_hex(16)
        self._paths: dict[tuple[str, tuple[str, ...]], LabelPaths] = {}
        self._local = threading.local()
        # Slot -> the tokens in its cache that were read evenly.
        self._cached: dict[int, list[int]] = {}
        self._owed = Usage()  # tokens of the shared start; the next verdict carries them
        self._server: Any = self._start(path, adapter, threads or physical_cores(), gpu_layers)

    def _start(self, path: Path, adapter: Path | None, threads: int, gpu_layers: int) -> Any:
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = (self.context or 0) * self.slots
        params.n_parallel = self.slots
        params.kv_unified = False  # a slot then attends over its own tokens only
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        params.n_gpu_layers = gpu_layers
        # With flash attention a CPU reads prompts 1.4 times as fast, but a small batch rounds differently
        # (seen: 0.59 or 0.63 for the same label). With one slot `_read_evenly` sees to that. With
        # several, what is read and written together changes all the time, so it is off.
        self._even = EVEN_FLASH
        if self.slots > 1 and not _has_gpu():
            params.flash_attn_type = xllamacpp.llama_flash_attn_type(0)
            self._even = EVEN_PLAIN
        params.n_ubatch = MICRO_BATCH
        params.cache_ram_mib = 0  # slots are pinned; the server's own prompt cache would only copy
        params.slot_save_path = self._shared.name + os.sep
        params.warmup = False
        params.verbosity = -1
        # The tokeniser and the chat template are only reachable over the server's HTTP side. It
        # listens on a free port of the loopback interface and asks for a key nobody else knows.
        params.port = 0
        params.api_keys = [self._key]
        params.n_threads_http = 2
        params.ui = False
        if adapter is not None:
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
        # llama.cpp takes SIGINT and SIGTERM for itself when it starts; give them back. It starts in
        # another thread: one request shows that it has begun, before which it cannot be stopped either.
        main = threading.current_thread() is threading.main_thread()
        handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)} if main else {}
        try:
            server = xllamacpp.Server(params)
            server.handle_completions({"prompt": [0], "n_predict": 0, "id_slot": 0})
            return server
        except RuntimeError as error:
            raise ModelError(
                f"{path}: llama.cpp cannot load this model ({error}); check the file, "
                "or download it again with `mene pull`"
            ) from None
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def run(self, requests: Iterable[Request | None]) -> Iterator[Completion]:
        """See ``Engine.run``. One thread per slot; they spend their time inside llama.cpp."""
        requests = iter(requests)
        # The first requests show what all have in common; see `_share`.
        first: list[Request | None] = []
        if self.slots > 1:
            first = list(islice(takewhile(lambda r: r is not None, requests), self.slots + 1))
            prompts = [self.prompt(r) for r in first if r is not None]
            if len(prompts) > 1:
                self._share(prompts)
            first.append(None)
        stopped = threading.Event()
        free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(self.slots):
            free.put(slot)

        def work(request: Request, text: str) -> Completion:
            slot = free.get()
            try:
                if stopped.is_set():
                    raise EngineError("stopped")
                return self._judge(request, text, slot)
            finally:
                free.put(slot)

        pool = ThreadPoolExecutor(self.slots, thread_name_prefix="mene-llamacpp")
        try:
            # One request beyond the slots is kept ready, so that no slot waits for Python.
            yield from pump(
                chain(first, requests),
                lambda request: pool.submit(work, request, self.prompt(request)),
                ahead=self.slots + 1,
            )
        finally:
            stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _share(self, prompts: list[str]) -> None:
        """Compute the start that all ``prompts`` share once and copy its KV cache to every slot."""
        low, high = min(prompts), max(prompts)
        length = next(
            (i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low)
        )
        shared = low[:length]
        if len(shared) < SHARED_MIN:
            return
        tokens = self._tokenize(shared, special=True)
        self._owed += Usage(prompt_tokens=self._fill(tokens, 0, reuse=False))
        self._post("/slots/0?action=save", {"filename": "shared"})
        for slot in range(1, self.slots):
            self._post(f"/slots/{slot}?action=restore", {"filename": "shared"})
        self._cached = dict.fromkeys(range(self.slots), tokens)

    def _judge(self, request: Request, text: str, slot: int) -> Completion:
        start = time.perf_counter()
        done = Completion(request.index)
        done.usage, self._owed = self._owed, Usage()
        try:
            paths = self._label_paths(request.cue, request.labels)
            steps = judgement(request, text, paths, self._room(request, text), done)
            answer = self._read_evenly(next(steps), slot)
            while True:
                answer = self._complete(steps.send(answer), slot)
        except StopIteration:
            pass
        except MeneError as error:
            done.error = error
        done.latency_s = time.perf_counter() - start
        return done

    def _room(self, request: Request, text: str) -> int:
        """Tokens that the critique may have, so that the label still fits behind it."""
        limit = self.context or 0
        wanted = request.critique_tokens
        if (
            not wanted or len(text.encode()) + wanted + RESERVE <= limit
        ):  # a token has 1 byte or more
            return wanted
        length = self.count(request)
        if length + RESERVE >= limit:
            raise overflow(length, limit)
        return min(wanted, limit - length - RESERVE)

    def _read_evenly(self, body: dict[str, Any], slot: int) -> dict[str, Any]:
        """``_complete`` for a whole prompt, so that its verdict does not depend on what is cached.

        llama.cpp takes other kernels for a batch of few tokens, and these round differently: under 64
        tokens with flash attention, a single one without. So the prompt is read in batches that are never
        as small, for which a few tokens of what is cached may be read again.
        """
        text, *rest = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        tokens = self._tokenize(text, special=True) + rest
        cached = min(_common(self._cached.get(slot, []), tokens), len(tokens) - 1)
        tail = (len(tokens) - cached) % MICRO_BATCH
        extra = 0
        if 0 < tail < self._even <= len(tokens):
            if len(tokens) - cached > MICRO_BATCH:
                extra = self._fill(tokens[: -MICRO_BATCH // 2], slot, reuse=cached > 0)
            else:
                # A token that does not belong there makes llama.cpp forget what came behind.
                cached = len(tokens) - self._even
                wrong = 1 if tokens[cached] == 0 else 0
                extra = self._fill([*tokens[:cached], wrong], slot, reuse=True)
        answer = self._complete({**body, "prompt": tokens, "cache_prompt": cached > 0}, slot)
        known = "usage" in answer and len(tokens) >= self._even
        self._cached[slot] = tokens if known else []
        if extra and "usage" in answer:
            answer["usage"]["prompt_tokens_details"]["cached_tokens"] -= extra
        return answer

    def _fill(self, tokens: list[int], slot: int, *, reuse: bool) -> int:
        """Bring ``tokens`` into the cache of ``slot``; how many had to be read."""
        body = {"prompt": tokens, "n_predict": 0, "cache_prompt": reuse}
        return self._complete(body, slot).get("timings", {}).get("prompt_n", 0)

    def _complete(self, body: dict[str, Any], slot: int) -> dict[str, Any]:
        try:
            return self._server.handle_completions({**body, "id_slot": slot})
        except RuntimeError as error:
            raise EngineError(f"llama.cpp refused the request: {error}") from None

    def _label_paths(self, cue: str, labels: tuple[str, ...]) -> LabelPaths:
        key = (cue, labels)
        if key not in self._paths:
            self._paths[key] = label_paths(self._tokenize, cue, labels)
        return self._paths[key]

    def _tokenize(self, text: str, special: bool = False) -> list[int]:
        """Token ids; ``special``: of a prompt, with begin-of-text, and control tokens recognised."""
        body = {"content": text, "add_special": special, "parse_special": special}
        return self._post("/tokenize", body)["tokens"]

    def prompt(self, request: Request) -> str:
        """The text the model reads, up to where it writes (critique) or chooses (verdict)."""
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        text = closed(self._post("/apply-template", {"messages": messages})["prompt"])
        return text + request.opening if request.critique_tokens else text

    def count(self, request: Request) -> int:
        """Tokens of ``prompt(request)``, begin-of-text included."""
        return len(self._tokenize(self.prompt(request), special=True))

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One call to the server's HTTP side, over a connection kept by each thread."""
        payload = json.dumps(body).encode()
        try:
            try:
                status, data = self._exchange(path, payload)
            except (OSError, http.client.HTTPException):
                # The server closes a connection that lay idle; ask again over a new one.
                status, data = self._exchange(path, payload)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EngineError(f"llama.cpp did not answer {path}: {error}") from None
        if status != 200:
            raise EngineError(f"llama.cpp refused {path}: {data.get('error', data)}")
        return data

    def _exchange(self, path: str, payload: bytes) -> tuple[int, dict[str, Any]]:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            address = urlsplit(self._server.listening_address)
            connection = http.client.HTTPConnection(
                address.hostname or "", address.port, timeout=60
            )
            self._local.connection = connection
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        try:
            connection.request("POST", path, payload, headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        except BaseException:
            connection.close()
            self._local.connection = None
            raise

    def close(self) -> None:
        """Free the model."""
        self._server = None
        self._shared.cleanup()


def _common(a: list[int], b: list[int]) -> int:
    """How many tokens at the start are the same."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def physical_cores() -> int:
    """Cores this process may use, hyper-threads counted once (they slow llama.cpp down)."""
    usable = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        shared = Path("/sys/devices/system/cpu/smt/active").read_text().strip() == "1"
    except OSError:
        shared = False
    return max(1, usable // 2 if shared else usable)


def _has_gpu() -> bool:
    kinds = {str(device["type"]) for device in xllamacpp.get_device_info()}
    return any("TYPE_GPU" in kind or "TYPE_IGPU" in kind for kind in kinds)


def _affordable_slots(wanted: int, bytes_per_slot: int) -> int:
    """Keep the KV cache under a quarter of the machine's memory."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, AttributeError, OSError):
        memory = 8 << 30
    return max(1, min(wanted, memory // 4 // max(bytes_per_slot, 1)))
