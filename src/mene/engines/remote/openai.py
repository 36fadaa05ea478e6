"""Any server that speaks OpenAI's API: vLLM, llama-server, Ollama, OpenAI itself.

This file asks. Pace, retries and when to stop are ``server.py``'s, what an answer says ``answer.py``'s and
``remote.py``'s. What a server can do decides how the label is found:

* llama-server: the exact steps of the embedded engine; tested against a real one;
* vLLM: the label is a constrained choice after a prefilled cue; tested against a small scripted
  server only, never against a running vLLM;
* others, and a llama-server that lacks the routes for it: the answer is parsed strictly, and asked again if it does
  not end in a label.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Unpack

import httpx

from mene.engines.base import Completion, LabelKey, Request
from mene.engines.labels import LabelPaths, label_paths, label_texts
from mene.engines.remote import prompt as remote
from mene.engines.remote.answer import Answer, read_answer
from mene.engines.remote.api import OPENAI
from mene.engines.remote.explain_fault import WITHHELD_ADVICE
from mene.engines.remote.faults import MALFORMED, Fault, is_silence, may_pass
from mene.engines.remote.server import FAILURES, Server, Settings
from mene.engines.remote.thought import closed
from mene.engines.steps import RESERVE, judgement, overflow
from mene.errors import EngineError

# Asked at most this often when the answer does not end in a label.
PARSE_TRIES = 3
# What some servers refuse; it is left out once they have said so.
OPTIONAL = (
    "top_logprobs",
    "logprobs",
    "seed",
    "temperature",
    "max_tokens",
    "max_completion_tokens",
)


class OpenAIEngine:
    """Judges through a server.

    Args:
        model: the model's name there.
        url: base URL up to ``/v1``; default OPENAI_BASE_URL or OpenAI.
        settings: see ``Server``; the key is by default OPENAI_API_KEY, if it is for this host (``wire.py``).

    Raises:
        UsageError: no URL, or a number that makes no sense.
        ModelError: OpenAI without a key, or a secret that would go unencrypted to another machine.
    """

    def __init__(
        self,
        model: str,
        url: str | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        self._server = Server(OPENAI, model, url, **settings)
        self.model = model
        self._name = self._server.name
        self.identity = self._server.identity
        self.context: int | None = None
        self.control_tokens = remote.CONTROL_TOKENS
        self._refused: set[str] = set()
        self._paths: dict[LabelKey, LabelPaths] = {}
        self._kind: str | None = None
        self._asking_kind = asyncio.Lock()
        self._thinks = False  # it needs room to reason, as an answer has shown

    def run(
        self, requests: Iterable[Request | None], stop: threading.Event | None = None
    ) -> Iterator[Completion]:
        """See ``Engine.run``."""
        return self._server.run(requests, self._judge, self._detect, stop)

    async def _judge(self, request: Request, done: Completion) -> None:
        kind = await self._detect()
        if kind == "llama.cpp":
            await self._judge_exactly(request, done)
        elif kind == "vllm":
            await self._judge_by_choice(request, done)
        else:
            await self._judge_by_parsing(request, done)

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """The server's own answer to a chat request; ``model`` in it is this one.

        Raises:
            MeneError: why there is none.
        """
        try:
            sent = {**body, "model": self.model}
            answer = self._server.wait(self._server.post("/chat/completions", sent))
        except FAILURES as error:
            raise self._server.told(error) from None
        if not isinstance(answer, dict):
            raise EngineError(f"{self._name} sent no chat completion")
        return answer

    # -- llama-server ---------------------------------------------------------------------------

    async def _judge_exactly(self, request: Request, done: Completion) -> None:
        text = await self._template(request)
        key = request.label_key
        if key not in self._paths:
            whole = {text: await self._tokenize(text) for text in label_texts(*key)}
            try:
                self._paths[key] = label_paths(whole.__getitem__, *key)
            except ValueError as error:
                raise EngineError(f"{error}; name them differently") from None
        room = request.critique_tokens
        if room and self.context and len(text.encode()) + room + RESERVE > self.context:
            length = len(await self._tokenize(text, special=True))
            if length + RESERVE >= self.context:
                raise overflow(length, self.context)
            room = min(room, self.context - length - RESERVE)
        steps = judgement(request, text, self._paths[key], room, done)
        body = next(steps)
        try:
            while True:
                body = steps.send(
                    await self._post("/v1/completions", {"model": self.model, **body})
                )
        except StopIteration:
            return

    async def _template(self, request: Request) -> str:
        messages = [m._asdict() for m in request.messages]
        text = closed((await self._post("/apply-template", {"messages": messages}))["prompt"])
        return text + request.opening if request.critique_tokens else text

    async def _tokenize(self, text: str, special: bool = False) -> list[int]:
        body = {"content": text, "add_special": special, "parse_special": special}
        return [int(token) for token in (await self._post("/tokenize", body))["tokens"]]

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call llama-server's own API, beside ``/v1``."""
        try:
            answer: Any = await self._server.post(path, body, root=True)
        except Fault as fault:
            if path == "/v1/completions" and fault.status == 400 and isinstance(fault.body, dict):
                return fault.body  # the steps know how to read it
            raise
        if not isinstance(answer, dict):
            raise EngineError(f"{self._name}: {path} sent no JSON; is it a llama-server?")
        self._server.answered()
        return answer

    # -- vLLM -----------------------------------------------------------------------------------

    async def _judge_by_choice(self, request: Request, done: Completion) -> None:
        answer, said = Answer(), ""
        if request.critique_tokens:
            # An empty message cannot be gone on with.
            begun = bool(request.opening)
            answer = await self._chat(
                remote.prefilled(request, request.opening) if begun else remote.asked(request),
                request,
                done,
                max_tokens=request.critique_tokens,
                temperature=request.temperature,
                seed=request.seed,
                stop=[request.cue],
                extra=remote.CONTINUE if begun else None,
            )
            done.notes += remote.unfinished(answer, request.critique_tokens)
            # Without the marks of a thought: the label is no part of one. A parser of the server may have put all into it.
            said = answer.text if answer.text.strip() else answer.thought
            done.critique = said.strip()
            if not request.choose:
                return
            if not done.critique:
                done.notes.append("the model wrote no critique")
            said = (request.opening + said).rstrip() + request.gap
        room = remote.room(request)
        for _ in range(2):
            answer = await self._chat(
                remote.prefilled(request, said + request.cue),
                request,
                done,
                max_tokens=room,
                temperature=0.0,
                logprobs=True,
                top_logprobs=20,
                extra=remote.choose(request),
            )
            if answer.finished:
                break
            room *= 4
        else:
            raise EngineError(
                f"no label from {self._name}: {remote.seen(answer, request, room)}; its constrained decoding is off"
            )
        # Where a parser takes all that is written for a thought, the choice is there; nothing else can be.
        word = answer.text if answer.text.strip() else answer.thought
        done.label = remote.exact_label(word, request.labels)
        if done.label is None:
            raise EngineError(
                f"{self._name} did not keep to the labels (said {word[:60]!r}); its "
                "constrained decoding is off"
            )
        # Only the labels as they are written could be chosen, so other spellings do not count.
        done.probabilities = remote.read_probabilities(answer, request, done.label, fold=False)

    # -- everybody else -------------------------------------------------------------------------

    async def _judge_by_parsing(self, request: Request, done: Completion) -> None:
        """Ask until the answer is finished and ends in a label: after one that was cut once more with room to
        reason, after one without a label with what is missing."""
        messages = asked = [m._asdict() for m in request.messages]
        room = request.critique_tokens + remote.room(request)
        how: dict[str, Any] = {"temperature": request.temperature, "seed": request.seed}
        if request.choose:
            how |= {"logprobs": True, "top_logprobs": 20}
        # A critique alone is cut where it is cut: its length must not depend on other rows.
        roomy = self._thinks and request.choose
        reasoning = remote.REASONING + request.thought_tokens
        room += roomy * reasoning
        answer, critique, tries = Answer(), "", 0
        while tries < PARSE_TRIES:
            try:
                answer = await self._chat(messages, request, done, max_tokens=room, **how)
            except Fault as fault:
                if not (answer.cut and fault.too_much_room):
                    raise
                break  # there is no more room: what was cut is all there is
            tries += 1
            if not request.choose and (answer.finished or answer.text.strip()):
                critique = remote.critique_of(answer, request)
                if critique:
                    done.notes += remote.unfinished(answer, room)
                    done.critique = critique
                    return
            elif answer.finished:
                done.label = remote.read_label(answer, request)
                # Asked again, a model may give the label alone; its reasons are those it gave before.
                critique = remote.critique_of(answer, request) or critique
            if done.label is not None:
                break
            messages = asked
            if answer.cut and roomy:
                break  # it had room
            if answer.cut:
                self._thinks = roomy = True
                room += reasoning
            elif request.choose and answer.finished:
                messages = [*asked, *remote.correction(answer, request)]
        if done.label is None:
            what = "label" if request.choose else "critique"
            raise EngineError(
                f"no {what} in the answer after {tries} tries: {remote.seen(answer, request, room)}; "
                + remote.advice(answer, request)
            )
        if messages is not asked:
            done.notes.append("asked again for the label")
        if request.critique_tokens:
            done.critique = critique
            if not critique:
                done.notes.append("the model wrote no critique")
        done.probabilities = remote.read_probabilities(answer, request, done.label, fold=True)

    async def _chat(
        self,
        messages: list[dict[str, str]],
        request: Request,
        done: Completion,
        extra: dict[str, Any] | None = None,
        **options: Any,
    ) -> Answer:
        """One chat completion; leaves out what the server has refused before.

        Raises:
            EngineError: the model or a filter refused to answer.
        """
        while True:
            sent = {k: v for k, v in options.items() if k not in self._refused}
            if "max_tokens" in self._refused and "max_completion_tokens" not in self._refused:
                sent["max_completion_tokens"] = options["max_tokens"]
            body = {"model": self.model, "messages": messages, **sent, **(extra or {})}
            try:
                answer = await self._server.post("/chat/completions", body)
                break
            except Fault as fault:
                refused = fault.refuses(o for o in OPTIONAL if o in sent)
                if refused is None:
                    raise
                self._refused |= {refused, "top_logprobs"} if refused == "logprobs" else {refused}
        for name in ("temperature", "seed"):
            note = f"the server takes no {name}"
            if name in options and name not in sent and note not in done.notes:
                done.notes.append(note)
        read = read_answer(answer, request.opening + request.cue)
        self._server.answered()
        done.usage += read.usage
        if read.withheld:
            raise EngineError(
                f"{self._name} withheld the answer ({read.withheld}); {WITHHELD_ADVICE}"
            )
        return read

    # -- about the server -----------------------------------------------------------------------

    async def _detect(self) -> str:
        """Find out once what kind of server it is; one that does not say is taken as unknown.

        A server that cannot be reached raises and is asked again: a verdict must not be found in
        another way only because the server was still starting.
        """
        async with self._asking_kind:
            if self._kind is None:
                self._kind = "openai" if self._server.is_home else await self._ask_kind()
            return self._kind

    async def _ask_kind(self) -> str:
        try:
            models = await self._get("/models")
            owners = {str(m.get("owned_by", "")).lower() for m in models["data"]}
            if "llamacpp" in owners:
                return await self._ask_llama()
            return "vllm" if "vllm" in owners else "unknown"
        except (Fault, httpx.HTTPError, TimeoutError) as error:
            # One that answers no such question is unknown. One that is starting is asked again.
            if may_pass(error) and not is_silence(error):
                raise
            return "unknown"
        except MALFORMED:
            return "unknown"

    async def _ask_llama(self) -> str:
        """Has this server all that exact steps need? A router, a proxy and builds before 2025 have not."""
        props = await self._get("/props", root=True)
        context = int(props["default_generation_settings"]["n_ctx"])
        messages = [{"role": "user", "content": "Hello"}]
        prompt = (await self._post("/apply-template", {"messages": messages}))["prompt"]
        if context <= 0 or not isinstance(prompt, str) or not await self._tokenize("Hello"):
            return "unknown"
        self.context = context
        return "llama.cpp"

    async def _get(self, path: str, *, root: bool = False) -> Any:
        return await self._server.get(path, root=root, longest_s=15)

    async def _prompt(self, request: Request, count: bool) -> tuple[str, int | None]:
        try:
            if await self._detect() == "llama.cpp":
                text = await self._template(request)
                return text, len(await self._tokenize(text, special=True)) if count else None
        except FAILURES as error:
            raise self._server.told(error) from None
        return "\n\n".join(f"[{m.role}]\n{m.content}" for m in request.messages), None

    def prompt(self, request: Request) -> str:
        """What the model reads where the server tells; else the messages."""
        return self._server.wait(self._prompt(request, count=False))[0]

    def count(self, request: Request) -> int | None:
        """Tokens of the prompt; None where the server has no tokeniser to ask."""
        return self._server.wait(self._prompt(request, count=True))[1]

    def close(self) -> None:
        """Give up what is under way, end the connections and the thread. What is given up ends with a ModelError."""
        self._server.close()
