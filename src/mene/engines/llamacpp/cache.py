"""The contents of the KV cache of every llama.cpp slot, and reading prompts so that results do not depend on them.

The same input must give the same verdict: results with a warm cache must equal those with a cold one, to the last digit.
llama.cpp rounds the same token differently in batches of different sizes, so this file decides how prompts are divided into
batches.
"""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import Any

from mene.engines.base import Reading
from mene.engines.llamacpp.process import Calls
from mene.engines.llamacpp.told import Tell, told
from mene.errors import EngineError

# Tokens in a batch of llama.cpp (its default).
MICRO_BATCH = 512
# Tokens of a long prompt requested at once, so that progress can be reported: a multiple of llama.cpp's own batches.
PIECE = 2 * MICRO_BATCH
# Smallest batches that round like larger ones on a CPU: with flash attention, and without.
EVEN_FLASH, EVEN_PLAIN = 64, 2
# Tokens that llama.cpp multiplies together where it has rearranged the weights.
GROUP = 4


class Caches:
    """The caches of all slots. Only one thread uses a slot at a time (see `Turns`).

    Args:
        folder: for temporary copies of the shared prefix.
        slots: number of slots.
        even: smallest batch, in tokens.
        group: batches begin at multiples of this.
        context: tokens per slot. A longer prompt is sent unread: llama.cpp then reports that it does not fit.

    Attributes:
        reading: see ``reading_of``.
    """

    def __init__(
        self, folder: Path, *, slots: int, even: int, group: int, context: int | None = None
    ) -> None:
        self.reading: Reading | None = None
        self._context = context
        self._folder = folder
        self._slots = range(slots)
        self._even = even
        self._group = group
        # Slot -> the tokens in its cache that `read` has read; more may follow them there.
        self._cached: dict[int, list[int]] = {}
        # Slot -> the adapters that its cache was computed with, where these are not the usual ones.
        self._lora: dict[int, dict[str, Any]] = {}
        # Slots that share a context were used at once, so the layout of their cache is not reproducible.
        self._mixed = False

    def read(
        self, body: dict[str, Any], slot: int, calls: Calls, tell: Tell | None = None
    ) -> dict[str, Any]:
        """``complete`` for a whole prompt, with a result that does not depend on what is cached.

        llama.cpp uses different kernels for small batches, which round differently: under 64 tokens with flash attention,
        for a single token without. So the prompt is never read in smaller batches, even if some cached tokens are read again.
        Where it has rearranged the weights, it multiplies four tokens of a batch together and the remaining ones singly,
        which rounds differently too. So batches begin at multiples of four tokens, and remaining tokens are read again.
        """
        if self._mixed:
            self._forget(calls)
        text, *rest = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        tokens, lora = self._tokens(text, calls) + rest, _lora(body)
        known = self._known(slot, body)
        same = min(_common(known, tokens), len(tokens) - 1)  # llama.cpp always reads at least one
        begin = min(same, len(known) // self._group * self._group) // self._group * self._group
        extra = 0
        if len(tokens) < self._even:
            begin = 0
        elif 0 < (len(tokens) - begin) % MICRO_BATCH < self._even:
            if len(tokens) - begin > MICRO_BATCH:
                half = (len(tokens) - MICRO_BATCH // 2) // self._group * self._group
                extra = self._cut(tokens, begin, known, slot, calls, lora)
                begin, read = self._read_most(tokens[:half], begin, slot, calls, lora)
                extra += read + self._fill(tokens[:half], slot, calls, lora, reuse=begin > 0)
                known, begin = tokens[:half], half
            else:
                begin = (len(tokens) - self._even) // self._group * self._group
        extra += self._cut(tokens, begin, known, slot, calls, lora)
        begin, read = self._read_most(tokens, begin, slot, calls, lora)
        extra += read
        try:
            answer = self.complete(
                {**body, "prompt": tokens, "cache_prompt": begin > 0}, slot, calls, tell
            )
        finally:
            self.reading = None
        if "usage" in answer and len(tokens) >= self._even:
            self._cached[slot] = tokens
        if extra and "usage" in answer:
            # llama.cpp counts as cached what was read above for this prompt. The one token that `_cut` had it read may not
            # belong
            # to the prompt.
            details = answer["usage"]["prompt_tokens_details"]
            details["cached_tokens"] = max(0, details["cached_tokens"] - extra)
        return answer

    def _known(self, slot: int, body: dict[str, Any]) -> list[int]:
        """Return the usable tokens in this slot: those read with the adapters that ``body`` asks for."""
        known, lora = self._cached.pop(slot, []), _lora(body)
        if lora == self._lora.get(slot, {}):
            return known
        self._lora[slot] = lora
        return []

    def _read_most(
        self, tokens: list[int], begin: int, slot: int, calls: Calls, lora: dict[str, Any]
    ) -> tuple[int, int]:
        """Read complete pieces of ``tokens[begin:]`` and report progress; return where the rest begins, and the tokens read.

        The rest, at most one piece, is read by the request for the answer.
        """
        first, read = begin, 0
        if self._context is not None and len(tokens) >= self._context:
            return begin, read
        try:
            while len(tokens) - begin > PIECE:
                self.reading = Reading(begin - first, len(tokens) - first)
                read += self._fill(tokens[: begin + PIECE], slot, calls, lora, reuse=begin > 0)
                begin += PIECE
            if read:
                self.reading = Reading(begin - first, len(tokens) - first)
        except BaseException:
            self.reading = None
            raise
        return begin, read

    def _cut(
        self,
        tokens: list[int],
        begin: int,
        known: list[int],
        slot: int,
        calls: Calls,
        lora: dict[str, Any],
    ) -> int:
        """Make llama.cpp forget what is cached after ``tokens[:begin]``; return the number of tokens read for that.

        llama.cpp continues wherever its cache stops matching the prompt. Its cache may hold more than ``known``.
        """
        same = _common(known, tokens)
        if not begin or (begin == same and same < len(known)):
            return 0
        wrong = 1 if tokens[begin] == 0 else 0  # a token that differs from the expected one
        return self._fill([*tokens[:begin], wrong], slot, calls, lora, reuse=True)

    def _fill(
        self, tokens: list[int], slot: int, calls: Calls, lora: dict[str, Any], *, reuse: bool
    ) -> int:
        """Read ``tokens`` into the cache of ``slot``; return the number of tokens that had to be computed."""
        body = {**lora, "prompt": tokens, "n_predict": 0, "cache_prompt": reuse}
        return self.complete(body, slot, calls).get("timings", {}).get("prompt_n", 0)

    def read_beside_others(
        self, body: dict[str, Any], slot: int, calls: Calls, tell: Tell | None = None
    ) -> dict[str, Any]:
        """``complete`` for a whole prompt while other slots of the same context are in use."""
        self._mixed = True
        self._cached.pop(slot, None)
        return self.complete(body, slot, calls, tell)

    def complete(
        self, body: dict[str, Any], slot: int, calls: Calls, tell: Tell | None = None
    ) -> dict[str, Any]:
        """Return one completion, without regard to rounding.

        Args:
            tell: called with the whole text so far, whenever it grows.
        """
        body = {**body, "id_slot": slot}
        return calls.post("/v1/completions", body) if tell is None else told(body, calls, tell)

    def share(self, tokens: list[int], calls: Calls, lora: dict[str, Any]) -> int:
        """Read the prefix that all prompts share and copy it to every slot; return the number of tokens read.

        Args:
            lora: the part of their requests that chooses an adapter.
        """
        if all(
            self._lora.get(slot, {}) == lora
            and _common(self._cached.get(slot, []), tokens) == len(tokens)
            for slot in self._slots
        ):
            return 0  # an earlier or concurrent run has done so
        self.clear()
        first, *others = self._slots
        read = self._fill(tokens, first, calls, lora, reuse=False)
        self._folder.mkdir(mode=0o700)
        try:
            name = {"filename": "shared"}
            save = f"/slots/{first}?action=save"
            accepted(save, calls.post(save, name))
            for slot in others:
                if self._lora.get(slot, {}) != lora:
                    # llama.cpp forgets what a slot holds when its next request has other adapters than its last one.
                    read += self._fill(tokens[:1], slot, calls, lora, reuse=False)
                restore = f"/slots/{slot}?action=restore"
                accepted(restore, calls.post(restore, name))
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._cached = dict.fromkeys(self._slots, tokens)
        self._lora = dict.fromkeys(self._slots, lora)
        return read

    def lose(self, slot: int) -> None:
        """Mark a slot's cache as unknown, after its request was aborted or failed."""
        self._cached.pop(slot, None)

    def clear(self) -> None:
        """Mark all slots' caches as unknown."""
        self._cached.clear()

    def _forget(self, calls: Calls) -> None:
        # Before erasing: requests that begin meanwhile set it again.
        self._mixed = False
        self._cached.clear()
        try:
            for slot in self._slots:
                erase = f"/slots/{slot}?action=erase"
                accepted(erase, calls.post(erase, {}))
        except BaseException:
            self._mixed = True
            raise

    def _tokens(self, text: str, calls: Calls) -> list[int]:
        body = {"content": text, "add_special": True, "parse_special": True}
        return accepted("/tokenize", calls.post("/tokenize", body))["tokens"]


def _lora(body: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a request that chooses other adapters than the usual ones."""
    return {"lora": body["lora"]} if "lora" in body else {}


def accepted(path: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer, unless it is an error.

    Raises:
        EngineError: with llama.cpp's own reason.
    """
    if "error" in answer:
        error = answer["error"]
        reason = error.get("message", error) if isinstance(error, dict) else error
        raise EngineError(f"llama.cpp refused {path}: {reason}")
    return answer


def _common(a: list[int], b: list[int]) -> int:
    """Return the length of the common prefix."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def group_of(file_type: int | None) -> int:
    """Return how many tokens llama.cpp multiplies together, by the type of most weights (llama_ftype in llama.h)."""
    floats = (0, 1, 32)  # F32, F16, BF16
    q8_0 = 7  # rearranged only on other processors
    plain = file_type in floats or (file_type == q8_0 and platform.machine() in ("x86_64", "AMD64"))
    return 1 if plain else GROUP
