"""Any server that speaks OpenAI's API: vLLM, llama-server, Ollama, OpenAI itself.

This file talks: pace, retries, parameters, errors. Reading an answer is ``remote.py``'s. What a server
can do decides how the label is found:

* llama-server: the exact steps of the embedded engine; tested against a real one;
* vLLM: the label is a constrained choice after a prefilled cue; tested against a small scripted
  server only, never against a running vLLM;
* others: the answer is parsed strictly, and asked again if it does not end in a label.

Retries are made here and not by the ``openai`` client, so that they keep to the rate limit too.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar, cast

import openai

from mene.engines import remote
from mene.engines.base import Completion, Request
from mene.engines.labels import LabelPaths, label_paths, whole_texts
from mene.engines.pump import pump
from mene.engines.steps import RESERVE, judgement, overflow
from mene.errors import EngineError, MeneError, ModelError
from mene.verdict import Usage

T = TypeVar("T")
# Asked at most this often when the answer does not end in a label.
PARSE_TRIES = 3
# What some servers refuse; it is left out once they have said so.
OPTIONAL = ("top_logprobs", "logprobs", "seed", "temperature", "max_tokens")


class OpenAIEngine:
    """Judges through a server.

    Args:
        model: the model's name there.
        url: base URL up to ``/v1``; default OPENAI_BASE_URL or OpenAI.
        api_key: default OPENAI_API_KEY; servers of one's own need none.
        concurrency: requests under way at once.
        retries: tries after the first, per request.
        timeout_s: per try, seconds.
        requests_per_minute: never faster than this, retries included.
        backoff_s: pause before the first retry where the server names none; doubles each time.

    Raises:
        ModelError: OpenAI without a key.
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
    ) -> None:
        self.model = model
        self.url = (url or os.environ.get("OPENAI_BASE_URL") or remote.OPENAI_URL).rstrip("/")
        key = api_key or os.environ.get("OPENAI_API_KEY")
        if not key and remote.is_openai(self.url):
            raise ModelError(
                f"openai:{model} needs a key: set OPENAI_API_KEY, or name a server of your own with "
                f"--judge openai:{model}@URL"
            )
        # A URL may hold a password; what is shown or recorded does not.
        self._name = re.sub(r"//[^/@]*@", "//", self.url)
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
        # The loop lives in a thread of its own, so that callers may have a running loop (Jupyter).
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, daemon=True, name="mene-openai"
        )
        self._thread.start()
        self._client = openai.AsyncOpenAI(
            base_url=self.url, api_key=key or "none", max_retries=0, timeout=timeout_s
        )
        self._kind: str | None = None

    def run(
        self, requests: Iterable[Request | None], stop: threading.Event | None = None
    ) -> Iterator[Completion]:
        """See ``Engine.run``."""
        try:
            self._wait(self._detect())
        except (openai.APITimeoutError, TimeoutError):
            pass  # it is slow; every request asks again
        except openai.APIConnectionError:
            raise ModelError(
                f"{self._name}: cannot connect; check that the server runs and the URL is right"
            ) from None
        except openai.OpenAIError:
            pass  # it is there but busy; every request asks again, and says so if it stays like that
        gate = asyncio.Semaphore(self._concurrency)
        running: set[Future[Completion]] = set()

        def submit(request: Request) -> Future[Completion]:
            future = asyncio.run_coroutine_threadsafe(self._judge(request, gate), self._loop)
            running.add(future)
            future.add_done_callback(running.discard)
            return future

        try:
            yield from pump(requests, submit, ahead=2 * self._concurrency, stop=stop)
        finally:
            for future in list(running):
                future.cancel()

    async def _judge(self, request: Request, gate: asyncio.Semaphore) -> Completion:
        async with gate:
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
            except (openai.OpenAIError, TimeoutError, *remote.MALFORMED) as error:
                done.error = self._failure(error)
            if isinstance(done.error, ModelError):
                raise done.error  # no other request will fare better
            done.latency_s = time.perf_counter() - start
            return done

    def _failure(self, error: Exception) -> MeneError:
        return remote.failure(error, self._name, self.model, self._timeout_s)

    async def _send(self, call: Callable[[], Awaitable[T]], longest_s: float = math.inf) -> T:
        """Make a call, at the allowed pace, and make it again after a fault that may pass."""
        tried = 0
        while True:
            await self._pace()
            try:
                # The client's own time-out starts anew with every byte; some servers send blanks.
                async with asyncio.timeout(min(self._timeout_s, longest_s)):
                    return await call()
            except (openai.OpenAIError, json.JSONDecodeError, TimeoutError) as error:
                if tried >= self._retries or not remote.may_pass(error):
                    raise
                headers: Mapping[str, str] = {}
                if isinstance(error, openai.APIStatusError):
                    headers = error.response.headers
            await asyncio.sleep(remote.pause(tried, headers, self._backoff_s))
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
        text = (await self._post("/apply-template", {"messages": messages}))["prompt"]
        return text + request.opening if request.critique_tokens else text

    async def _tokenize(self, text: str, special: bool = False) -> list[int]:
        body = {"content": text, "add_special": special, "parse_special": special}
        return (await self._post("/tokenize", body))["tokens"]

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call llama-server's own API, beside ``/v1``."""
        root = self.url.removesuffix("/v1")
        try:
            answer: Any = await self._send(
                lambda: self._client.post(root + path, cast_to=object, body=body)
            )
        except openai.BadRequestError as error:
            if path == "/v1/completions" and isinstance(error.body, dict):
                return {"error": error.body}  # the steps know how to read it
            raise
        if not isinstance(answer, dict):
            raise EngineError(f"{self._name}: {path} sent no JSON; is it a llama-server?")
        return answer

    # -- vLLM -----------------------------------------------------------------------------------

    async def _judge_by_choice(self, request: Request, done: Completion) -> None:
        said = ""
        if request.critique_tokens:
            answer = await self._chat(
                remote.prefilled(request, request.opening),
                done,
                max_tokens=request.critique_tokens,
                temperature=request.temperature,
                seed=request.seed,
                stop=[request.cue],
                extra_body=remote.CONTINUE,
            )
            said = answer.choices[0].message.content or ""
            if answer.choices[0].finish_reason == "length":
                done.notes.append(f"critique cut at {request.critique_tokens} tokens")
            done.critique = said.strip()
            if not request.choose:
                return
            said = (request.opening + said).rstrip() + "\n\n"
        answer = await self._chat(
            remote.prefilled(request, said + request.cue),
            done,
            max_tokens=remote.room(request),
            temperature=0.0,
            logprobs=True,
            top_logprobs=20,
            extra_body=remote.choose(request.labels),
        )
        choice = answer.choices[0]
        done.label = remote.exact_label(choice.message.content or "", request.labels)
        if done.label is None:
            raise EngineError(
                f"{self._name} did not keep to the labels (said {choice.message.content!r}); its "
                "constrained decoding is off"
            )
        # Only the labels as they are written could be chosen, so other spellings do not count.
        done.probabilities = remote.read_probabilities(choice, request, done.label, fold=False)

    # -- everybody else -------------------------------------------------------------------------

    async def _judge_by_parsing(self, request: Request, done: Completion) -> None:
        messages: list[dict[str, str]] = [m._asdict() for m in request.messages]
        text = critique = ""
        for tried in range(PARSE_TRIES):
            answer = await self._chat(
                messages,
                done,
                max_tokens=request.critique_tokens + remote.room(request),
                temperature=request.temperature,
                seed=request.seed,
                logprobs=True,
                top_logprobs=20,
            )
            choice = answer.choices[0]
            text = choice.message.content or ""
            if not request.choose:
                done.critique = remote.critique_of(text, request)
                return
            done.label = remote.parse_label(text, request)
            # Asked again, a model may give the label alone; its reasons are those it gave before.
            critique = remote.critique_of(text, request) or critique
            if done.label is not None:
                if tried:
                    done.notes.append("asked again for the label")
                break
            messages = [*messages[: len(request.messages)], *remote.correction(text, request)]
        else:
            raise EngineError(
                f"no label in the answer after {PARSE_TRIES} tries (it ends {text[-60:]!r}); raise "
                "--critique-tokens, or use a model that follows the format"
            )
        if request.critique_tokens:
            done.critique = critique
        done.probabilities = remote.read_probabilities(choice, request, done.label, fold=True)

    async def _chat(self, messages: list[dict[str, str]], done: Completion, **options: Any) -> Any:
        """One chat completion; leaves out what the server has refused before."""
        while True:
            sent = {k: v for k, v in options.items() if k not in self._refused}
            if "max_tokens" in self._refused and "max_tokens" in options:
                sent["max_completion_tokens"] = options["max_tokens"]
            try:
                answer: Any = await self._send(
                    lambda sent=sent: self._client.chat.completions.create(
                        model=self.model, messages=cast(Any, messages), **sent
                    )
                )
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                # A prompt that is too long is often blamed on max_tokens.
                refused = None
                if not remote.is_too_long(str(error)):
                    refused = remote.named(
                        error.param or str(error), [o for o in OPTIONAL if o in sent]
                    )
                if refused is None:
                    raise
                self._refused |= {refused, "top_logprobs"} if refused == "logprobs" else {refused}
                continue
            for name in ("temperature", "seed"):
                note = f"the server takes no {name}"
                if name in options and name not in sent and note not in done.notes:
                    done.notes.append(note)
            used = answer.usage
            if used is not None:
                details = getattr(used, "prompt_tokens_details", None)
                done.usage += Usage(
                    prompt_tokens=used.prompt_tokens or 0,
                    cached_tokens=(getattr(details, "cached_tokens", 0) or 0) if details else 0,
                    completion_tokens=used.completion_tokens or 0,
                )
            return answer

    # -- about the server -----------------------------------------------------------------------

    async def _detect(self) -> str:
        """Find out once what kind of server it is; one that does not say is taken as unknown.

        A server that cannot be reached raises and is asked again: a verdict must not be found in
        another way only because the server was still starting.
        """
        if self._kind is None:
            self._kind = "openai" if remote.is_openai(self.url) else await self._ask_kind()
        return self._kind

    async def _ask_kind(self) -> str:
        root = self.url.removesuffix("/v1")
        try:
            models = await self._get(self.url + "/models")
            owners = {str(m.get("owned_by", "")).lower() for m in models["data"]}
            if "llamacpp" in owners:
                props = await self._get(root + "/props")
                self.context = int(props["default_generation_settings"]["n_ctx"]) or None
                # Without a window it is a router or a proxy that hides the server's own API.
                return "llama.cpp" if self.context else "unknown"
            return "vllm" if "vllm" in owners else "unknown"
        except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError):
            raise
        except (openai.OpenAIError, *remote.MALFORMED):
            return "unknown"

    async def _get(self, url: str) -> Any:
        return await self._send(lambda: self._client.get(url, cast_to=object), longest_s=15)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise EngineError(f"{self.identity} is closed; make a new engine")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _prompt(self, request: Request, count: bool) -> tuple[str, int | None]:
        try:
            if await self._detect() == "llama.cpp":
                text = await self._template(request)
                return text, len(await self._tokenize(text, special=True)) if count else None
        except (openai.OpenAIError, TimeoutError, *remote.MALFORMED) as error:
            raise self._failure(error) from None
        return "\n\n".join(f"[{m.role}]\n{m.content}" for m in request.messages), None

    def prompt(self, request: Request) -> str:
        """What the model reads where the server tells; else the messages."""
        return self._wait(self._prompt(request, count=False))[0]

    def count(self, request: Request) -> int | None:
        """Tokens of the prompt; None where the server has no tokeniser to ask."""
        return self._wait(self._prompt(request, count=True))[1]

    def close(self) -> None:
        """Give up what is under way, end the connections and the thread."""
        if self._loop.is_closed():
            return
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()
