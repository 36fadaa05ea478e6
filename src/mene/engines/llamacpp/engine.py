"""The llama.cpp engine, on the package ``xllamacpp``.

The model is in a separate process (`process.py`), so that it can be stopped at any time. Every request goes to a chosen
slot (a sequence with its own KV cache), so that mene controls what each cache holds. `Turns` schedules the requests of all
threads.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any

from mene.engines.base import Completion, Message, Reading, Request
from mene.engines.cores import memory_size, physical_cores
from mene.engines.llamacpp.cache import (
    EVEN_FLASH,
    EVEN_PLAIN,
    MICRO_BATCH,
    Caches,
    group_of,
)
from mene.engines.llamacpp.process import Calls, Stopped
from mene.engines.llamacpp.restarted import CLOSED, Restarted
from mene.engines.llamacpp.shared_start import SharedStart
from mene.engines.llamacpp.texts import Texts
from mene.engines.llamacpp.told import pieces
from mene.engines.llamacpp.turns import Turn, Turns
from mene.engines.pump import pump
from mene.engines.steps import RESERVE, Heard, judgement, overflow
from mene.errors import EngineError, MeneError, ModelError
from mene.weights.gguf_header import context_of, gguf_identity, read_header

# Maximum number of sequences in llama.cpp (LLAMA_MAX_SEQ).
MOST = 256


class LlamaCppEngine:
    """Runs a GGUF model on this machine.

    Several threads may run requests, with the same verdicts as one thread. An engine belongs to the process that opened it.

    Args:
        path: the GGUF file.
        adapters: LoRA adapters as GGUF, as ``Request.adapter`` numbers them.
        slots: sequences processed at once; fewer where memory is short. One is fastest for verdicts (a single prompt keeps a
            CPU busy), several for critiques.
        writers: with one slot, number of texts without a label (``Request.choose`` is False) written at once, as far as the
            context holds them all.
        context: maximum number of tokens of prompt and answer; default: what the model was trained on, at most 8192.
        threads: default: one per physical core.
        gpu_layers: layers to put on a GPU, if xllamacpp was built with support for one; -1 = all.

    Raises:
        ModelError: the file is missing, damaged or not loadable.
    """

    def __init__(
        self,
        path: Path,
        *,
        adapters: Sequence[Path] = (),
        slots: int = 1,
        writers: int = 1,
        context: int | None = None,
        threads: int | None = None,
        gpu_layers: int = -1,
    ) -> None:
        header = read_header(path)
        self.control_tokens = header.control_tokens
        self.context: int | None = context_of(context, header.context)
        self.slots = _affordable_slots(
            min(slots, MOST), self.context * header.kv_values_per_token * 2
        )
        self.identity = gguf_identity("llamacpp", path, adapters)
        # Several slots have a context each, so that a token attends to its own row only. A single slot shares one context
        # with the writers, which run when no verdict is in progress.
        self._pooled = self.slots == 1
        sequences = min(max(self.slots, writers), MOST) if self._pooled else self.slots
        room = self.context if self._pooled else self.slots
        self._turns = Turns(sequences, room)
        self._sequences = sequences
        # For llama.cpp's temporary copies of the shared prefix.
        folder = Path(tempfile.gettempdir()) / f"mene-{secrets.token_hex(8)}"
        self._settings = {
            "model": str(path),
            "adapters": list(map(str, adapters)),
            "context": self.context * (1 if self._pooled else self.slots),
            "slots": sequences,
            "unified": self._pooled,
            "threads": threads or physical_cores(),
            "gpu_layers": gpu_layers,
            "micro_batch": MICRO_BATCH,
            "folder": str(folder) + os.sep,
            # With flash attention, a CPU reads prompts 1.4 times as fast, but small batches round differently (seen: 0.59 or
            # 0.63 for the same label). With one slot, `Caches.read` compensates. With several, the batches change all the time,
            # so it is off: Q8_0 weights then round the same in any batch, Q4_K_M and F16 nearly so
            # (docs/engines.md).
            "flash": self._pooled,
            "http_threads": sequences + 4,
        }
        try:
            self._process = Restarted(self._settings)
        except ModelError as error:
            beside = f" with {', '.join(map(str, adapters))}" if adapters else ""
            raise ModelError(f"{path}{beside}: llama.cpp cannot load this model: {error}") from None
        self._texts = Texts(header, self._process.alive)
        self._caches = Caches(
            folder,
            slots=sequences,
            even=EVEN_FLASH if self._process.alive().flash else EVEN_PLAIN,
            group=group_of(header.file_type) if self._pooled else 1,
            context=self.context,
        )
        self._process.on_restart = self._caches.clear
        self._adapters = range(len(adapters))
        self._shared = SharedStart(self._texts, self._caches, self._turns, self._lora, self._gone)

    @property
    def reading(self) -> Reading | None:
        """See ``reading_of``."""
        return self._caches.reading

    def run(
        self, requests: Iterable[Request | None], stop: threading.Event | None = None
    ) -> Generator[Completion, None, None]:
        """See ``Engine.run``. One thread per request in progress, which mostly waits for llama.cpp."""
        self._process.alive()
        requests = iter(requests)
        calls = self.calls()
        first: list[Request | None] = list(islice(requests, 1))
        texts = self._sequences > 1 and any(r is not None and not r.choose for r in first)
        if self.slots > 1 or texts:
            # The first requests show the common prefix; see `SharedStart`.
            rest = chain(first, requests)
            first = list(islice(takewhile(lambda r: r is not None, rest), self._sequences + 1))
            self._shared.read([r for r in first if r is not None], calls)
            first.append(None)

        def work(request: Request, text: str, future: Future[Completion]) -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(self._in_turn(request, text, calls))
            except BaseException as error:
                future.set_exception(error)

        def submit(request: Request) -> Future[Completion]:
            future: Future[Completion] = Future()
            try:
                text = self.prompt(request)
            except ModelError:
                raise
            except MeneError as error:
                future.set_result(Completion(request.index, error=error))
                return future
            # Daemon threads, so that the end of the program does not wait for them.
            threading.Thread(
                target=work, args=(request, text, future), daemon=True, name="mene-llamacpp"
            ).start()
            return future

        try:
            # Prepare one request more than there are slots, so that no slot waits for Python.
            yield from pump(chain(first, requests), submit, ahead=self._sequences + 1, stop=stop)
        finally:
            if self._process.is_ours:  # a fork's copy of this generator shares the connections
                calls.stop()
                self._turns.wake()

    def calls(self) -> Calls:
        """Return a handle for ``write``; ``give_up`` aborts the calls made with it."""
        return Calls(self._process.alive)

    def give_up(self, calls: Calls) -> None:
        """Abort all texts being written, or waiting to be, under this handle; they end with ``Stopped``."""
        calls.stop()
        self._turns.wake()

    def write(
        self, messages: Iterable[Message], body: dict[str, Any], calls: Calls
    ) -> Iterator[dict[str, Any]]:
        """Continue a chat; yield the pieces of llama.cpp's ``/completion`` for the parameters in ``body``.

        Adapters are disabled, since they were trained only to judge. No verdict is computed meanwhile, so none depends on the
        text
        written here.

        Raises:
            EngineError: the messages do not fit the chat template, or llama.cpp aborted.
            ModelError: the engine is closed.
        """
        text = self.prompt(Request(0, tuple(messages), (), "", ""))
        turn = self._turns.take(self._turns.room, lambda: self._gone(calls))
        if turn is None:
            raise ModelError(CLOSED) if self._process.closed else Stopped("stopped")
        try:
            lora = self._lora(None)
            yield from pieces({**body, **lora, "prompt": text, "id_slot": turn.slot}, calls)
        except EngineError:
            if self._process.closed:
                raise ModelError(CLOSED) from None
            raise
        finally:
            self._caches.lose(turn.slot)
            self._turns.give_back(turn)

    def _lora(self, used: int | None) -> dict[str, Any]:
        """Return the part of a request that chooses the adapter; empty for the first, which llama.cpp uses by itself."""
        if used == 0 or not self._adapters:
            return {}
        return {"lora": [{"id": one, "scale": float(one == used)} for one in self._adapters]}

    def _in_turn(self, request: Request, text: str, calls: Calls) -> Completion:
        """Judge when this request gets its turn."""
        need = self._turns.room if self._pooled else 1
        if self._pooled and request.critique_tokens and not request.choose:
            tokens = len(self._texts.tokens(text)) + request.critique_tokens + RESERVE
            need = tokens if 2 * tokens <= self._turns.room else need
        turn = self._turns.take(need, lambda: self._gone(calls))
        try:
            if turn is None:
                raise Stopped("stopped")
            return self._judge(request, text, turn, calls)
        except EngineError:
            if self._process.closed:
                raise ModelError(CLOSED) from None
            raise
        finally:
            if turn is not None:
                self._turns.give_back(turn)

    def _judge(self, request: Request, text: str, turn: Turn, calls: Calls) -> Completion:
        start = time.perf_counter()
        done = Completion(request.index)
        slot = turn.slot
        try:
            paths = self._texts.label_paths(request)
            critique = request.critique_tokens and request.hear
            heard = Heard(request, critique) if critique else None
            steps = judgement(request, text, paths, self._room(request, text), done, heard)
            beside = self._pooled and not turn.alone
            read = self._caches.read_beside_others if beside else self._caches.read
            lora = self._lora(request.adapter)
            answer = read({**next(steps), **lora}, slot, calls, heard.so_far if heard else None)
            while True:
                answer = self._caches.complete({**steps.send(answer), **lora}, slot, calls)
        except StopIteration:
            self._process.row_done()
        except (Stopped, ModelError):
            self._caches.lose(slot)
            raise
        except MeneError as error:
            self._caches.lose(slot)
            if self._process.closed:
                raise
            done.error = error
        done.usage.cached_tokens -= self._shared.owed(done.usage.cached_tokens)
        done.latency_s = time.perf_counter() - start
        return done

    def _room(self, request: Request, text: str) -> int:
        """Return the maximum number of tokens of the critique that leaves room for the label."""
        limit = self.context or 0
        wanted = request.critique_tokens
        if (
            not wanted or len(text.encode()) + wanted + RESERVE <= limit
        ):  # a token has at least 1 byte
            return wanted
        length = self.count(request)
        if length + RESERVE >= limit:
            raise overflow(length, limit)
        return min(wanted, limit - length - RESERVE)

    def prompt(self, request: Request) -> str:
        """Return the text that the model reads, up to where it writes (critique) or chooses (verdict)."""
        return self._texts.prompt(request)

    def count(self, request: Request) -> int:
        """Return the number of tokens of ``prompt(request)``, including begin-of-text."""
        return self._texts.count(request)

    def _gone(self, calls: Calls) -> bool:
        """Return whether nothing waits for these calls any more."""
        return calls.stopped or self._process.closed

    def close(self) -> None:
        """Free the model. Requests in progress end with an error."""
        self._process.close()
        if self._process.is_ours:
            self._turns.wake()


def _affordable_slots(wanted: int, bytes_per_slot: int) -> int:
    """Return the number of slots whose KV cache stays below a quarter of the memory of the machine or container."""
    memory = memory_size() or 8 << 30
    return max(1, min(wanted, memory // 4 // max(bytes_per_slot, 1)))
