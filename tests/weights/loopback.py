"""A package index and a hub on loopback, as the real clients ask them."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field

from mene.events import Advance, Begin, Event, Events, Warn

CONTENT = bytes(range(256)) * 8000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "a" * 40


def wheel_of(member: str, content: bytes) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr(member, content)
    return raw.getvalue()


@dataclass
class Server:
    """What the server has, how it misbehaves, and what it was asked.

    Attributes:
        wheels: file name -> content as the index describes it.
        sent: file name -> other contents that are sent in its place, once each.
        cut: break the connection to a wheel after so many bytes, once each.
        index_fails: projects that the index answers 503 about, once.
        refuse: status that every wheel is answered with.
        more: bytes that are sent beyond those declared.
        files: path in the hub's repository -> content.
        etag: of the hub's files; None = their SHA-256, as of large files.
        hub_cut: break the connection to a file of the hub after so many bytes, once each.
        wait: wheels are sent while it is set.
        asked: method, path and Range of every request.
        lead: URL of a host with the bytes, which the hub then leads to.
        keys: host that was asked, path, and the key that came with it.
        index: what the index answers, whatever it is asked for.
    """

    url: str = ""
    wheels: dict[str, bytes] = field(default_factory=dict)
    sent: dict[str, list[bytes]] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    more: int = 0
    refuse: int = 0
    index_fails: dict[str, bool] = field(default_factory=dict)
    hashes: bool = True
    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = None
    hub_cut: list[int] = field(default_factory=list)
    slow: float = 0.0
    wait: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    lead: str = ""
    keys: list[tuple[str, str, str | None]] = field(default_factory=list)
    index: bytes = b""

    def downloads(self) -> list[tuple[str, str | None]]:
        """Wheels in the order they were asked for, with the range."""
        return [(p.removeprefix("/"), r) for _, p, r in self.asked if p.endswith(".whl")]

    def add_wheel(self, name: str, member: str, content: bytes) -> None:
        self.wheels[f"{name}-1.0-py3-none-any.whl"] = wheel_of(member, content)


def handler(state: Server) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append((self.command, self.path, self.headers.get("Range")))
            host, key = self.headers.get("Host", ""), self.headers.get("Authorization")
            state.keys.append((host, self.path, key))
            path = self.path.partition("?")[0]
            if path.endswith(".whl"):
                self.send_wheel(path.removeprefix("/"))
            elif path.startswith("/simple/"):
                self.send_index(path.split("/")[2])
            elif path.startswith("/api/models/"):
                found = [
                    {"type": "file", "path": p, "oid": "0" * 40, "size": len(c)}
                    for p, c in state.files.items()
                ]
                self.reply(200, json.dumps(found).encode(), {"Content-Type": "application/json"})
            elif "/resolve/" in path:
                self.send_hub(path.partition("/resolve/")[2].partition("/")[2])
            else:
                self.reply(200, b"")

        do_HEAD = do_GET

        def send_wheel(self, name: str) -> None:
            if state.refuse:
                self.reply(state.refuse, b"")
                return
            time.sleep(state.slow)
            state.wait.wait(20)
            whole = state.sent[name].pop(0) if state.sent.get(name) else state.wheels[name]
            asked = self.headers.get("Range")
            body = whole[int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0 :]
            body += b"x" * state.more
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.write(body[: state.cut.pop(0)] if state.cut else body)

        def send_index(self, project: str) -> None:
            if state.index:
                self.reply(200, state.index)
                return
            if state.index_fails.pop(project, None):
                self.reply(503, b"")
                return
            files = [
                {"filename": name, "url": f"/{name}", "size": len(content)}
                | (
                    {"hashes": {"sha256": hashlib.sha256(content).hexdigest()}}
                    if state.hashes
                    else {}
                )
                for name, content in state.wheels.items()
                if name.split("-")[0].replace("_", "-") == project
            ]
            self.reply(200 if files else 404, json.dumps({"files": files}).encode())

        def send_hub(self, name: str) -> None:
            content = state.files.get(name)
            if content is None:
                self.reply(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
                return
            if state.lead and self.command == "GET" and state.lead not in self.address():
                self.reply(302, b"", {"Location": f"{state.lead}{self.path}?Signature=s3cret"})
                return
            etag = state.etag or hashlib.sha256(content).hexdigest()
            asked = self.headers.get("Range")
            start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
            end = len(content) - start
            if self.command == "GET" and state.hub_cut:
                end = state.hub_cut.pop(0)
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
            self.send_response(206 if asked else 200)
            for key, value in (headers | {"X-Linked-Size": str(len(content))}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if self.command != "HEAD":
                self.write(content[start : start + end])

        def address(self) -> str:
            return f"http://{self.headers.get('Host')}"

        def reply(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(code)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.write(body)

        def write(self, body: bytes) -> None:
            with contextlib.suppress(OSError):  # a client that has gone
                self.wfile.write(body)

        def log_message(self, *args) -> None:
            pass

    return Handler


def heard(
    progress: Callable[[int, int | None], None] | None = None, told: list[str] | None = None
) -> Events:
    """Events of a download as (bytes so far, bytes in all), and as lines."""
    done, total = 0, None

    def events(event: Event) -> None:
        nonlocal done, total
        match event:
            case Begin(_, total_):
                done, total = 0, total_
            case Advance(_, by):
                done += by
                if progress is not None:
                    progress(done, total)
            case Warn(text) if told is not None:
                told.append(text)

    return events
