"""What lies in the KV cache of every slot of llama.cpp, and prompts read so that it does not matter.

Same input, same verdict: what is read from the cache must be what reading it again would give, to the last digit.
llama.cpp computes the same token differently in batches of different sizes, so this file decides how prompts are cut
into batches.
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

# Tokens that llama.cpp reads at once (its default).
MICRO_BATCH = 512
# Tokens of a long prompt that are asked for at once, so that it can be told how far it is: whole batches, as llama.cpp
# would take them anyway.
PIECE = 2 * MICRO_BATCH
# Fewest tokens read at once that round like any other number of them, on a CPU: with flash attention, and without.
EVEN_FLASH, EVEN_PLAIN = 64, 2
# Tokens that llama.cpp multiplies together, of weights that it has rearranged.
GROUP = 4


class Caches:
    """The caches of all slots. A slot is used by one thread at a time (see `Turns`).

    Args:
        folder: where the shared start may be saved for a moment.
        slots: how many there are.
        even: fewest tokens that are read at once.
        group: batches begin at multiples of this.
        context: tokens that fit in a slot. A longer prompt is not begun: llama.cpp says that it does not fit.

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
        # Slot -> the tokens in its cache that `read` has read; behind them more may lie.
        self._cached: dict[int, list[int]] = {}
        self._bare: set[int] = (
            set()
        )  # slots whose cache the weights without their adapter have made
        # Slots that share a context have been written side by side: where things lie in it is chance.
        self._mixed = False

    def read(
        self, body: dict[str, Any], slot: int, calls: Calls, tell: Tell | None = None
    ) -> dict[str, Any]:
        """``complete`` for a whole prompt, so that its verdict does not depend on what is cached.

        llama.cpp takes other kernels for a batch of few tokens, and these round differently: under 64
        tokens with flash attention, a single one without. So the prompt is read in batches that are never
        as small, for which a few tokens of what is cached may be read again. Of weights that it has rearranged
        it multiplies four tokens of a batch together, and what is left over at its end one by one, which rounds
        differently too: so batches begin at multiples of four tokens, and what was left over is read again.
        """
        if self._mixed:
            self._forget(calls)
        text, *rest = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        tokens, lora = self._tokens(text, calls) + rest, _lora(body)
        known = self._known(slot, body)
        same = min(_common(known, tokens), len(tokens) - 1)  # llama.cpp always reads one
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
            # llama.cpp counts as cached what was read above for this very prompt; one token that `_cut` had it read may be none
            # of the prompt's.
            details = answer["usage"]["prompt_tokens_details"]
            details["cached_tokens"] = max(0, details["cached_tokens"] - extra)
        return answer

    def _known(self, slot: int, body: dict[str, Any]) -> list[int]:
        """What this slot has of use: tokens that were read as ``body`` has them read, with or without the adapter."""
        known, bare = self._cached.pop(slot, []), bool(_lora(body))
        if bare == (slot in self._bare):
            return known
        self._bare ^= {slot}
        return []

    def _read_most(
        self, tokens: list[int], begin: int, slot: int, calls: Calls, lora: dict[str, Any]
    ) -> tuple[int, int]:
        """Read whole pieces of ``tokens[begin:]``, and tell how far that is: where the rest begins, and how much was read.

        The rest, one piece at most, is left for the call that asks for an answer.
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
        """Have llama.cpp forget what is cached behind ``tokens[:begin]``; how many tokens that read.

        It goes on reading where its cache ends to be what is asked for. Behind ``known`` more may lie than is known.
        """
        same = _common(known, tokens)
        if not begin or (begin == same and same < len(known)):
            return 0
        wrong = 1 if tokens[begin] == 0 else 0  # a token that does not belong there
        return self._fill([*tokens[:begin], wrong], slot, calls, lora, reuse=True)

    def _fill(
        self, tokens: list[int], slot: int, calls: Calls, lora: dict[str, Any], *, reuse: bool
    ) -> int:
        """Bring ``tokens`` into the cache of ``slot``; how many had to be read."""
        body = {**lora, "prompt": tokens, "n_predict": 0, "cache_prompt": reuse}
        return self.complete(body, slot, calls).get("timings", {}).get("prompt_n", 0)

    def read_beside_others(
        self, body: dict[str, Any], slot: int, calls: Calls, tell: Tell | None = None
    ) -> dict[str, Any]:
        """``complete`` for a whole prompt while other slots of the same context are at work."""
        self._mixed = True
        self._cached.pop(slot, None)
        return self.complete(body, slot, calls, tell)

    def complete(
        self, body: dict[str, Any], slot: int, calls: Calls, tell: Tell | None = None
    ) -> dict[str, Any]:
        """One completion; what it reads may round as it will.

        Args:
            tell: called with all that is written by now, whenever there is more.
        """
        body = {**body, "id_slot": slot}
        return calls.post("/v1/completions", body) if tell is None else told(body, calls, tell)

    def share(self, tokens: list[int], calls: Calls) -> int:
        """Read the start that all prompts share, and copy it to every slot; how many tokens were read."""
        if all(_common(self._cached.get(slot, []), tokens) == len(tokens) for slot in self._slots):
            return 0  # a run before this one, or beside it, has done so
        self.clear()
        first, *others = self._slots
        read = self._fill(tokens, first, calls, {}, reuse=False)
        self._folder.mkdir(mode=0o700)
        try:
            name = {"filename": "shared"}
            save = f"/slots/{first}?action=save"
            accepted(save, calls.post(save, name))
            for slot in others:
                restore = f"/slots/{slot}?action=restore"
                accepted(restore, calls.post(restore, name))
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._cached = dict.fromkeys(self._slots, tokens)
        self._bare.clear()
        return read

    def lose(self, slot: int) -> None:
        """Trust nothing in this slot: what was asked of it was broken off, or failed."""
        self._cached.pop(slot, None)

    def clear(self) -> None:
        """Trust nothing in any slot."""
        self._cached.clear()

    def _forget(self, calls: Calls) -> None:
        # First: others may begin beside this one while it erases, and what they say then must stay.
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
    """What a request says of the adapter: nothing where it is used."""
    return {"lora": body["lora"]} if "lora" in body else {}


def accepted(path: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, if it is one.

    Raises:
        EngineError: llama.cpp's own reason.
    """
    if "error" in answer:
        error = answer["error"]
        reason = error.get("message", error) if isinstance(error, dict) else error
        raise EngineError(f"llama.cpp refused {path}: {reason}")
    return answer


def _common(a: list[int], b: list[int]) -> int:
    """How many tokens at the start are the same."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def group_of(file_type: int | None) -> int:
    """Tokens that llama.cpp multiplies together, by the kind of most weights (llama_ftype in llama.h)."""
    floats = (0, 1, 32)  # F32, F16, BF16
    q8_0 = 7  # rearranged on other processors only
    plain = file_type in floats or (file_type == q8_0 and platform.machine() in ("x86_64", "AMD64"))
    return 1 if plain else GROUP
