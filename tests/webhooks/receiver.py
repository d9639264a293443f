"""A receiver of webhooks on loopback."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from openai import OpenAI
from standardwebhooks import Webhook

from tests.hosts import serve

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@dataclass(frozen=True)
class Call:
    """What has arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return str(self.json["type"])

    def verify(self, secret: str = SECRET) -> Any:
        """The event, after both libraries have found its signature right."""
        event = Webhook(secret).verify(self.body, self.headers)
        client = OpenAI(api_key="-", webhook_secret=secret)
        assert client.webhooks.unwrap(self.body, self.headers).type == event["type"]
        return event


class Receiver:
    """Answers with these statuses, one after the other; the last one stays. It is silent until it is `awake`."""

    def __init__(self, *statuses: int, port: int = 0) -> None:
        self.calls: list[Call] = []
        self.awake = threading.Event()
        self.awake.set()
        left = list(statuses or (204,))
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.calls.append(Call(self.path, headers, body))
                receiver.awake.wait()
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                """Quiet."""

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:
                    """The sender did not wait."""

        self._handler, self._port = Handler, port
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.url = self._stack.enter_context(serve(self._handler, self._port))
        return self

    def __exit__(self, *error: object) -> None:
        self.awake.set()
        self._stack.close()

    @property
    def types(self) -> list[str]:
        """Of what has arrived, without the progress."""
        return [call.type for call in self.calls if call.type != "video.progress"]
