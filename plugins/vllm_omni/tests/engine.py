"""A small server that answers as vLLM-Omni 0.30.0 was seen to, its traps included."""

from __future__ import annotations

import json
import threading
import time
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeEngine:
    """`orders` are the fields of each POST; the attributes set how it answers."""

    def __init__(self, video: bytes = b"", port: int = 0) -> None:
        self.video = video
        self.orders: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.looks = 0
        self.looks_until_done = 2
        self.api_key = ""
        self.failure = ""
        """The words of a job that fails."""
        self.refusal = ""
        """The words of an order that is refused."""
        self.forgets = self.breaks_off = False
        self.served = "wan"
        self.health = 200
        self.conflicts = 0
        """How many DELETEs are answered with 409."""
        self.delay = 0.0
        """Seconds that an order waits for its answer."""
        self.hangs_up = False
        """It closes the connection on an order."""
        self.version = "0.30.0"
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                engine._get(self)

            def do_POST(self) -> None:
                engine._post(self)

            def do_DELETE(self) -> None:
                if engine.conflicts:
                    engine.conflicts -= 1
                    answer(self, 409, {"error": {"message": "Cancellation in progress.", "code": 409}})
                else:
                    engine.deleted.append(self.path.rsplit("/", 1)[1])
                    answer(self, 200, {"deleted": True, "object": "video.deleted"})

            def log_message(self, *arguments: Any) -> None:
                """Quiet."""

        return Handler

    def _is_allowed(self, handler: BaseHTTPRequestHandler) -> bool:
        if not self.api_key or handler.headers["Authorization"] == f"Bearer {self.api_key}":
            return True
        # A text, where every other error is an object.
        answer(handler, 401, {"error": "Unauthorized"})
        return False

    def _get(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/health":
            answer(handler, self.health, {})
        elif handler.path == "/version":
            answer(handler, 200, {"version": self.version})
        elif not self._is_allowed(handler):
            return
        elif handler.path == "/v1/models":
            answer(handler, 200, {"object": "list", "data": [{"id": self.served, "object": "model"}]})
        elif handler.path.endswith("/content"):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(self.video)))
            handler.end_headers()
            handler.wfile.write(self.video[: len(self.video) // 2] if self.breaks_off else self.video)
        elif self.forgets or not self.orders:
            answer(handler, 404, {"error": {"message": "Video not found", "code": 404}})
        else:
            self.looks += 1
            done = self.looks >= self.looks_until_done
            if done and self.failure:
                # A failed job comes with the HTTP status of its error.
                answer(handler, 500, job("failed", {"code": 500, "message": self.failure}))
            else:
                answer(handler, 200, job("completed" if done else "in_progress"))

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if self.hangs_up:
            handler.close_connection = True
            return
        if not self._is_allowed(handler):
            return
        head = f"Content-Type: {handler.headers['Content-Type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + body, policy=HTTP)
        order: dict[str, Any] = {}
        for part in parts.iter_parts():  # type: ignore[attr-defined]
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            value = content if part.get_filename() else content.decode()
            order[name] = [order[name], value] if name in order else value
        self.orders.append(order)
        time.sleep(self.delay)
        self.looks = 0
        if self.refusal:
            answer(handler, 400, {"error": {"message": self.refusal, "type": "BadRequestError", "code": 400}})
        else:
            answer(handler, 200, job("queued"))


def job(status: str, error: dict[str, Any] | None = None) -> dict[str, Any]:
    progress = 100 if status == "completed" else 0
    return {"id": "video_gen_1", "object": "video", "status": status, "progress": progress, "error": error}


def answer(handler: BaseHTTPRequestHandler, status: int, body: Any) -> None:
    data = json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
