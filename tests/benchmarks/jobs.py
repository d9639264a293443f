"""What the job engine costs: the latency that it adds, the time to cancel and to recover, waiters, throughput.

Run as `python -m tests.benchmarks.jobs`. The model takes no time, so what is measured is the server's.
"""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.memory import pss_mib
from tests.distributions import write_faulty
from tests.server import Server

GOOD = {"model": "faulty-good", "prompt": "anything"}
SLOW = {"model": "faulty-slow", "prompt": "anything", "step": 200}
WAITERS = 300
BATCH = 200


@contextmanager
def serve(**settings: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="videoapi-bench-") as name:
        folder = Path(name)
        (folder / "plugins").mkdir()
        write_faulty(folder / "plugins")
        with Server(folder, folder / "plugins", **{"VIDEOAPI_PRELOAD": "", **settings}) as server:
            yield server


def post(server: Server, body: Any, **headers: str) -> Any:
    answer = server.post(body, **headers)
    assert answer.status in (200, 202), answer.body
    return answer.json


def submit(server: Server, body: Any) -> str:
    return f"/video/{post(server, body, Prefer='respond-async')['id']}"


def wait_for(condition: Callable[[], Any], every: float = 0.01) -> float:
    """Seconds until it is so."""
    started = time.monotonic()
    while not condition():
        time.sleep(every)
    return time.monotonic() - started


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def measure_latency(server: Server, count: int = 50) -> None:
    added = []
    for _ in range(count):
        started = time.monotonic()
        timings = post(server, GOOD)["timings"]
        added.append((time.monotonic() - started - timings.get("denoising", 0) - timings.get("decoding", 0)) * 1000)
    print(
        f"a synchronous request adds {statistics.median(added):.0f} ms (median), {percentile(added, 0.95):.0f} ms (p95)"
    )


def measure_cancel(server: Server, count: int = 5) -> None:
    seconds = []
    for _ in range(count):
        path = submit(server, SLOW)
        wait_for(lambda path=path: server.get(path).json["step"] > 2)  # type: ignore[misc]
        server.delete(path)
        seconds.append(wait_for(lambda path=path: server.get(path).json["status"] == "cancelled"))  # type: ignore[misc]
    print(f"from a cancel to stopped: {statistics.median(seconds):.2f} s, with steps of 0.1 s")


def measure_recovery(server: Server) -> None:
    path = submit(server, SLOW)
    wait_for(lambda: server.get(path).json["step"] > 2)
    os.kill(next(pid for pid, command in server.processes() if "videoworker" in command), signal.SIGKILL)
    seconds = wait_for(lambda: server.get(path).json["status"] == "queued")
    seconds += wait_for(lambda: server.get(path).json["step"] > 0)
    print(f"from kill -9 of the worker to its generation running again: {seconds:.1f} s")
    server.delete(path)


def measure_waiters(server: Server) -> None:
    quiet = [time_healthz(server) for _ in range(200)]
    before = web_memory(server)
    threads = [threading.Thread(target=server.post, args=(SLOW,)) for _ in range(WAITERS)]
    for thread in threads:
        thread.start()
    wait_for(lambda: count_unfinished(server) == WAITERS)
    busy = [time_healthz(server) for _ in range(200)]
    print(
        f"/healthz p99 with {WAITERS} waiters: {percentile(busy, 0.99):.1f} ms, without: {percentile(quiet, 0.99):.1f}"
    )
    print(f"memory of the web (PSS) with them: {web_memory(server):.0f} MiB, before: {before:.0f}")
    for row in unfinished(server):
        server.delete(f"/video/{row['id']}")
    for thread in threads:
        thread.join()


def measure_throughput(server: Server) -> None:
    for _ in range(4):
        post(server, GOOD)
    started = time.monotonic()
    for _ in range(BATCH):
        submit(server, GOOD)
    accepted = time.monotonic() - started
    wait_for(lambda: count_unfinished(server) == 0, every=0.2)  # looking costs the server time too
    seconds = time.monotonic() - started
    print(
        f"{BATCH / seconds:.0f} jobs a second through two slots, {BATCH / accepted:.0f} accepted a second by one client"
    )


def time_healthz(server: Server) -> float:
    started = time.monotonic()
    assert server.get("/healthz").status == 200
    return (time.monotonic() - started) * 1000


def web_memory(server: Server) -> float:
    return sum(pss_mib(pid) for pid, command in server.processes() if "gunicorn" in command)


def unfinished(server: Server) -> list[Any]:
    rows: list[Any] = []
    for status in ("queued", "in_progress"):
        after = ""
        while True:
            page = server.get(f"/video?status={status}&limit=100{after}").json
            rows += page["data"]
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
    return rows


def count_unfinished(server: Server) -> int:
    return len(unfinished(server))


def main() -> None:
    with serve() as server:
        measure_latency(server)
        measure_cancel(server)
        measure_recovery(server)
    names = ("MAX_QUEUED", "MAX_QUEUED_PER_MODEL", "MAX_QUEUED_PER_CLIENT", "MAX_WAITING_PER_CLIENT")
    limits = {f"VIDEOAPI_{name}": "1000" for name in names}
    with serve(VIDEOAPI_THREADS=str(WAITERS + 40), **limits) as server:
        measure_waiters(server)
    with serve(VIDEOAPI_SLOTS="*;*", **limits) as server:
        measure_throughput(server)


if __name__ == "__main__":
    main()
