"""What a server says instead of an answer: what is tried again, what ends a row, what ends a run."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from played import Played, chat, error, request_of

from mene import Judge
from mene.engines.remote.read_fault import read_fault
from mene.engines.remote.server import HOPELESS
from mene.errors import ContextOverflow, EngineError, ModelError

GOOD = chat("**Result:** Yes")
FULL = request_of(critique_tokens=30)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (error("busy", code=429), 429, "busy"),
        (error("busy", code="503"), 503, "busy"),
        (error("slow down", type="rate_limit_error"), 429, "slow down"),
        (error("no such key", code="invalid_api_key"), 401, "no such key"),
        ({"error": "out of memory"}, 500, "out of memory"),
        ([error("quota", code=429)], 429, "quota"),
        ({"object": "error", "message": "bad", "code": 400}, 400, "bad"),
        ({"success": False, "errors": [{"message": "no"}]}, 500, "no"),
        ({"choices": [{"error": {"message": "gone", "code": 502}}]}, 502, "gone"),
        (
            error("Provider returned error", code=429, metadata={"raw": "cold"}),
            429,
            "Provider returned error: cold",
        ),
    ],
)
def test_an_error_in_a_200_is_that_error(body, status, reason) -> None:
    fault = read_fault(200, {}, body, "")
    assert fault is not None
    assert (fault.status, fault.reason) == (status, reason)


@pytest.mark.parametrize(
    ("body", "text", "reason"),
    [
        ({"detail": "Not here"}, "", "Not here"),
        ({"detail": [{"loc": ["body"], "msg": "too few"}]}, "", "too few"),
        (None, "<html><style>p {}</style><h1>Bad\n gateway</h1></html>", "Bad gateway"),
        (None, "\x1b[31mno\x07", "[31mno"),
        (None, "", "HTTP 418"),
        ({"error": {}}, "", "HTTP 418"),
    ],
)
def test_the_servers_own_words(body, text, reason) -> None:
    fault = read_fault(418, {}, body, text)
    assert fault is not None
    assert fault.reason == reason


def test_an_answer_is_no_fault() -> None:
    for body in (GOOD, GOOD | {"error": None}, {"data": []}, None, []):
        assert read_fault(200, {}, body, "") is None


@pytest.mark.parametrize("status", [200, 429, 503, 529])
def test_what_may_pass_is_asked_again(status) -> None:
    server = Played(lambda body, n: (status, error("busy", code=429)) if n % 2 == 0 else GOOD)
    done = server.ask(*(request_of(i) for i in range(4)), concurrency=1)
    assert [one.label for one in done] == ["Yes"] * 4
    assert len(server.bodies) == 8


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, error("You exceeded your quota", code="insufficient_quota")),
        (429, error("Your account is suspended", type="exceeded_current_quota_error")),
        (402, error("Insufficient Balance")),
        (403, error("The team has no credits left")),
        (200, error("quota exceeded", code=402)),
        (400, error("Your credit balance is too low")),
    ],
)
def test_without_credit_a_run_stops_at_once(status, body) -> None:
    server = Played(lambda _, n: (status, body))
    with pytest.raises(ModelError, match="out of credit") as told:
        server.ask(*(request_of(i) for i in range(50)), concurrency=1)
    assert len(server.bodies) == 1
    assert body["error"]["message"] in str(told.value)


def test_a_limit_of_requests_is_none_of_credit() -> None:
    limit = httpx.Response(
        429,
        headers={"retry-after": "0"},
        json=error("Quota exhausted for this minute", code="RESOURCE_EXHAUSTED"),
    )
    assert Played(lambda _, n: GOOD if n else limit).ask()[0].label == "Yes"


def test_nobody_waits_for_a_day() -> None:
    day = httpx.Response(429, headers={"retry-after": "86400"}, json=error("limit of the day"))
    server = Played(lambda _, n: day)
    with pytest.raises(ModelError, match="limit of the day; it accepts no request for hours"):
        server.ask()
    assert len(server.bodies) == 1


@pytest.mark.parametrize("status", [200, 400, 403, 404, 422, 500, 501])
@pytest.mark.parametrize("words", ["logprobs are not allowed here", "log probabilities: unsupported"])  # fmt: skip
def test_log_probabilities_that_are_refused_are_left_out(status, words) -> None:
    server = Played(lambda body, _: (status, error(words)) if "logprobs" in body else GOOD)
    done = server.ask(request_of(0), request_of(1), concurrency=1)
    assert [one.label for one in done] == ["Yes", "Yes"]
    assert len(server.bodies) == 3


def test_limits_under_any_name_or_none() -> None:
    def reply(body, _):
        for name in ("max_tokens", "max_completion_tokens"):
            if name in body:
                return 400, error("Unsupported parameter", param=name)
        return GOOD

    assert Played(reply).ask()[0].label == "Yes"


def test_a_limit_that_is_too_high_is_said_and_not_left_out() -> None:
    server = Played(lambda *_: (400, error("max_tokens is too large: the maximum is 16")))
    assert "lower --critique-tokens" in str(server.ask()[0].error)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error("flagged", code="content_filter"), EngineError),
        (403, error("Your input was flagged: moderation"), EngineError),
        (413, error("Payload too large"), ContextOverflow),
        (500, error("the request exceeds the available context size"), ContextOverflow),
        (403, None, EngineError),  # a page of a firewall that did not like the row
    ],
)
def test_what_is_said_of_a_row_is_the_rows_alone(status, body, kind) -> None:
    def reply(asked, _):
        if "Good? 3" in asked["messages"][0]["content"]:
            return (status, body) if body else httpx.Response(status, text="<h1>Blocked</h1>")
        return GOOD

    done = Played(reply).ask(*(request_of(i) for i in range(9)), concurrency=1)
    assert [one.label for one in done] == ["Yes"] * 3 + [None] + ["Yes"] * 5
    assert type(done[3].error) is kind


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (error("The model `m` does not exist"), 'has no model "m"'),
        ({"detail": "Not Found"}, "URL ends in /v1"),
        (None, "URL ends in /v1"),
    ],
)
def test_a_missing_model_and_a_missing_route(body, message) -> None:
    page = httpx.Response(404, text="<h1>Nothing</h1>")
    with pytest.raises(ModelError, match=message):
        Played(lambda *_: (404, body) if body else page).ask()


# -- when to stop ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 500, 418])
def test_a_run_of_which_no_row_can_pass_stops(status) -> None:
    server = Played(lambda *_: (status, error("broken")))
    with pytest.raises(ModelError, match=f"broken; .*{HOPELESS} rows in turn"):
        server.ask(*(request_of(i) for i in range(1000)), concurrency=2)
    assert len({b["messages"][0]["content"] for b in server.bodies}) <= HOPELESS + 2


def test_rows_that_fail_among_others_stop_nothing() -> None:
    def reply(body, _):
        number = int(body["messages"][0]["content"].split()[-1])
        return (500, error("broken")) if number % 4 else GOOD

    done = Played(reply).ask(*(request_of(i) for i in range(40)), concurrency=1)
    assert sum(one.label == "Yes" for one in done) == 10


def test_a_server_that_takes_and_never_answers_is_given_up() -> None:
    async def silence(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"data": []})
        asked.append(request)
        await asyncio.sleep(60)
        raise AssertionError

    asked: list[httpx.Request] = []
    server = Played(lambda *_: GOOD)
    server.__class__ = type("Silent", (Played,), {"__call__": lambda self, r: silence(r)})
    with pytest.raises(ModelError, match="no answer within 0.05 s"):
        server.ask(*(request_of(i) for i in range(1000)), timeout_s=0.05, concurrency=8)
    assert len(asked) <= 40


# -- answers that are not finished -----------------------------------------------------------------


@pytest.mark.parametrize(
    "cut",
    [
        chat("<think>I close with **Result:** No", "length"),
        chat("**Result:** 1", "length"),
        chat("", "length"),
        chat(None, "length", reasoning_content="**Result:** No"),
    ],
)
@pytest.mark.parametrize("tokens", [0, 30])
def test_a_cut_answer_is_asked_for_again_with_more_room_once(cut, tokens) -> None:
    request = request_of(labels=("1", "10", "No"), critique_tokens=tokens)
    server = Played(lambda body, n: cut)
    done = server.ask(request)[0]
    assert done.label is None
    assert "was cut at" in str(done.error)
    assert f"with --{'critique' if tokens else 'thought'}-tokens" in str(done.error)
    rooms = [body["max_tokens"] for body in server.bodies]
    assert len(rooms) == 2
    assert rooms[1] >= rooms[0] + 4000
    assert server.bodies[0]["messages"] == server.bodies[1]["messages"]
    server = Played(lambda body, n: chat("**Result:** 10") if n else cut)
    assert server.ask(request)[0].label == "10"


def test_a_model_that_reasons_gets_room_at_once_from_then_on() -> None:
    def reply(body, _):
        return chat("Yes", reasoning="so") if body["max_tokens"] > 999 else chat("", "length")

    server = Played(reply)
    done = server.ask(*(request_of(i) for i in range(5)), concurrency=1)
    assert [(one.label, one.notes) for one in done] == [("Yes", [])] * 5
    assert len(server.bodies) == 6


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(("mode", "asked"), [("verdict", 9000), ("critique", 5000)])
def test_the_room_that_a_user_gives_reaches_a_model_that_reasons(mode, asked, later) -> None:
    """In verdict mode there is no critique to give it to, and it was lost; then it was lost where the engine ran already, or the
    mode was another one when it was opened."""
    rooms: list[int] = []

    def reply(body, _):
        rooms.append(body["max_tokens"])
        enough = body["max_tokens"] > asked
        return chat("**Result:** Yes", reasoning="so") if enough else chat("", "length")

    server = Played(reply)
    room = {"critique_tokens": 5000, "thought_tokens": 5000}
    options = {"mode": "critique"} if later else {"mode": mode, **room}
    with Judge("openai:m@http://127.0.0.1:9/v1", engine=server.engine(), **options) as judge:
        if later:
            judge = judge.using(mode=mode, **room)
        verdict = judge(context="x", response="x", criterion="faithfulness")
    assert (verdict.label, rooms[0] < 100) == ("Yes", mode == "verdict")
    assert rooms[-1] < 10_000


def test_where_there_is_no_more_room_the_cut_is_what_is_told() -> None:
    def reply(body, _):
        if body["max_tokens"] > 999:
            return 400, error("max_tokens: at most 512")
        return chat("Well", "length")

    assert "was cut at" in str(Played(reply).ask()[0].error)


def test_two_results_are_asked_for_again() -> None:
    two = chat("**Result:** Yes\n\nIf it were rude: **Result:** No")
    server = Played(lambda _, n: GOOD if n else two)
    done = server.ask(FULL)[0]
    assert (done.label, done.notes[0]) == ("Yes", "asked again for the label")
    assert "exactly one of" in server.bodies[1]["messages"][-1]["content"]
    assert "several results" in str(Played(lambda *_: two).ask(FULL)[0].error)


def test_a_refusal_is_said_and_not_asked_again() -> None:
    server = Played(lambda *_: chat(None, refusal="I can't help with that."))
    assert "withheld the answer (I can't help" in str(server.ask()[0].error)
    assert len(server.bodies) == 1


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_vllm_with_a_reasoning_parser(field) -> None:
    def reply(body, _):
        if "guided_choice" in body:
            return chat(None, **{field: " Yes"})
        return chat(None, **{field: "It says thanks."})

    done = Played(reply, owner="vllm").ask(FULL)[0]
    assert (done.label, done.critique, done.error) == ("Yes", "It says thanks.", None)


def test_a_choice_that_was_cut_is_not_the_shorter_label() -> None:
    request = request_of(labels=("1", "10"))
    server = Played(lambda *_: chat(" 1", "length"), owner="vllm")
    assert "was cut" in str(server.ask(request)[0].error)
    server = Played(lambda _, n: chat(" 10") if n else chat(" 1", "length"), owner="vllm")
    assert server.ask(request)[0].label == "10"


def test_a_critique_alone_that_was_thought_is_a_critique() -> None:
    request = request_of(critique_tokens=30, choose=False)
    assert Played(lambda *_: chat(None, reasoning="It is late.")).ask(request)[0].critique == "It is late."  # fmt: skip
    server = Played(lambda _, n: chat("It is late.") if n else chat("<think>Hm", "length"))
    assert server.ask(request)[0].critique == "It is late."
    cut = Played(lambda *_: chat("It is", "length")).ask(request)[0]
    assert (cut.critique, cut.notes) == ("It is", ["critique cut at 54 tokens"])


@pytest.mark.parametrize("missing", ["/apply-template", "/tokenize"])
def test_a_llama_server_without_its_routes_is_asked_by_chat(missing) -> None:
    def reply(body, _):
        if body["path"].endswith(missing):
            return 404, error("not here", code=404)
        if body["path"].endswith("/apply-template"):
            return {"prompt": "Hello"}
        return GOOD

    gets = {"/props": {"default_generation_settings": {"n_ctx": 4096}}}
    done = Played(reply, owner="llamacpp", gets=gets).ask()[0]
    assert (done.label, done.error) == ("Yes", None)


def llama(top: object, choice: object = None):
    """A llama-server whose template opens a thought, and that tells ``top`` of the labels."""

    def reply(body, _):
        if body["path"].endswith("/apply-template"):
            return {"prompt": "user: Good?\nassistant: <think>\n"}
        if body["path"].endswith("/tokenize"):
            return {"tokens": [1, 2 + body["content"].endswith("No")]}
        if "top_k" in body and body.get("n_probs"):
            content = [{"top_probs": top, "logprob": -1.0}]
            return {"choices": [{"text": "", "logprobs": {"content": content}}], "usage": {}}
        return {"choices": [choice or {"text": "So.", "finish_reason": "stop"}], "usage": {"prompt_tokens": 1.5}}  # fmt: skip

    return Played(
        reply,
        owner="llamacpp",
        gets={"/props": {"default_generation_settings": {"n_ctx": 4096}}},
    )


def test_a_thought_that_the_template_opens_is_closed_before_opening_and_cue() -> None:
    server = llama([{"id": 2, "prob": 0.7}, {"id": 3, "prob": 0.3}])
    done = server.ask(FULL)[0]
    assert done.error is None
    assert (done.label, done.critique) == ("Yes", "So.")
    prompts = [body["prompt"] for body in server.bodies if "prompt" in body]
    assert prompts[0].endswith("<think>\n\n</think>\n\n**Reasoning:**")
    thinking = {"text": " Well.<think>hm \ud83d", "finish_reason": "length"}
    server = llama([{"id": 2, "prob": 0.7}, {"id": 3, "prob": 0.3}], thinking)
    done = server.ask(FULL)[0]
    assert (done.critique, done.notes) == ("Well.", ["critique cut at 30 tokens"])
    assert server.bodies[-1]["prompt"][0].endswith("<think>hm �\n</think>\n\n")


@pytest.mark.parametrize("odd", [None, "x", [{}], [{"id": 2, "prob": "a"}], [{"id": 2, "prob": float("nan")}], [{"id": 2, "prob": 0}]])  # fmt: skip
def test_odd_probabilities_are_this_rows_error(odd) -> None:
    done = llama(odd).ask()[0]
    assert done.label is None
    assert done.error is not None
