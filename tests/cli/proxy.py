"""Stands before a server and spoils some of its answers."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Literal

from tests.hosts import serve
from tests.server import Answer, Server, send

Fault = Literal["lose", "halve"] | int
"""The answer does not come, or half of it comes, or an error of that status comes and nothing is passed on."""


@contextmanager
def stand_before(server: Server, faults: dict[str, list[Fault]]) -> Iterator[tuple[str, list[str]]]:
    """The proxy's address, and "METHOD path" of each request that it has had.

    `faults` are spent one by one on the requests whose "METHOD path" has such an ending.
    """
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            name = f"{self.command} {self.path}"
            asked.append(name)
            waiting = next((each for ending, each in faults.items() if name.endswith(ending) and each), [])
            fault = waiting.pop(0) if waiting else None
            if isinstance(fault, int):
                error = {"error": {"code": "spoiled", "message": "Spoiled.", "type": "server_error", "param": None}}
                self._answer(Answer(fault, {"Retry-After": "1"}, json.dumps(error).encode()))
                return
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            request = urllib.request.Request(server.url + self.path, data, dict(self.headers), method=self.command)
            answer = send(request)
            if fault != "lose":
                self._answer(answer, half=fault == "halve")

        def _answer(self, answer: Answer, *, half: bool = False) -> None:
            self.send_response(answer.status)
            for name in ("Content-Type", "Retry-After"):
                if value := answer.headers.get(name):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: len(answer.body) // 2] if half else answer.body)

        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def do_DELETE(self) -> None:
            self._pass_on()

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    with serve(Proxy) as address:
        yield address, asked
