from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from test_app import run

POLITE = "Is it polite? Your score should be an integer between 1 and 3."
ASKED = {"llm_prompt": "Hi", "llm_response": "Hello!"}
# `mene mcp` with an engine that is played.
STDIO = """
import asyncio
from served import PlayedEngine, load_preset, Judge
from mene.serve.door import Limits
from mene.serve.judges import Judges
from mene.serve.mcp import on_stdio

async def main():
    def opened(preset):
        print("not a message of the protocol")
        return Judge(preset, engine=PlayedEngine())
    await on_stdio(Judges([load_preset("base")], opened=opened), Limits())

asyncio.run(main())
"""


@asynccontextmanager
async def over_http(app, **headers):
    transport = httpx2.ASGITransport(app.client._transport.app)
    async with (
        httpx2.AsyncClient(transport=transport, headers=headers) as http,
        Client(streamable_http_client("http://localhost/mcp", http_client=http)) as client,
    ):
        yield client


def test_atlas_tools_over_http():
    async def test(app):
        async with over_http(app) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            one = await client.call_tool(
                "evaluate_llm_response",
                {"evaluation_criteria": POLITE, "llm_context": "Noon", **ASKED},
            )
            two = await client.call_tool(
                "evaluate_llm_response_on_multiple_criteria",
                {"evaluation_criteria_list": [POLITE, "Answer yes or no: is it short?"], **ASKED},
            )
            listed = await client.call_tool("list_criteria", {})
        assert set(tools) == {
            "evaluate_llm_response",
            "evaluate_llm_response_on_multiple_criteria",
            "list_criteria",
        }  # none that opens a file
        schema = tools["evaluate_llm_response"].output_schema
        assert set(schema["properties"]) == {"score", "critique"}
        assert "ctx" not in tools["evaluate_llm_response"].input_schema["properties"]
        said = one.structured_content
        assert said["critique"] == "because" and said["score"] in ("1", "2", "3")
        assert json.loads(one.content[0].text) == said
        assert any("Noon" in prompt for prompt in app.engine.asked)
        results = two.structured_content["result"]
        assert results[0]["score"] in ("1", "2", "3") and results[1]["score"] in ("Yes", "No")
        names = {one["name"] for one in listed.structured_content["criteria"]}
        assert "faithfulness" in names

    run(test, mcp=True)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"evaluation_criteria": POLITE, "model_id": "gpt"}, "no judge"),
        ({"evaluation_criteria": " "}, "empty"),
        ({"evaluation_criteria": "faithfulness"}, "context"),
        ({}, "evaluation_criteria"),
    ],
)
def test_what_is_wrong_reaches_the_model(more, word):
    async def test(app):
        async with over_http(app) as client:
            found = await client.call_tool("evaluate_llm_response", {**ASKED, **more})
        assert found.is_error and word in found.content[0].text

    run(test, mcp=True)


def test_a_key_is_needed_here_too():
    async def test(app):
        assert (await app.post("/mcp", {})).status_code == 401
        async with over_http(app, authorization="Bearer right-key-1") as client:
            assert len((await client.list_tools()).tools) == 3

    run(test, mcp=True, keys=["right-key-1"])


def test_there_is_no_stream_that_a_shutdown_would_wait_for():
    async def test(app):
        found = await app.client.get("/mcp", headers={"accept": "text/event-stream"})
        assert found.status_code == 405 and found.json()

    run(test, mcp=True)


def test_another_sites_page_cannot_ask():
    async def test(app):
        found = await app.post("/mcp", {}, headers={"origin": "https://evil.example"})
        assert found.status_code == 403

    run(test, mcp=True)


def test_a_file_is_judged_over_standard_input(tmp_path, caplog):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        '{"id": "a", "response": "Hi"}\n{"id": "b"}\n{"response": "Go"}\n{"response": "x"}\n'
    )

    async def main():
        server = StdioServerParameters(
            command=sys.executable,
            args=["-c", STDIO],
            env={
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
            },
        )
        async with Client(stdio_client(server)) as client:
            asked = {"path": str(rows), "criterion": "Is it polite?"}
            found = await client.call_tool("judge_file", {**asked, "rows": 3})
            none = await client.call_tool("judge_file", {**asked, "path": "-"})
            evaluated = await client.call_tool(
                "evaluate_llm_response", {"evaluation_criteria": POLITE, **ASKED}
            )
        said = found.structured_content
        assert [one["row"] for one in said["verdicts"]] == [1, 2, 3] and said["more"]
        assert said["failed"] == 1 and "response" in said["verdicts"][1]["error"]
        assert sum(said["labels"].values()) == 2 and set(said["labels"]) <= {"Yes", "No"}
        assert none.is_error and "no such file" in none.content[0].text
        assert evaluated.structured_content["critique"] == "because"

    asyncio.run(asyncio.wait_for(main(), 30))
    assert "Failed to parse" not in caplog.text  # what was printed is no message
