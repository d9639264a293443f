"""Seconds from `make serve` to the first answered request, when everything is installed already.

Run with `python -m tests.benchmarks.startup`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.benchmarks.overhead import REQUEST
from tests.server import ROOT, find_free_port, send


def main() -> None:
    port = find_free_port()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        environment = {
            **os.environ,
            "PORT": str(port),
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "VIDEOAPI_MEDIA_DIR": f"{folder}/media",
        }
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, stdout=log, stderr=log, check=True)
        started = time.perf_counter()
        server = subprocess.Popen(
            ["make", "serve"], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while not is_up(port):
                time.sleep(0.05)
            up = time.perf_counter() - started
            body = json.dumps(REQUEST).encode()
            headers = {"Content-Type": "application/json"}
            answer = send(urllib.request.Request(f"http://127.0.0.1:{port}/video", data=body, headers=headers))
            assert answer.status == 200, answer.body
            print(f"make serve, second start: ready after {up:.1f} s, first video after ", end="")
            print(f"{time.perf_counter() - started:.1f} s")
        finally:
            os.killpg(server.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
            server.wait(60)


def is_up(port: int) -> bool:
    try:
        return send(urllib.request.Request(f"http://127.0.0.1:{port}/readyz"), timeout=2).status == 200
    except OSError:
        return False


if __name__ == "__main__":
    main()
