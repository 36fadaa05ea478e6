"""The vLLM engine: offline batches on one machine with a GPU.

vLLM gets thousands of prompts at once, batches them, and caches shared prefixes. Label probabilities are exact: vLLM returns
the log-probabilities of the labels' own tokens (``logprob_token_ids``, normalised over the whole vocabulary, before any
restriction), one token deeper for labels of several tokens. ``allowed_token_ids`` restricts the choice to those tokens; a
grammar would choose the same label without its probability.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Sequence
from typing import Any

from mene.engines.base import Completion, LabelKey, Request
from mene.engines.hear import Hearing
from mene.engines.in_process.row import Row, fitted
from mene.engines.labels import LabelPaths, Path, label_paths
from mene.engines.steps import ends, up_to_end
from mene.engines.vllm.load import Model, load
from mene.errors import EngineError, MeneError, ModelError

WINDOW = 1024  # requests given to vLLM at once
MOST_TOKENS = 128  # maximum number of log-probabilities that vLLM returns at one place

Logs = dict[Path, dict[int, float]]


class VLLMEngine:
    """Runs a causal language model with vLLM.

    Args:
        model: a folder, or a model id of the Hugging Face hub.
        revision: branch, tag or commit on the hub.
        adapter: a LoRA adapter, folder or hub id; rank up to 512.
        dtype: number format; default: the model's.
        context: maximum number of tokens of prompt and answer; default: the model's, which may reserve much memory.
        rows: requests at once.
        loaded: an already loaded model, instead of ``model``.
        options: more arguments of ``vllm.LLM``: ``tensor_parallel_size``, ``gpu_memory_utilization``, …

    Raises:
        ModelError: vLLM is not installed, or cannot load the model.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        adapter: str | None = None,
        dtype: str | None = None,
        context: int | None = None,
        rows: int | None = None,
        loaded: Model | None = None,
        **options: Any,
    ) -> None:
        found = loaded or load(model, revision, adapter, dtype, context, **options)
        self._llm, self._texts, self._adapter = found
        self.identity = found.texts.identity
        self.context: int | None = found.texts.context
        self.control_tokens = found.texts.control_tokens
        self._rows = rows or WINDOW
        self._paths: dict[LabelKey, LabelPaths] = {}
        self._lock = threading.Lock()  # vLLM's offline engine is not thread-safe

    def run(
        self, requests: Iterable[Request | None], stop: threading.Event | None = None
    ) -> Generator[Completion, None, None]:
        """See ``Engine.run``. On ``stop``, vLLM still finishes the current window."""
        window: list[Request] = []
        for request in requests:
            if request is not None:
                window.append(request)
            if window and (request is None or len(window) == self._rows):
                yield from self._window(window)
                window = []
            if stop is not None and stop.is_set():
                return
        if window:
            yield from self._window(window)

    def prompt(self, request: Request) -> str:
        """See ``Engine.prompt``."""
        text = self._texts.chat([message._asdict() for message in request.messages])
        return text + request.opening if request.critique_tokens else text

    def count(self, request: Request) -> int:
        """See ``Engine.count``."""
        return len(self._texts.ids(self.prompt(request)))

    def close(self) -> None:
        """See ``Engine.close``."""
        self._llm = None
        self._texts.free_memory()

    def _window(self, window: Sequence[Request]) -> Generator[Completion, None, None]:
        began = time.perf_counter()
        rows: list[Row] = []
        for request in window:
            try:
                rows.append(self._row(request))
            except MeneError as error:
                yield Completion(request.index, error=error)
        with self._lock:
            cached = self._write([row for row in rows if row.room])
            logs, found = self._read([row for row in rows if row.request.choose])
        cached = found | cached  # for a critique, what its prompt found in the cache
        seconds = (time.perf_counter() - began) / max(1, len(rows))
        for row in rows:
            index = row.request.index
            row.cached = min(cached.get(index, 0), len(row.ids))
            yield row.completion(logs.get(index), seconds, "try another dtype")

    def _row(self, request: Request) -> Row:
        key = request.label_key
        try:
            if key not in self._paths:
                paths = label_paths(self._texts.tokenize, *key)
                if max(map(len, paths.branches.values())) > MOST_TOKENS:
                    raise ValueError(
                        f"vLLM can tell apart at most {MOST_TOKENS} labels; use a shorter scale"
                    )
                self._paths[key] = paths
        except (ValueError, TypeError) as error:
            raise EngineError(f"{error}; choose other labels") from None
        try:
            text = self.prompt(request)
            ids = self._texts.ids(text)
        except Exception as error:  # a template may raise anything
            raise EngineError(f"the model's chat template refuses the messages: {error}") from error
        return fitted(request, text, ids, self._paths[key], self.context)

    def _write(self, rows: Sequence[Row]) -> dict[int, int]:
        """Write the rows' critiques; return request -> cached tokens of its prompt."""
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

        asked = [
            SamplingParams(
                max_tokens=row.room,
                temperature=row.request.temperature,
                seed=row.request.seed if row.request.temperature else None,
                stop=list(ends(row.request)),
            )
            for row in rows
        ]
        cached: dict[int, int] = {}
        outputs = self._generate([row.ids for row in rows], asked, rows)
        for row, output in zip(rows, outputs, strict=True):
            said = output.outputs[0]
            row.critique = up_to_end(row.request, said.text)
            row.written = list(said.token_ids)
            row.cut = said.finish_reason == "length"
            cached[row.request.index] = output.num_cached_tokens or 0
            if row.request.hear is not None:
                row.hearing = Hearing(row.request.hear, ends(row.request))
                row.hearing.end(row.critique.strip())
        return cached

    def _read(self, rows: Sequence[Row]) -> tuple[dict[int, Logs], dict[int, int]]:
        """Return request -> log-probabilities of the labels' tokens, and request -> cached tokens."""
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

        prompts: list[list[int]] = []
        asked: list[Any] = []
        places: list[tuple[Row, Path]] = []
        for row in rows:
            ids = row.ids  # in verdict mode, includes the cue
            if row.room:
                closed = row.request.closed(row.text + row.critique)
                ids = [*self._texts.ids(closed), *row.paths.shared]
            for path, children in row.paths.branches.items():
                prompts.append([*ids, *path])
                places.append((row, path))
                asked.append(
                    SamplingParams(
                        max_tokens=1,
                        temperature=0,
                        logprob_token_ids=list(children),
                        allowed_token_ids=list(children),
                        detokenize=False,
                    )
                )
        logs: dict[int, Logs] = {}
        cached: dict[int, int] = {}
        outputs = self._generate(prompts, asked, [row for row, _ in places])
        for (row, path), output, params in zip(places, outputs, asked, strict=True):
            index, found = row.request.index, output.outputs[0].logprobs[0]
            tokens = params.logprob_token_ids
            logs.setdefault(index, {})[path] = {token: found[token].logprob for token in tokens}
            if not path:
                cached[index] = output.num_cached_tokens or 0
        return logs, cached

    def _generate(
        self, prompts: Sequence[Sequence[int]], asked: Sequence[Any], rows: Sequence[Row]
    ) -> list[Any]:
        """Return vLLM's outputs for the rows' prompts, each with or without the adapter as its row asks."""
        if not prompts:
            return []
        if self._llm is None:
            raise ModelError("this judge was closed; open a new one")
        adapters = [None if row.request.adapter is None else self._adapter for row in rows]
        try:
            return self._llm.generate(
                [{"prompt_token_ids": list(ids)} for ids in prompts],
                list(asked),
                lora_request=adapters if any(adapters) else None,
                use_tqdm=False,
            )
        except Exception as error:  # e.g. vLLM's engine process died, or ran out of memory
            raise EngineError(f"vLLM failed on a batch: {error}") from error
