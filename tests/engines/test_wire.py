"""Where a key goes, where it does not, and what is not followed or read."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest
from played import Played, chat, error, request_of

from mene.engines.remote import wire
from mene.engines.remote.openai import OpenAIEngine
from mene.errors import ModelError, UsageError
from mene.text import redact

GOOD = chat("**Result:** Yes")
KEY = "sk-a-real-looking-key"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setattr(redact, "_known", ())
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


def sent(url: str, **options) -> set[str | None]:
    """The keys that requests to a server carried."""
    server = Played(lambda *_: GOOD)
    server.ask(url=url, **options)
    return {request.headers.get("authorization") for request in server.seen}


@pytest.mark.parametrize(
    ("url", "base", "key"),
    [
        ("https://api.openai.com/v1", None, KEY),
        ("https://api.openai.com:443/v1", None, KEY),
        ("https://example.org/v1", None, None),
        ("http://127.0.0.1:9/v1", None, None),
        ("http://localhost:9/v1", None, None),
        ("https://api.openai.com.example.org/v1", None, None),
        ("https://example.org/v1", "https://example.org/v1", KEY),
        ("https://EXAMPLE.org/other/v1", "https://example.org/v1", KEY),
        ("https://example.org:8443/v1", "https://example.org/v1", None),
        ("http://example.org/v1", "https://example.org/v1", None),
        ("http://example.org/v1", "http://example.org/v1", None),
        ("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1", KEY),
        ("http://[::1]:9/v1", "http://[::1]:9/v1", KEY),
    ],
)
def test_the_key_goes_to_its_own_host_alone(monkeypatch, url, base, key) -> None:
    if base:
        monkeypatch.setenv("OPENAI_BASE_URL", base)
    assert sent(url) == {f"Bearer {key}" if key else None}


def test_with_another_base_the_key_is_not_openais(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://example.org/v1")
    with pytest.raises(ModelError, match="needs a key"):
        OpenAIEngine("m", "https://api.openai.com/v1")


def test_account_headers_go_to_openai_alone(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    for url, names in (("https://api.openai.com/v1", {"openai-organization"}), ("https://example.org/v1", set())):  # fmt: skip
        server = Played(lambda *_: GOOD)
        server.ask(url=url)
        assert {n for r in server.seen for n in r.headers if n.startswith("openai-")} == names


def test_a_key_that_is_given_goes_where_it_was_given_for() -> None:
    assert sent("https://example.org/v1", api_key="given-for-it") == {"Bearer given-for-it"}
    assert sent("http://127.0.0.1:9/v1", api_key="given-for-it") == {"Bearer given-for-it"}
    assert sent("http://example.org/v1", api_key="EMPTY") == {"Bearer EMPTY"}
    assert sent("https://u:pass%20word@example.org/v1") == {"Basic dTpwYXNzIHdvcmQ="}


@pytest.mark.parametrize(
    ("url", "key"), [("http://example.org/v1", "given-for-it"), ("http://u:passwd@10.0.0.7/v1", None)]
)  # fmt: skip
def test_no_secret_goes_over_plain_http_to_another_machine(url, key) -> None:
    with pytest.raises(ModelError, match="plain HTTP") as told:
        OpenAIEngine("m", url, api_key=key)
    assert "given" not in str(told.value) and "passwd" not in str(told.value)


def test_who_refuses_a_key_that_was_not_sent_is_told_how_to_send_it() -> None:
    server = Played(lambda *_: (401, error("who are you?")))
    with pytest.raises(ModelError, match="OPENAI_BASE_URL=https://example.org/v1"):
        server.ask(url="https://example.org/v1")


@pytest.mark.parametrize("key", ["sk-ümlaut-key", "sk-two words", "sk-new\nline-here"])
def test_a_key_that_is_none(key) -> None:
    with pytest.raises(ModelError, match="holds characters") as told:
        OpenAIEngine("m", "https://example.org/v1", api_key=key)
    assert key not in str(told.value)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/v1", "h/v1", "http://", "http://[::1/v1", "http://u:p@[h]x/v1?key=pass/word", "http://\udcff/", "http://u:pass/word@h:x/v1"])  # fmt: skip
def test_what_is_no_url(url) -> None:
    with pytest.raises(UsageError, match="no URL of a server") as told:
        OpenAIEngine("m", url)
    assert "pass/" not in str(told.value)


@pytest.mark.parametrize("options", [{"requests_per_minute": float("nan")}, {"requests_per_minute": -1}, {"concurrency": 0}, {"timeout_s": 0}])  # fmt: skip
def test_numbers_that_make_no_sense(options) -> None:
    with pytest.raises(UsageError):
        OpenAIEngine("m", "http://127.0.0.1:9/v1", **options)


@pytest.mark.parametrize("where", ["reason", "critique", "refusal", "page"])
def test_a_key_that_the_server_says_goes_no_further(where) -> None:
    replies = {
        "reason": (400, error(f"bad header Bearer {KEY}")),
        "critique": chat(f"**Reasoning:** {KEY}\n\n**Result:** Yes"),
        "refusal": chat(None, refusal=f"not for {KEY}"),
        "page": httpx.Response(403, text=f"<p>{KEY}</p>"),
    }
    server = Played(lambda *_: replies[where])
    request = request_of(critique_tokens=9)
    done = server.ask(request, url="http://127.0.0.1:9/v1", api_key=KEY)[0]
    assert KEY not in f"{done.error} {done.critique}"
    assert "***" in f"{done.error} {done.critique}"


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, text=f"not JSON; your key was {KEY}"),
        httpx.Response(403, text="<b></b>" * 570 + KEY),
        httpx.Response(200, headers={"content-encoding": "x" * 30 + KEY}, text="{}"),
    ],
)
def test_a_key_is_hidden_before_the_text_is_cut(reply) -> None:
    done = Played(lambda *_: reply)
    engine = done.engine("http://127.0.0.1:9/v1", api_key=KEY, retries=0)
    try:
        told = str(next(engine.run([request_of()])).error)
    except ModelError as error:
        told = str(error)
    engine.close()
    assert KEY[:9] not in told
    assert "***" in told


def test_a_query_goes_along_and_is_not_shown() -> None:
    server = Played(lambda *_: GOOD)
    engine = server.engine("https://example.org/v1?api-version=7&key=abcdefgh")
    next(engine.run([request_of()]))
    engine.close()
    assert {str(r.url.query, "ascii") for r in server.seen} == {"api-version=7&key=abcdefgh"}
    assert {r.url.path for r in server.seen} == {"/v1/models", "/v1/chat/completions"}
    assert "abcdefgh" not in engine.identity


@pytest.mark.parametrize(
    ("status", "target", "followed"),
    [
        (307, "/v1/other", True),
        (308, "http://127.0.0.1:9/v1/other", True),
        (307, "http://localhost:9/v1/other", False),
        (307, "http://127.0.0.1:10/v1/other", False),
        (308, "https://example.org/v1/other", False),
        (302, "/v1/other", False),
        (301, "/v1/other", False),
        (303, "/v1/other", False),
        (307, "file:///etc/passwd", False),
        (307, "http://[", False),
    ],
)
def test_redirects_stay_on_the_host_and_stay_posts(status, target, followed) -> None:
    def reply(body, _):
        if body["path"].endswith("/other"):
            return GOOD
        return httpx.Response(status, headers={"location": target})

    server = Played(reply)
    if followed:
        assert server.ask()[0].label == "Yes"
    else:
        with pytest.raises(ModelError, match="not followed|not to a URL"):
            server.ask()
    hosts = {(r.url.host, r.url.port) for r in server.seen}
    assert hosts == {("127.0.0.1", 9)}
    assert {r.method for r in server.seen if r.url.path.endswith("/other")} <= {"POST"}


def test_a_circle_of_redirects_ends() -> None:
    server = Played(lambda *_: httpx.Response(307, headers={"location": "/v1/chat/completions"}))
    with pytest.raises(ModelError, match="circle"):
        server.ask()
    assert len(server.bodies) <= 5


@pytest.mark.parametrize("packing", ["gzip", "gzip, gzip", "br", None])
def test_no_more_is_read_than_a_judgement_has(monkeypatch, packing) -> None:
    monkeypatch.setattr(wire, "LARGEST", 1 << 20)
    data = b" " * (2 << 20)
    for _ in range(str(packing).count("gzip")):
        data = gzip.compress(data)
    headers = {"content-encoding": packing} if packing else {}
    server = Played(lambda *_: httpx.Response(200, headers=headers, stream=Stream(data)))
    done = server.ask()[0]
    assert "more than 1 MiB" in str(done.error) or "not asked for" in str(done.error)
    assert len(server.bodies) == 1  # it would be as large again


class Stream(httpx.AsyncByteStream):
    def __init__(self, data: bytes) -> None:
        self.data = data

    async def __aiter__(self):
        for at in range(0, len(self.data), 1 << 16):
            yield self.data[at : at + (1 << 16)]


def test_odd_json_loses_an_answer_only_where_it_must() -> None:
    text = json.dumps(GOOD)
    for odd in ('"z": ' + "9" * 5000, '"z": NaN', '"z": "\\ud800"', '"choices": 1, "choices"' + text[10:text.index(', "usage"')]):  # fmt: skip
        whole = text[:-1] + ", " + odd + "}"
        server = Played(lambda *_, whole=whole: httpx.Response(200, text=whole))
        assert server.ask()[0].label == "Yes"
    deep = '{"choices": ' + "[" * 100_000
    server = Played(lambda *_: httpx.Response(200, text=deep))
    assert "nested too deeply" in str(server.ask()[0].error)


def test_half_a_character_in_a_row_is_sent_as_a_whole_one() -> None:
    from mene.engines.base import Request
    from mene.message import Message

    server = Played(lambda *_: GOOD)
    messages = (Message("user", "caf\ud83d\ude00 \ud83d"),)
    server.ask(Request(0, messages, ("Yes", "No"), "**Reasoning:**", "**Result:**"))
    assert server.bodies[0]["messages"][0]["content"] == "caf😀 �"


def test_many_at_once_are_as_many_as_asked_for() -> None:
    server = Played(lambda *_: GOOD)
    done = server.ask(*(request_of(i) for i in range(300)), concurrency=100)
    assert [one.label for one in done] == ["Yes"] * 300
