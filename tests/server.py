"""A real server for the tests: `manage.py serve` with its own database, media folder and port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
START_SECONDS = 60


class Answer:
    """An HTTP answer, whatever its status."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


class Server:
    """Starts on entering and stops on leaving; `log` holds what it printed."""

    def __init__(
        self, folder: Path, plugins: Path | None = None, python: Path | str = sys.executable, **environment: str
    ) -> None:
        self.folder = folder
        self.python = str(python)
        self.media = folder / "media"
        self.port = find_free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log_path = folder / "server.log"
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "settings.dev",
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "VIDEOAPI_MEDIA_DIR": str(self.media),
            "VIDEOAPI_PRELOAD": "starter",
            "VIDEOAPI_GRACE_SECONDS": "5",
            "PORT": str(self.port),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(plugins or ""), os.environ.get("PYTHONPATH", "")])),
            **environment,
        }

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    def __enter__(self) -> Server:
        self.manage("migrate", "--verbosity", "0")
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.python, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def start(self) -> None:
        with self._log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, "manage.py", "serve"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            ready = urllib.request.Request(f"{self.url}/readyz")
            self.wait_until(lambda: send(ready, timeout=2).status == 200, "the server to be ready")
        except BaseException:
            self.stop()
            raise

    def stop(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    def wait_until(self, condition: Any, what: str, seconds: float = START_SECONDS) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass
            assert self.process.poll() is None, f"the server has ended:\n{self.log}"
            assert time.monotonic() < end, f"waited {seconds} s for {what}:\n{self.log}"
            time.sleep(0.05)

    def get(self, path: str, **headers: str) -> Answer:
        return send(urllib.request.Request(self.url + path, headers=headers))

    def post(self, body: Any, path: str = "/video", content_type: str = "application/json", **headers: str) -> Answer:
        """Headers are written with underscores."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return send(urllib.request.Request(self.url + path, data=data, headers={"Content-Type": content_type, **named}))

    def delete(self, path: str, **headers: str) -> Answer:
        return send(urllib.request.Request(self.url + path, headers=headers, method="DELETE"))

    def wait_for(self, path: str, *statuses: str) -> Any:
        """The generation at that address, once it has one of the statuses."""
        self.wait_until(lambda: self.get(path).json["status"] in statuses, f"{path} to be {statuses}")
        return self.get(path).json

    def files(self) -> list[str]:
        """Everything in the media folder, relative to it."""
        return sorted(str(path.relative_to(self.media)) for path in self.media.rglob("*") if path.is_file())

    def wait_until_gone(self) -> None:
        """After its supervisor was killed, which its processes notice."""
        end = time.monotonic() + START_SECONDS
        while self.processes():
            assert time.monotonic() < end, self.processes()
            time.sleep(0.1)

    def processes(self) -> list[tuple[int, str]]:
        """(pid, command line) of the processes of this server, found by its port in their environment."""
        return find_processes(f"PORT={self.port}")


def send(request: urllib.request.Request, timeout: float = 300) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


def find_processes(marker: str) -> list[tuple[int, str]]:
    """The live processes with `marker` as one variable of their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker.encode() in (entry / "environ").read_bytes().split(b"\0"):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                if command:
                    found.append((int(entry.name), command))
        except OSError:
            continue
    return found


def find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
