"""A server on loopback that gives as many answers as it is told to, and then falls silent: its client can be stopped there."""

from __future__ import annotations

import http.server
import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any


class Server(http.server.ThreadingHTTPServer):
    """Speaks the API of OpenAI, without probabilities; it counts what it is asked.

    Args:
        answer: what it says to a prompt.
    """

    def __init__(self, answer: Callable[[str], str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.asked: Counter[str] = Counter()
        self.turn, self.run, self.left = threading.Condition(), 0, 0
        self.spec = f"openai:m@http://127.0.0.1:{self.server_address[1]}/v1"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def begin(self, answers: int) -> None:
        """A new run: so many answers are given, then silence."""
        with self.turn:
            self.run, self.left = self.run + 1, answers
            self.turn.notify_all()

    def wait(self) -> bool:
        """Wait for the turn of a request; false where its run is over."""
        with self.turn:
            run = self.run
            self.turn.wait_for(lambda: self.run != run or self.left > 0)
            if self.run != run:
                return False
            self.left -= 1
            return True

    def end(self) -> None:
        self.begin(0)  # none waits any more
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # whoever asked was killed


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.reply({"object": "list", "data": [{"id": "m", "owned_by": "someone"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][-1]["content"]
        self.server.asked[text] += 1
        if not self.server.wait():
            return
        message = {"role": "assistant", "content": self.server.answer(text)}
        choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        self.reply(
            {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
            | {"choices": [choice], "usage": usage}
        )

    def reply(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass
