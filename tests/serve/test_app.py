"""What is true of every route: who may come in, limits, errors, and pages about the server."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from served import POLITE, served, until

from mene.errors import UsageError
from mene.serve.app import build_app
from mene.serve.door import Limits
from mene.serve.keys import Keys

ROW = {"sample": {"response": "Thank you."}, "criterion": "Is it polite?"}
NOUL = {
    "model": "jev-latest",
    "state": "Hi.",
    "questions": {"q": {"type": "noul", "instructions": "Is it?"}},
}


def run(test, *names, **options):
    async def main():
        async with served(*names, **options) as app:
            return await asyncio.wait_for(test(app), 20)

    return asyncio.run(main())


def test_a_key_is_needed_where_there_are_keys(caplog):
    async def test(app):
        for headers, status in (
            ({}, 401),
            ({"authorization": "Bearer wrong-key-1"}, 401),
            ({"authorization": "Basic right-key-2"}, 401),
            ({"authorization": "Bearer right-key-2"}, 200),
            ({"authorization": "bearer right-key-2"}, 200),
        ):
            found = await app.post("/v1/judge", ROW, headers=headers)
            assert found.status_code == status, headers
            if status == 401:
                assert found.json()["detail"]["error_type"] == "authentication_error"
                assert found.json()["error"]["code"] == "invalid_api_key"
        assert (await app.client.get("/metrics")).status_code == 401
        for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
            assert (await app.client.get(path)).status_code == 200
        assert "right-key-2" not in repr(vars(app.serving.keys))

    with caplog.at_level(logging.DEBUG):
        run(test, keys=["right-key-1", "right-key-2"])
    assert "right-key" not in caplog.text and "wrong-key" not in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no key in it"),
        ("# only\n\n", "no key in it"),
        ("abcdefgh1\nshort\n", "line 2: a key has 8"),
        ("with space in it", "line 1"),
    ],
)
def test_a_file_without_good_keys_is_refused(tmp_path, text, message):
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as refused:
        Keys.read(path)
    assert "short" not in str(refused.value).replace("shorter", "")


def test_keys_are_read(tmp_path):
    path = tmp_path / "keys"
    path.write_text("# ours\nabcdefgh1\n\n  ijklmnop2  \n")
    keys = Keys.read(path)
    assert len(keys) == 2 and keys.who("Bearer ijklmnop2") == "key 2"
    with pytest.raises(UsageError, match="cannot read the keys"):
        Keys.read(tmp_path / "none")


def test_pages_of_other_sites_may_not_ask():
    async def test(app):
        for origin, status in (
            ("http://localhost", 200),
            ("https://evil.example", 403),
            ("null", 403),
            ("http://localhost.evil.example", 403),
        ):
            found = await app.post("/v1/judge", ROW, headers={"origin": origin})
            assert found.status_code == status, origin
            assert "access-control-allow-origin" not in found.headers
        found = await app.post("/v1/judge", ROW, headers={"host": "rebound.example"})
        assert found.status_code == 421

    run(test)


def test_an_origin_that_is_named_may_ask():
    async def test(app):
        origin = {"origin": "https://a.example"}
        found = await app.post("/v1/judge", ROW, headers=origin)
        assert found.status_code == 200
        assert found.headers["access-control-allow-origin"] == "https://a.example"
        asks = {
            **origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
        }
        assert (await app.client.options("/v1/judge", headers=asks)).status_code == 200

    run(test, cors=frozenset({"https://a.example"}))


def test_every_answer_has_its_headers_and_errors_are_json():
    async def test(app):
        for method, path, status in (
            ("GET", "/docs", 200),
            ("GET", "/nothing/here", 404),
            ("GET", "/v1/judge/", 404),
            ("GET", "/v1/judge", 405),
            ("POST", "/v1/judge", 422),
            ("GET", "/v1/models", 200),
        ):
            found = await app.client.request(method, path)
            assert found.status_code == status, path
            assert found.headers["x-content-type-options"] == "nosniff"
            assert "script-src 'self'" in found.headers["content-security-policy"]
            assert found.headers["x-request-id"] == found.headers["x-typesafe-request-id"]
            if status != 200:
                assert (
                    found.headers["content-type"] == "application/json" and found.json()["detail"]
                )

    run(test)


def test_a_client_that_sends_too_much_has_its_answer_before_the_connection_is_closed():
    """Where something is unread then, the system drops the answer with it."""

    async def test(app):
        events, left = list[str](), 30

        async def receive():
            nonlocal left
            left -= 1
            events.append("read")
            return {"type": "http.request", "body": b" " * 10_000, "more_body": left > 0}

        async def send(message):
            events.append("end" if message.get("more_body") is False else message["type"])

        scope = {
            "type": "http", "asgi": {"spec_version": "2.3"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": "/v1/judge", "raw_path": b"", "query_string": b"", "root_path": "", "client": None,
            "server": ("localhost", 80), "headers": [(b"host", b"localhost")],
        }  # fmt: skip
        await app.client._transport.app(scope, receive, send)
        answered = events.index("http.response.body")
        assert events[:answered].count("read") == 11
        assert events[answered + 1 :] == ["read"] * 19 + ["end"]

    run(test, limits=Limits(body=100_000))


def test_a_body_that_is_too_long_is_refused_while_it_comes(monkeypatch):
    monkeypatch.setattr("mene.serve.app.LINGER_S", 0.0)
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 100_000_000:
            sent += 10_000
            yield b" " * 10_000

    async def test(app):
        found = await app.client.post("/v1/judge", content=endless())
        assert found.status_code == 413 and found.headers["connection"] == "close"
        assert sent < 200_000
        said = await app.client.post(
            "/v1/judge", content=b"{}", headers={"content-length": "100000000"}
        )
        assert said.status_code == 413
        long = await app.post(
            "/v1/judge", {"sample": {"response": "x" * 60_000}, "criterion": "Is it polite?"}
        )
        assert "more than 50,000 characters" in long.json()["verdicts"][0]["error"]
        many = await app.post("/v1/judge", {"samples": ["x"] * 9, "criterion": "Is it polite?"})
        assert many.status_code == 413

    run(test, limits=Limits(body=100_000, field=50_000, rows=8))


def test_a_body_that_does_not_come_is_given_up():
    async def stalls():
        yield b"{"
        await asyncio.sleep(20)

    async def test(app):
        found = await app.client.post("/v1/judge", content=stalls())
        assert found.status_code == 408 and found.headers["connection"] == "close"
        assert "did not come within 0.05 s" in found.json()["error"]["message"]
        assert (await app.post("/v1/judge", ROW)).status_code == 200

    run(test, limits=Limits(reading_s=0.05))


def test_a_packed_body_is_unpacked_no_further_than_it_may_be_long():
    zstd = pytest.importorskip("backports.zstd")

    async def test(app):
        packed = {"content-encoding": "zstd"}
        good = zstd.compress(json.dumps(ROW).encode())
        assert (await app.client.post("/v1/judge", content=good, headers=packed)).status_code == 200
        for content, status in (
            (zstd.compress(b" " * 50_000_000), 413),
            (good[:-3], 422),
            (b"none", 422),
        ):
            found = await app.client.post("/v1/judge", content=content, headers=packed)
            assert found.status_code == status
        odd = await app.client.post("/v1/judge", content=b"x", headers={"content-encoding": "br"})
        assert odd.status_code == 415

    run(test)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"sample": "\\ud800", "criterion": "Is it?"}',
        b"[" * 100_000,
        b"9" * 10_000,
        b'{"a": NaN}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/judge", "/v1/systemone", "/v1/prompt"])
def test_whatever_is_sent_is_no_fault_of_the_server(path, body):
    async def test(app):
        found = await app.client.post(path, content=body)
        assert found.status_code == 422 and found.json()["detail"][0]["loc"][0] == "body"

    run(test)


def test_the_time_of_a_request_is_limited_and_its_place_freed():
    async def test(app):
        app.engine.open.clear()
        found = await app.post("/v1/systemone", NOUL)
        assert found.status_code == 504 and found.headers["x-should-retry"] == "false"
        assert "no answer within 0.1 s" in found.json()["detail"]["message"]
        desk = await app.serving.judges.desk()
        await until(lambda: not desk.busy)
        app.engine.open.set()

    run(test, limits=Limits(seconds=0.1))


def test_a_client_that_goes_away_frees_its_place():
    async def test(app):
        app.engine.open.clear()
        desk = await app.serving.judges.desk()
        gone = asyncio.Event()
        body = json.dumps(NOUL).encode()
        sent = []

        async def receive():
            if not sent:
                sent.append(1)
                return {"type": "http.request", "body": body}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            pass

        scope = {
            "type": "http", "method": "POST", "path": "/v1/systemone", "query_string": b"", "client": ("127.0.0.1", 9),
            "headers": [(b"host", b"localhost")], "http_version": "1.1", "scheme": "http", "root_path": "",
        }  # fmt: skip
        request = asyncio.create_task(build_app(app.serving)(scope, receive, send))
        await until(lambda: desk.busy)
        gone.set()
        await asyncio.wait_for(request, 5)
        await until(lambda: not desk.busy)
        app.engine.open.set()

    run(test)


def test_a_full_queue_is_429_in_the_clients_form():
    async def test(app):
        app.engine.open.clear()
        first = asyncio.create_task(app.post("/v1/systemone", NOUL))
        desk = await app.serving.judges.desk()
        await until(lambda: desk.busy)
        found = await app.post("/v1/systemone", NOUL)
        assert found.status_code == 429
        assert int(found.headers["retry-after"]) >= 1 and int(found.headers["retry-after-ms"]) > 0
        assert found.json()["detail"]["error_type"] == "rate_limit_error"
        app.engine.open.set()
        assert (await first).status_code == 200

    run(test, most=1)


def test_what_is_counted():
    async def test(app):
        await app.post(
            "/v1/judge", {"sample": {"response": "a", "context": "b"}, "criterion": "faithfulness"}
        )
        await app.post("/v1/judge", ROW)
        await app.client.get("/somewhere/else")
        page = (await app.client.get("/metrics")).text
        for line in (
            'mene_requests_total{route="/v1/judge",status="200"} 2.0',
            'mene_requests_total{route="other",status="404"} 1.0',
            'mene_verdicts_total{criterion="faithfulness",judge="base",outcome="verdict"} 1.0',
            'mene_verdicts_total{criterion="own",judge="base",outcome="verdict"} 1.0',
            'mene_waiting{judge="base"} 0.0',
            'mene_tokens_total{criterion="own",judge="base",kind="read"}',
        ):
            assert line in page, line
        assert "polite" not in page

    run(test)


def test_rows_are_logged_only_where_that_is_said(caplog):
    async def test(app):
        with caplog.at_level(logging.DEBUG):
            await app.post("/v1/judge", ROW)
            assert "Thank you" not in caplog.text
            app.serving.log_rows = True
            await app.post("/v1/judge", ROW)
            assert "Thank you" in caplog.text

    run(test)


def test_a_fault_of_the_server_shows_no_traceback(monkeypatch, caplog):
    async def test(app):
        monkeypatch.setattr("mene.serve.lists._criteria", lambda: 1 / 0)
        found = await app.client.get("/v1/criteria")
        assert found.status_code == 500 and "ZeroDivision" not in found.text
        assert "Traceback" not in caplog.text and "ZeroDivisionError" in caplog.text

    run(test)


def test_judges_are_opened_when_they_are_asked_and_freed_for_others(monkeypatch):
    monkeypatch.setattr("mene.serve.judges.memory_of", lambda preset: 2_000)

    async def test(app):
        judges = app.serving.judges
        assert list(judges.desks) == ["base"]
        assert (await app.client.get("/readyz")).json() == {
            "ready": True,
            "loaded": {"base": True, "nano": False},
        }
        found = await app.post("/v1/judge", {**ROW, "judge": "nano"})
        assert found.json()["verdicts"][0]["judge"] == "nano"
        assert list(judges.desks) == ["nano"] and app.engines["base"].closed
        app.engines["nano"].open.clear()
        busy = asyncio.create_task(app.post("/v1/judge", {**ROW, "judge": "nano"}))
        await until(lambda: judges.desks["nano"].busy)
        assert (await app.post("/v1/judge", ROW)).status_code == 429  # no memory for both
        app.engines["nano"].open.set()
        assert (await busy).status_code == 200
        assert (await app.post("/v1/judge", ROW)).status_code == 200

    run(test, "base", "nano", memory=3_000)


def test_an_idle_judge_is_freed():
    async def test(app):
        await until(lambda: app.engine.closed)
        assert (await app.post("/v1/judge", ROW)).status_code == 200

    run(test, idle_s=0.05)


def test_a_name_that_is_served_nowhere_is_not_found():
    async def test(app):
        for path, body in (
            ("/v1/judge", {**ROW, "judge": "bsae"}),
            ("/v1/systemone", {**NOUL, "model": "bsae"}),
        ):
            found = await app.post(path, body)
            assert found.status_code == 404 and "did you mean" in found.text
        named = await app.post("/v1/systemone", {**NOUL, "model": "gpt-4o-mini"})
        assert named.json()["model"] == "base"

    run(test, aliases={"gpt-4o-mini": "base"})


def test_the_api_page_knows_all_routes_that_it_lists():
    async def test(app):
        document = (await app.client.get("/openapi.json")).json()
        paths = document["paths"]
        assert {"/v1/judge", "/v1/systemone", "/v1/models", "/healthz", "/metrics"} <= set(paths)
        text = json.dumps(document)
        known = set(document["components"]["schemas"])
        named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
        assert named <= known
        assert {"401", "413", "422", "429"} <= set(paths["/v1/judge"]["post"]["responses"])
        answers = paths["/v1/judge"]["post"]["responses"]["200"]["content"]
        event = answers["text/event-stream"]["schema"]  # of each: a text has no event in it
        assert event["type"] == "object" and set(event["properties"]) == {"event", "data"}
        page = (await app.client.get("/docs")).text
        assert "POST /v1/systemone" in page and "http://" not in page and "https://" not in page

    run(test)


def test_lists_of_what_there_is():
    async def test(app):
        criteria = (await app.client.get("/v1/criteria")).json()["criteria"]
        assert "faithfulness" in [one["name"] for one in criteria] and criteria[0]["question"]
        judges = (await app.client.get("/v1/judges")).json()
        assert judges["judges"][0]["name"] == "base" and "prefix" in judges["templates"]
        assert POLITE.name == "is-it-polite"

    run(test)
