"""What the server adds to a warm request, beside a bare diffusers script; and the memory of its processes.

Run with `python -m tests.benchmarks.overhead`. Server and script take turns in one run, because the machine's speed
changes from minute to minute.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tests.benchmarks.beside import Script
from tests.benchmarks.memory import pss_mib
from tests.server import Server

REQUEST = {
    "model": "starter",
    "prompt": "a red circle moving left to right on a white background",
    "width": 512,
    "height": 512,
    "num_frames": 16,
    "fps": 8,
    "seed": 1,
}
# What the pipeline itself does for a request; the rest is the server's.
PIPELINE_PHASES = ("generating", "encoding prompt", "denoising", "decoding")
ROLES = {"web master": "gunicorn", "web": "gunicorn", "worker": "videoworker", "model process": "model_process"}


def post(server: Server) -> tuple[float, float]:
    """Seconds of the whole request, and of the pipeline within it."""
    started = time.perf_counter()
    answer = server.post(REQUEST)
    wall = time.perf_counter() - started
    assert answer.status == 200, answer.body
    return wall, sum(answer.json["timings"][phase] for phase in PIPELINE_PHASES)


def memory(server: Server) -> dict[str, float]:
    """MiB of each process: its share of the physical memory (PSS)."""
    pids = dict(server.processes())
    found: dict[str, float] = {}
    for role, words in ROLES.items():
        pid = next(pid for pid, command in sorted(pids.items()) if words in command)
        del pids[pid]
        found[role] = pss_mib(pid)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    measure(parser.parse_args().count)


def measure(count: int) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder)) as server,
        Script("tests.benchmarks.bare_script") as script,
    ):
        server.wait_until(lambda: "starter is loaded" in server.log, "the starter to load", seconds=300)
        post(server)
        script.run()
        walls, added, scripts = [], [], []
        for _ in range(count):
            wall, own = post(server)
            walls.append(wall)
            added.append(wall - own)
            scripts.append(script.run())
        print(f"starter, warm request, 512x512, 16 frames, median of {count}:")
        print(f"  server, whole request          {statistics.median(walls) * 1000:7.0f} ms")
        print(f"  added to the pipeline's time   {statistics.median(added) * 1000:7.0f} ms")
        print(f"  bare script, export_to_video   {statistics.median(scripts) * 1000:7.0f} ms")
        ratios = [wall / bare for wall, bare in zip(walls, scripts, strict=True)]
        print(f"  server / bare script           {statistics.median(ratios):7.2f}")
        print("memory (PSS):")
        for role, mebibytes in memory(server).items():
            print(f"  {role:<14} {mebibytes:6.0f} MiB")


if __name__ == "__main__":
    main()
