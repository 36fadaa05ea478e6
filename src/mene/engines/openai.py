"""Any server that speaks OpenAI's API: vLLM, llama-server, Ollama, OpenAI itself.

Retries (429, 5xx, time-outs, cut connections; Retry-After honoured) are the ``openai`` client's own.
What a server can do decides how the label is found, see ``remote.py``:

* llama-server: the exact steps of the embedded engine;
* vLLM: the label is a constrained choice after a prefilled cue;
* others: the answer is parsed strictly, and asked again if it does not end in a label.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar, cast

import openai

from mene.engines import remote
from mene.engines.base import Completion, Request
from mene.engines.labels import LabelPaths, label_paths
from mene.engines.pump import pump
from mene.engines.steps import RESERVE, judgement, overflow
from mene.errors import EngineError, MeneError, ModelError
from mene.verdict import Usage

T = TypeVar("T")
# Asked again this often when the answer does not end in a label, or is no answer at all.
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
        timeout_s: per request, seconds.
        requests_per_minute: never faster than this.

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
    ) -> None:
        self.model = model
        self.url = (url or os.environ.get("OPENAI_BASE_URL") or remote.OPENAI_URL).rstrip("/")
        key = api_key or os.environ.get("OPENAI_API_KEY")
        if not key and self.url.startswith(remote.OPENAI_URL):
            raise ModelError(
                f"openai:{model} needs a key: set OPENAI_API_KEY, or name a server of your own with "
                f"--judge openai:{model}@URL"
            )
        self.identity = f"openai:{model}@{self.url}"
        self.context: int | None = None
        self.control_tokens = remote.CONTROL_TOKENS
        self._concurrency = concurrency
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
            base_url=self.url, api_key=key or "none", max_retries=retries, timeout=timeout_s
        )
        self._kind: str | None = None

    def run(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See ``Engine.run``."""
        self._detect()
        gate = asyncio.Semaphore(self._concurrency)
        running: set[Future[Completion]] = set()

        def submit(request: Request) -> Future[Completion]:
            future = asyncio.run_coroutine_threadsafe(self._judge(request, gate), self._loop)
            running.add(future)
            future.add_done_callback(running.discard)
            return future

        try:
            yield from pump(requests, submit, ahead=2 * self._concurrency)
        finally:
            for future in list(running):
                future.cancel()

    async def _judge(self, request: Request, gate: asyncio.Semaphore) -> Completion:
        async with gate:
            start = time.perf_counter()
            done = Completion(request.index)
            try:
                if self._kind == "llama.cpp":
                    await self._judge_exactly(request, done)
                elif self._kind == "vllm":
                    await self._judge_by_choice(request, done)
                else:
                    await self._judge_by_parsing(request, done)
            except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
                raise ModelError(
                    f"{self.url} refuses the key ({_reason(error)}); check OPENAI_API_KEY"
                ) from None
            except openai.NotFoundError as error:
                raise ModelError(
                    f'{self.url} has no model "{self.model}" ({_reason(error)}); check the name and '
                    "that the URL ends in /v1"
                ) from None
            except MeneError as error:
                done.error = error
            except openai.OpenAIError as error:
                done.error = self._failure(error)
            except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
                done.error = EngineError(
                    f"{self.url} sent an answer that is none ({type(error).__name__}: {error}); is it "
                    "an OpenAI-compatible server?"
                )
            done.latency_s = time.perf_counter() - start
            return done

    def _failure(self, error: openai.OpenAIError) -> MeneError:
        sizes = remote.context_sizes(str(error))
        if sizes:
            return overflow(*sizes)
        if isinstance(error, openai.RateLimitError):
            advice = "lower --concurrency or set --rpm"
        elif isinstance(error, openai.APITimeoutError):
            advice = "the server is too slow or stuck; lower --concurrency"
        elif isinstance(error, openai.APIConnectionError):
            advice = "check that the server runs and the URL is right"
        else:
            advice = "run the same command again to retry the failed rows"
        return EngineError(f"{self.url}: {_reason(error)}; {advice}")

    # -- llama-server ---------------------------------------------------------------------------

    async def _judge_exactly(self, request: Request, done: Completion) -> None:
        text = await self._template(request)
        key = (request.cue, request.labels)
        if key not in self._paths:
            whole = {
                w: await self._tokenize(w) for w in (f"{request.cue} {x}" for x in request.labels)
            }
            self._paths[key] = label_paths(whole.__getitem__, *key)
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
        await self._pace()
        root = self.url.removesuffix("/v1")
        try:
            answer: Any = await self._client.post(root + path, cast_to=object, body=body)
        except openai.BadRequestError as error:
            if isinstance(error.body, dict):
                return {"error": error.body}
            raise
        if not isinstance(answer, dict):
            raise EngineError(f"{root}{path} sent no JSON; is it a llama-server?")
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
            said = (request.opening + said).rstrip() + "\n\n"
        answer = await self._chat(
            remote.prefilled(request, said + request.cue),
            done,
            max_tokens=16,
            temperature=0.0,
            logprobs=True,
            top_logprobs=20,
            extra_body=remote.choose(request.labels),
        )
        choice = answer.choices[0]
        done.label = remote.exact_label(choice.message.content or "", request.labels)
        if done.label is None:
            raise EngineError(
                f"{self.url} did not keep to the labels (said {choice.message.content!r}); its "
                "constrained decoding is off"
            )
        content = choice.logprobs.content if choice.logprobs else None
        done.probabilities = remote.visible_probabilities(content or [], 0, request.labels)

    # -- everybody else -------------------------------------------------------------------------

    async def _judge_by_parsing(self, request: Request, done: Completion) -> None:
        messages: list[dict[str, str]] = [m._asdict() for m in request.messages]
        text = ""
        for _ in range(PARSE_TRIES):
            answer = await self._chat(
                messages,
                done,
                max_tokens=request.critique_tokens + 24,
                temperature=request.temperature,
                seed=request.seed,
                logprobs=True,
                top_logprobs=20,
            )
            choice = answer.choices[0]
            text = choice.message.content or ""
            done.label = remote.parse_label(text, request)
            if done.label is not None:
                break
            messages = [*messages[: len(request.messages)], *remote.correction(text, request)]
        else:
            raise EngineError(
                f"no label in the answer after {PARSE_TRIES} tries (it ends {text[-60:]!r}); raise "
                "--critique-tokens, or use a model that follows the format"
            )
        if request.critique_tokens:
            done.critique = remote.critique_of(text, request)
        content = choice.logprobs.content if choice.logprobs else None
        if content:
            place = remote.label_place([token.token for token in content], request)
            if place is not None:
                found = remote.visible_probabilities(content, place, request.labels)
                if found and max(found, key=found.__getitem__) == done.label:
                    done.probabilities = found

    async def _chat(self, messages: list[dict[str, str]], done: Completion, **options: Any) -> Any:
        """One chat completion; leaves out what the server has refused before."""
        while True:
            await self._pace()
            sent = {k: v for k, v in options.items() if k not in self._refused}
            if "max_tokens" in self._refused and "max_tokens" in options:
                sent["max_completion_tokens"] = options["max_tokens"]
            try:
                answer: Any = await self._client.chat.completions.create(
                    model=self.model,
                    messages=cast(Any, messages),
                    **sent,
                )
            except openai.BadRequestError as error:
                refused = next((o for o in OPTIONAL if o in sent and o in str(error)), None)
                if refused is None:
                    raise
                self._refused |= {refused, "top_logprobs"} if refused == "logprobs" else {refused}
                continue
            used = answer.usage
            if used is not None:
                details = getattr(used, "prompt_tokens_details", None)
                done.usage += Usage(
                    prompt_tokens=used.prompt_tokens or 0,
                    cached_tokens=(getattr(details, "cached_tokens", 0) or 0) if details else 0,
                    completion_tokens=used.completion_tokens or 0,
                )
            return answer

    async def _pace(self) -> None:
        if self._pause:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + self._pause
            await asyncio.sleep(self._free_at - self._pause - now)

    # -- about the server -----------------------------------------------------------------------

    def _detect(self) -> str:
        """Ask once what kind of server it is; one that does not say is treated as unknown."""
        if self._kind is None:
            self._kind = self._wait(self._ask_kind())
        return self._kind

    async def _ask_kind(self) -> str:
        if self.url.startswith(remote.OPENAI_URL):
            return "openai"
        try:
            quick = self._client.with_options(max_retries=1, timeout=10)
            models: Any = await quick.get("/models", cast_to=object)
            owners = {str(m.get("owned_by", "")).lower() for m in models.get("data", [])}
        except (openai.OpenAIError, AttributeError, TypeError):
            return "unknown"  # the first real request will say what is wrong
        if "llamacpp" in owners:
            try:
                props: Any = await self._client.get(
                    self.url.removesuffix("/v1") + "/props", cast_to=object
                )
                self.context = int(props["default_generation_settings"]["n_ctx"])
            except (openai.OpenAIError, KeyError, TypeError, ValueError):
                return "unknown"  # behind a proxy that hides the server's own API
            return "llama.cpp"
        return "vllm" if "vllm" in owners else "unknown"

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def prompt(self, request: Request) -> str:
        """What the model reads where the server tells; else the messages."""
        if self._detect() == "llama.cpp":
            return self._wait(self._template(request))
        return "\n\n".join(f"[{m.role}]\n{m.content}" for m in request.messages)

    def count(self, request: Request) -> int | None:
        """Tokens of the prompt; None where the server has no tokeniser to ask."""
        if self._detect() != "llama.cpp":
            return None
        return len(self._wait(self._tokenize(self.prompt(request), special=True)))

    def close(self) -> None:
        """End the connections and the thread."""
        if self._loop.is_running():
            self._wait(self._client.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5)


def _reason(error: openai.OpenAIError) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
