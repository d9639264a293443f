"""Random requests, cancels, hang-ups, kills and restarts; at the end the books must balance.

Run as `python -m tests.soak --seconds 300`, or `make soak`.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import signal
import socket
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.distributions import write_faulty, write_together
from tests.server import Server, send

FAULTY = ("good", "good", "slow", "slow", "raise", "segfault", "deaf", "noisy", "refuse", "short")
# Those that make several in one run: all of them work alone, whatever becomes of the run.
TOGETHER = ("slow", "slow", "slow", "raise", "kill")
MODELS = (*(f"faulty-{kind}" for kind in FAULTY), "together-slow")
FAILING = ("faulty-raise", "faulty-segfault", "faulty-refuse", "faulty-short")
END = ("completed", "failed", "cancelled")
# A child process of the server, by a word of its command line. The supervisor itself is killed by `restart`.
CHILDREN = ("videoworker", "gunicorn", "model_process")
SETTLE_SECONDS = 180


class Soak:
    """One run against one server."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.rng = random.Random(seed)
        self.accepted: set[str] = set()
        self.done: collections.Counter[str] = collections.Counter()
        self._clients: list[threading.Thread] = []

    def run(self, seconds: float) -> dict[str, int]:
        """Disturb for that long, then wait until everything has ended, and return the ledger."""
        actions = {
            self.ask: 10,
            self.ask_together: 2,
            self.wait: 6,
            self.hang_up: 3,
            self.cancel: 4,
            self.kill_child: 2,
            self.restart: 0.5,
        }
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            (action,) = self.rng.choices(list(actions), list(actions.values()))
            try:
                action()
                self.done[action.__name__] += 1
            except (OSError, ValueError):
                self.done["unanswered"] += 1
            time.sleep(self.rng.uniform(0, 0.4))
        for client in self._clients:
            client.join(SETTLE_SECONDS)
        return self._balance()

    def ask(self) -> None:
        """A request that does not wait."""
        answer = send(self._request(self.rng.choice(MODELS), prefer="respond-async"), timeout=20)
        if answer.status == 202:
            self.accepted.add(answer.json["id"])

    def ask_together(self) -> None:
        """Several at once that may share a run."""
        model = f"together-{self.rng.choice(TOGETHER)}"
        for _ in range(4):
            answer = send(self._request(model, prefer="respond-async"), timeout=20)
            if answer.status == 202:
                self.accepted.add(answer.json["id"])

    def wait(self) -> None:
        """A request that waits, in a thread of its own."""
        request = self._request(self.rng.choice(MODELS))

        def run() -> None:
            try:
                answer = send(request, timeout=SETTLE_SECONDS)
                self.done[f"answered {answer.status}"] += 1
                if answer.status == 200:
                    self.accepted.add(answer.json["id"])
            except (OSError, ValueError):
                self.done["cut off"] += 1

        self._clients.append(threading.Thread(target=run))
        self._clients[-1].start()

    def hang_up(self) -> None:
        """A request that waits, whose client goes away."""
        request = self._request(self.rng.choice(MODELS))
        assert isinstance(request.data, bytes)
        head = "POST /video HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(request.data)}"
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as connection:
            connection.sendall(f"{head}\r\n\r\n".encode() + request.data)
            time.sleep(self.rng.uniform(0, 1))

    def cancel(self) -> None:
        if self.accepted:
            pk = self.rng.choice(sorted(self.accepted))
            send(urllib.request.Request(f"{self.server.url}/video/{pk}", method="DELETE"), timeout=20)

    def kill_child(self) -> None:
        word = self.rng.choice(CHILDREN)
        children = [pid for pid, command in self.server.processes() if word in command]
        # The first gunicorn is the master, whose death is the server's.
        children = sorted(children)[1:] if word == "gunicorn" else children
        if children:
            self._kill(self.rng.choice(children))

    def restart(self) -> None:
        """Stop in order, or kill everything at once."""
        if self.rng.random() < 0.5:
            self.server.stop(signal.SIGTERM)
        else:
            for pid, _ in self.server.processes():
                self._kill(pid)
            self.server.process.wait(60)
            deadline = time.monotonic() + 30
            while self.server.processes() and time.monotonic() < deadline:
                time.sleep(0.05)
        self.server.start()

    def _kill(self, pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _request(self, model: str, prefer: str = "") -> urllib.request.Request:
        # Only those with the same steps share a run.
        steps = 12 if model.startswith("together-") else self.rng.randint(1, 12)
        body = {"model": model, "prompt": "anything", "step": steps}
        headers = {"Content-Type": "application/json", **({"Prefer": prefer} if prefer else {})}
        return urllib.request.Request(f"{self.server.url}/video", json.dumps(body).encode(), headers)

    def _balance(self) -> dict[str, int]:
        rows: dict[str, Any] = {}

        def settled() -> bool:
            rows.clear()
            rows.update(self._read_rows())
            return all(row["status"] in END for row in rows.values())

        self.server.wait_until(settled, "every generation to end", SETTLE_SECONDS)
        # What a killed process left is swept after `stale_seconds`.
        self.server.wait_until(lambda: self._surplus(rows) == set(), "the last files to go", SETTLE_SECONDS)
        states = collections.Counter(row["status"] for row in rows.values())
        return {
            "accepted": len(self.accepted),
            "rows": len(rows),
            **states,
            "accepted without a row": len(self.accepted - set(rows)),
            "wrong ends": sum(not _is_right(row) for row in rows.values()),
            "files": len(self.server.files()),
            "missing files": len(self._expected(rows) - set(self.server.files())),
            "surplus files": len(self._surplus(rows)),
        }

    def _surplus(self, rows: dict[str, Any]) -> set[str]:
        return set(self.server.files()) - self._expected(rows)

    def _expected(self, rows: dict[str, Any]) -> set[str]:
        """A video and a thumbnail for each completed row, by the attempt that made it."""
        names = set()
        for pk, row in rows.items():
            if row["status"] == "completed":
                made = [name for name in self.server.files() if name.startswith(f"videos/{pk}-")]
                number = made[0].rpartition("-")[2].removesuffix(".mp4") if made else "none"
                names |= {f"videos/{pk}-{number}.mp4", f"thumbnails/{pk}-{number}.jpg"}
        return names

    def _read_rows(self) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        after = ""
        while True:
            page = self.server.get(f"/video?order=asc&limit=100{after}").json
            rows |= {row["id"]: row for row in page["data"]}
            if not page["has_more"]:
                return rows
            after = f"&after={page['last_id']}"


def _is_right(row: Any) -> bool:
    """A model that works ends with a video unless it is cancelled or its worker dies twice; the others never do."""
    works = row["model"] not in FAILING
    if row["status"] == "failed" and works:
        return row["error"]["code"] in ("worker_lost", "model_crashed")
    return works or row["status"] != "completed"


def soak(folder: Path, seconds: float, seed: int) -> tuple[dict[str, int], collections.Counter[str], list[Any]]:
    """The ledger, what was done, and the processes that were left at the end."""
    plugins = folder / "plugins"
    plugins.mkdir()
    write_faulty(plugins)
    write_together(plugins)
    settings = {
        "VIDEOAPI_PRELOAD": "",
        "VIDEOAPI_SLOTS": "*;*",
        "VIDEOAPI_STALE_SECONDS": "3",
        "VIDEOAPI_GRACE_SECONDS": "2",
    }
    with Server(folder, plugins, **settings) as server:
        run = Soak(server, seed)
        ledger = run.run(seconds)
    return ledger, run.done, server.processes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="videoapi-soak-") as folder:
        ledger, done, left = soak(Path(folder), args.seconds, args.seed)
    print(f"{args.seconds:g} seconds of", ", ".join(f"{count} {name}" for name, count in done.most_common()))
    print("ledger:", ", ".join(f"{name} {count}" for name, count in ledger.items()), f"; processes left {len(left)}")
    wrong = [
        name for name in ("accepted without a row", "wrong ends", "missing files", "surplus files") if ledger[name]
    ]
    raise SystemExit(f"out of balance: {wrong}" if wrong or left else None)


if __name__ == "__main__":
    main()
