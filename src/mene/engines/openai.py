"""Any server that speaks OpenAI's API: vLLM, llama-server, Ollama, OpenAI itself.

This file asks: pace, retries, parameters, when to stop. A call is ``wire.py``'s, what an answer says ``answer.py``'s and
``remote.py``'s, what an error means ``faults.py``'s. What a server can do decides how the label is found:

* llama-server: the exact steps of the embedded engine; tested against a real one;
* vLLM: the label is a constrained choice after a prefilled cue; tested against a small scripted
  server only, never against a running vLLM;
* others, and a llama-server that lacks the routes for it: the answer is parsed strictly, and asked again if it does
  not end in a label.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

import httpx

from mene.engines import faults, remote
from mene.engines.answer import Answer, clean, closed, read_answer
from mene.engines.base import Completion, Request
from mene.engines.faults import MALFORMED, Fault
from mene.engines.labels import LabelPaths, label_paths, whole_texts
from mene.engines.pump import pump
from mene.engines.steps import RESERVE, judgement, overflow
from mene.engines.wire import OPENAI_URL, Wire, is_openai, parse_url
from mene.errors import EngineError, MeneError, ModelError, UsageError

T = TypeVar("T")
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
# A server that says nothing for a whole time-out has used more of it than any pause; it is asked this often again.
SILENT_RETRIES = 1
# So many rows that fail in turn, with no answer to any row between them, and the run stops. One to which nothing came at all
# counts double.
HOPELESS = 10
FORKED = (
    "this judge was opened by another process, and a fork cannot use its connections; open a judge in each process, "
    "after the fork"
)
# What reading and asking may raise on one row.
FAILURES = (Fault, httpx.HTTPError, TimeoutError, *MALFORMED)


class OpenAIEngine:
    """Judges through a server.

    Args:
        model: the model's name there.
        url: base URL up to ``/v1``; default OPENAI_BASE_URL or OpenAI.
        api_key: of this server; default OPENAI_API_KEY, if it is for this host (``wire.py``).
        concurrency: requests under way at once.
        retries: tries after the first, per request.
        timeout_s: per try, seconds.
        requests_per_minute: never faster than this, retries included.
        backoff_s: pause before the first retry where the server names none; doubles each time.
        transport: in place of the network.

    Raises:
        UsageError: no URL, or a number that makes no sense.
        ModelError: OpenAI without a key, or a secret that would go unencrypted to another machine.
    """

    def __init__(
        self,
        model: str,
        url: str | None = None,
        *,
        api_key: str | None = None,
        concurrency: int = 8,
        retries: int = 5,
        timeout_s: float = 120.0,
        requests_per_minute: float | None = None,
        backoff_s: float = 0.5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        for name, value in (("--rpm", requests_per_minute), ("timeout_s", timeout_s)):
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name} {value:g}: give a number above 0")
        if concurrency < 1:
            raise UsageError(f"--concurrency {concurrency}: give 1 or more")
        self.model = model
        url = (url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).strip().rstrip("/")
        self._wire = Wire(
            url, api_key, connections=concurrency, timeout_s=timeout_s, transport=transport
        )
        self._is_openai = is_openai(parse_url(url))
        self._name = self._wire.name
        self.identity = f"openai:{model}@{self._name}"
        self.context: int | None = None
        self.control_tokens = remote.CONTROL_TOKENS
        self._concurrency = concurrency
        self._retries = retries
        self._timeout_s = timeout_s
        self._backoff_s = backoff_s
        self._pause = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._free_at = 0.0
        self._refused: set[str] = set()
        self._paths: dict[tuple[str, tuple[str, ...]], LabelPaths] = {}
        self._owner = os.getpid()
        self._closed = False
        self._closing = (
            threading.Lock()
        )  # nothing is begun meanwhile: no thread would be there to end it
        # The loop lives in a thread of its own, so that callers may have a running loop (Jupyter).
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, daemon=True, name="mene-openai"
        )
        self._thread.start()
        self._kind: str | None = None
        self._asking_kind = asyncio.Lock()
        self._thinks = False  # it needs room to reason, as an answer has shown
        self._worked = False  # it has answered
        self._failed: list[int] = []  # rows in turn with no answer between, and how bad each is
        self._lost: ModelError | None = None  # why no row can pass

    def run(
        self, requests: Iterable[Request | None], stop: threading.Event | None = None
    ) -> Iterator[Completion]:
        """See ``Engine.run``."""
        try:
            self._wait(self._detect())
        except httpx.HTTPError as error:
            reason = clean(str(error)).strip() or type(error).__name__
            raise ModelError(
                f"{self._name}: cannot connect ({reason}); check that the server runs and the URL is right"
            ) from None
        except (Fault, *MALFORMED):
            pass  # it is there but busy; every request asks again, and says so if it stays like that
        self._lost = None
        self._failed.clear()
        gate = asyncio.Semaphore(self._concurrency)
        running: set[Future[Completion]] = set()

        def submit(request: Request) -> Future[Completion]:
            future = self._begin(self._judge(request, gate))
            running.add(future)
            future.add_done_callback(running.discard)
            return future

        try:
            yield from pump(requests, submit, ahead=2 * self._concurrency, stop=stop)
        except CancelledError:
            raise self._end_of_use() from None
        finally:
            if os.getpid() == self._owner:  # else its loop's thread is in the other process
                for future in list(running):
                    future.cancel()

    async def _judge(self, request: Request, gate: asyncio.Semaphore) -> Completion:
        async with gate:
            if self._lost is not None:
                raise self._lost  # those that wait for their turn need not find it out again
            start = time.perf_counter()
            done = Completion(request.index)
            try:
                kind = await self._detect()
                if kind == "llama.cpp":
                    await self._judge_exactly(request, done)
                elif kind == "vllm":
                    await self._judge_by_choice(request, done)
                else:
                    await self._judge_by_parsing(request, done)
            except MeneError as error:
                done.error = error
            except FAILURES as error:
                done.error = self._count(error, self._failure(error))
            if isinstance(done.error, ModelError):
                self._lost = done.error
                raise done.error  # no other request will fare better
            done.latency_s = time.perf_counter() - start
            return done

    def _failure(self, error: Exception) -> MeneError:
        return faults.explain(
            error, self._name, self.model, self._timeout_s, self._wire.advice, self._worked
        )

    def _count(self, error: Exception, told: MeneError) -> MeneError:
        """Give up on a server that is lost: row after row fails, and none gets an answer.

        What the server says of a row (a prompt that does not fit, a filter) is that row's alone. A refusal counts only where
        nothing was ever answered.

        Returns:
            The row's error, or that of the run where the server is lost.
        """
        passing = faults.may_pass(error)
        if isinstance(told, ModelError) or (
            isinstance(error, Fault) and (error.too_long or error.withheld)
        ):
            return told
        if passing or not self._worked:
            self._failed.append(1 if isinstance(error, Fault) else 2)
        if sum(self._failed) < HOPELESS:
            return told
        return ModelError(
            f"{told}. {len(self._failed)} rows in turn got no answer, so the run stops here; the verdicts so far are kept"
        )

    def _answered(self) -> None:
        self._worked = True
        self._failed.clear()

    async def _send(self, call: Callable[[], Awaitable[T]], longest_s: float = math.inf) -> T:
        """Make a call, at the allowed pace, and make it again after a fault that may pass."""
        tried = 0
        while True:
            await self._pace()
            try:
                # httpx's own time-out starts anew with every byte; some servers send blanks.
                async with asyncio.timeout(min(self._timeout_s, longest_s)):
                    return await call()
            except (Fault, httpx.HTTPError, faults.NotJSON, TimeoutError) as error:
                most = (
                    min(self._retries, SILENT_RETRIES)
                    if faults.is_silence(error)
                    else self._retries
                )
                if tried >= most or not faults.may_pass(error):
                    raise
                headers = error.headers if isinstance(error, Fault) else {}
            await asyncio.sleep(faults.pause(tried, headers, self._backoff_s))
            tried += 1

    async def _pace(self) -> None:
        if self._pause:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + self._pause
            await asyncio.sleep(self._free_at - self._pause - now)

    # -- llama-server ---------------------------------------------------------------------------

    async def _judge_exactly(self, request: Request, done: Completion) -> None:
        text = await self._template(request)
        key = (request.cue, request.labels)
        if key not in self._paths:
            texts = (*(f"{request.cue} {x}" for x in request.labels), *whole_texts(request.labels))
            whole = {text: await self._tokenize(text) for text in texts}
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
        url = self._wire.address(path, root=True)
        try:
            answer: Any = await self._send(lambda: self._wire.post(url, body))
        except Fault as fault:
            if path == "/v1/completions" and fault.status == 400 and isinstance(fault.body, dict):
                return fault.body  # the steps know how to read it
            raise
        if not isinstance(answer, dict):
            raise EngineError(f"{self._name}: {path} sent no JSON; is it a llama-server?")
        self._answered()
        return answer

    # -- vLLM -----------------------------------------------------------------------------------

    async def _judge_by_choice(self, request: Request, done: Completion) -> None:
        answer, said = Answer(), ""
        if request.critique_tokens:
            answer = await self._chat(
                remote.prefilled(request, request.opening),
                request,
                done,
                max_tokens=request.critique_tokens,
                temperature=request.temperature,
                seed=request.seed,
                stop=[request.cue],
                extra=remote.CONTINUE,
            )
            done.notes += remote.unfinished(answer, request.critique_tokens)
            # Without the marks of a thought: the label is no part of one. A parser of the server may have put all into it.
            said = answer.text if answer.text.strip() else answer.thought
            done.critique = said.strip()
            if not request.choose:
                return
            if not done.critique:
                done.notes.append("the model wrote no critique")
            said = (request.opening + said).rstrip() + "\n\n"
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
                extra=remote.choose(request.labels),
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
        url = self._wire.address("/chat/completions")
        while True:
            sent = {k: v for k, v in options.items() if k not in self._refused}
            if "max_tokens" in self._refused and "max_completion_tokens" not in self._refused:
                sent["max_completion_tokens"] = options["max_tokens"]
            body = {"model": self.model, "messages": messages, **sent, **(extra or {})}
            try:
                answer = await self._send(lambda body=body: self._wire.post(url, body))
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
        self._answered()
        done.usage += read.usage
        if read.withheld:
            raise EngineError(
                f"{self._name} withheld the answer ({read.withheld}); {faults.WITHHELD_ADVICE}"
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
                self._kind = "openai" if self._is_openai else await self._ask_kind()
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
            if faults.may_pass(error) and not faults.is_silence(error):
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
        url = self._wire.address(path, root=root)
        return await self._send(lambda: self._wire.get(url), longest_s=15)

    def _begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Give work to the loop's thread.

        Raises:
            ModelError: this engine was closed, or belongs to another process, whose thread a fork has not.
        """
        if os.getpid() != self._owner:
            work.close()
            raise ModelError(FORKED)
        with self._closing:
            if self._closed:
                work.close()
                raise self._end_of_use()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._begin(work).result()
        except CancelledError:  # by ``close``, in another thread
            raise self._end_of_use() from None

    def _end_of_use(self) -> ModelError:
        return ModelError(f"{self.identity} is closed; make a new engine")

    async def _prompt(self, request: Request, count: bool) -> tuple[str, int | None]:
        try:
            if await self._detect() == "llama.cpp":
                text = await self._template(request)
                return text, len(await self._tokenize(text, special=True)) if count else None
        except FAILURES as error:
            raise self._count(error, self._failure(error)) from None
        return "\n\n".join(f"[{m.role}]\n{m.content}" for m in request.messages), None

    def prompt(self, request: Request) -> str:
        """What the model reads where the server tells; else the messages."""
        return self._wait(self._prompt(request, count=False))[0]

    def count(self, request: Request) -> int | None:
        """Tokens of the prompt; None where the server has no tokeniser to ask."""
        return self._wait(self._prompt(request, count=True))[1]

    def close(self) -> None:
        """Give up what is under way, end the connections and the thread. What is given up ends with a ModelError."""
        if os.getpid() != self._owner:
            return  # all of it is the other process's
        with self._closing:
            self._closed = True
            if self._loop.is_closed():
                return
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._wire.close()
