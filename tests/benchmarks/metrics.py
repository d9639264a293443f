"""What a scrape of `/metrics` costs: with nothing done yet, and with a long past and a full queue; on SQLite and on
PostgreSQL.

Run as `python -m tests.benchmarks.metrics`.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.distributions import write_faulty
from tests.postgres import Postgres, find_binaries
from tests.server import Server

FINISHED, BATCH, QUEUED, SCRAPES = 100_000, 10_000, 500, 50
# Generations of nine models, with what a real one's row holds; counted as they would have been.
ROWS = """
import random, sys
from datetime import timedelta
from django.utils import timezone
from videoapi.models import Generation, State, Tally
count, state, number = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
rng, now, tallies = random.Random(number), timezone.now(), {}
phases = ("loading", "generating", "encoding prompt", "denoising", "decoding", "encoding", "storing")
rows = []
for index in range(count):
    end = rng.choice((State.COMPLETED,) * 8 + (State.FAILED, State.CANCELLED)) if state == "finished" else State.QUEUED
    row = Generation(
        model=f"model-{index % 9}", prompt="a red circle moving to the right " * 10, state=end, seed=index,
        parameters={"num_inference_steps": 30, "params": {}}, width=832, height=480, num_frames=81, fps=16,
        events=[{"status": "in_progress", "phase": phase, "attempt": 1, "at": now.isoformat()} for phase in phases],
        log="Loading shards: 40 %\\n" * 50,
    )
    rows.append(row)
    if end != State.QUEUED:
        row.created_at, row.started_at, row.finished_at = now, now, now + timedelta(seconds=rng.expovariate(0.01))
        row.timings = {phase: rng.expovariate(0.1) for phase in phases}
        tally = tallies.setdefault(row.model, Tally.objects.get_or_create(model=row.model)[0])
        tally.add(row)
Generation.objects.bulk_create(rows, 500)
for tally in tallies.values():
    tally.save()
"""


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """The address of each that there is."""
    found = {"SQLite": f"sqlite:///{folder}/db.sqlite3"}
    binaries = find_binaries()
    if binaries is None:
        yield found
        return
    with Postgres(folder / "postgres", binaries) as postgres:
        yield found | {"PostgreSQL": postgres.url}


def measure(server: Server, name: str, past: str) -> None:
    seconds, size = [], 0
    for _ in range(SCRAPES):
        started = time.perf_counter()
        answer = server.get("/metrics")
        seconds.append(time.perf_counter() - started)
        assert answer.status == 200, answer.body
        size = len(answer.body)
    median, slowest = (1000 * value for value in (statistics.median(seconds), max(seconds)))
    print(f"{name:10} {past:28} {median:6.1f} ms (median), {slowest:6.1f} (slowest), {size // 1024} KiB", flush=True)


def fill(server: Server, count: int, state: str) -> None:
    for first in range(0, count, BATCH):
        arguments = (str(min(BATCH, count - first)), state, str(first))
        code = f"import sys; sys.argv[1:] = {arguments!r}\n{ROWS}"
        server.manage("shell", "--no-imports", "-c", code)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="videoapi-bench-"))
    folder.chmod(0o755)  # for the user that PostgreSQL runs as
    try:
        (folder / "plugins").mkdir()
        write_faulty(folder / "plugins")
        with databases(folder) as addresses:
            for name, address in addresses.items():
                with Server(folder, folder / "plugins", DATABASE_URL=address, VIDEOAPI_PRELOAD="") as server:
                    measure(server, name, "nothing")
                    fill(server, FINISHED, "finished")
                    fill(server, QUEUED, "queued")
                    measure(server, name, f"{FINISHED} finished, {QUEUED} queued")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
