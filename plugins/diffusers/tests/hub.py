"""A small hub on this machine, with the addresses that the hub's library asks for."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_a_token"


@dataclass
class Repo:
    """What is in one repository; each of its branches is the same commit."""

    folder: Path
    branches: tuple[str, ...] = ("main",)
    gated: bool = False
    """Files are for TOKEN alone; the list of them is for everyone."""
    sizes: dict[str, int] = field(default_factory=dict)
    """In the list, where they are not those of the files."""
    broken: str = ""
    """The file that is a 503."""
    status: int = 0
    """Of every answer, where it is not 0."""

    def files(self) -> dict[str, Path]:
        paths = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        return {path.relative_to(self.folder).as_posix(): path for path in paths}


class Hub:
    """Serves while it is entered; `asked` holds method and path of each request."""

    def __init__(self, **repos: Repo) -> None:
        """The repositories of the owner `tiny`, by their names."""
        self.repos = {f"tiny/{name}": repo for name, repo in repos.items()}
        self.asked: list[str] = []
        self.held = ""
        """The end of a path whose file is not sent before `release` is set."""
        self.release = threading.Event()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def environment(self, cache: Path, **others: str) -> dict[str, str]:
        """For a process that is to use this hub and a cache of its own."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        return {**plain, "HF_ENDPOINT": self.url, "HF_HOME": str(cache), "NO_PROXY": "127.0.0.1", **others}

    def run(self, cache: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Python code in a process of its own: the address of the hub is read when the library is imported."""
        command = [sys.executable, "-W", "error", "-c", code]
        known = self.environment(cache, **environment)
        return subprocess.run(command, env=known, capture_output=True, text=True, timeout=300)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(request.path.partition("?")[0])
        is_api = path.startswith("/api/models/")
        if path.startswith("/api/") and not is_api:
            # Once a day the library asks about what runs it, and goes on without an answer.
            self._refuse(request, 404, "", "Not found")
            return
        self.asked.append(f"{request.command} {path}")
        parts = path.removeprefix("/api/models").strip("/").split("/")
        name, kind, revision, rest = "/".join(parts[:2]), parts[2], parts[3], "/".join(parts[4:])
        repo = self.repos.get(name)
        if repo is None:
            self._refuse(request, 401, "RepoNotFound", "Repository not found")
        elif repo.status:
            self._refuse(request, repo.status, "", "Not now")
        elif "Authorization" in request.headers and request.headers["Authorization"] != f"Bearer {TOKEN}":
            self._refuse(request, 401, "", "Invalid credentials in Authorization header")
        elif revision not in (COMMIT, *repo.branches):
            self._refuse(request, 404, "RevisionNotFound", "Invalid rev id")
        elif is_api and kind == "revision":
            self._send_json(request, {"id": name, "modelId": name, "sha": COMMIT, "siblings": []})
        elif is_api:
            self._send_json(request, self._list(repo))
        elif repo.gated and "Authorization" not in request.headers:
            self._refuse(request, 401, "GatedRepo", "Access to the model is restricted")
        elif rest == repo.broken:
            self._refuse(request, 503, "", "Not now")
        elif rest not in repo.files():
            self._refuse(request, 404, "EntryNotFound", "Entry not found")
        else:
            if self.held and path.endswith(self.held) and request.command == "GET":
                self.release.wait(60)
            self._send(request, repo.files()[rest].read_bytes())

    def _list(self, repo: Repo) -> list[dict[str, Any]]:
        return [
            {
                "type": "file",
                "path": path,
                "size": repo.sizes.get(path, file.stat().st_size),
                "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
            }
            for path, file in repo.files().items()
        ]

    def _send_json(self, request: BaseHTTPRequestHandler, data: Any) -> None:
        self._send(request, json.dumps(data).encode())

    def _send(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        request.send_header("X-Repo-Commit", COMMIT)
        request.end_headers()
        if request.command == "GET":
            with contextlib.suppress(BrokenPipeError):
                request.wfile.write(body)

    def _refuse(self, request: BaseHTTPRequestHandler, status: int, code: str, message: str) -> None:
        request.send_response(status)
        request.send_header("Content-Length", "0")
        if code:
            request.send_header("X-Error-Code", code)
        request.send_header("X-Error-Message", message)
        request.end_headers()
