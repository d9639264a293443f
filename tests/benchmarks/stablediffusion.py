"""The stablediffusion backend beside the bare binding: time of the same call, memory over many, recovery from an abort.

Run with `python -m tests.benchmarks.stablediffusion`. Real library, weights of the true shapes with random values.
Server and binding take turns in one run, because the machine's speed changes from minute to minute.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path

import yaml

from plugins.stablediffusion.tests import weights
from tests.benchmarks.beside import Script
from tests.benchmarks.memory import pss_mib
from tests.server import Server

BARE = {
    "prompt": "a cat",
    "width": 64,
    "height": 64,
    "video_frames": 17,
    "sample_steps": 3,
    "cfg_scale": 1.0,
    "seed": 7,
    "eta": float("inf"),
    "flow_shift": 3.0,
}
REQUEST = {
    "model": "wan",
    "prompt": "a cat",
    "size": "64x64",
    "num_frames": 17,
    "fps": 16,
    "step": 3,
    "cfg_scale": 1,
    "seed": 7,
}
MODEL = {
    "name": "wan",
    "backend": "stablediffusion",
    "parameters": {"model": "t2v.gguf"},
    "stablediffusion": {"taesd_path": "tiny_vae.gguf", "without_text_encoder": True, "n_threads": 1},
}
# What the library itself does for a request; the rest is the server's.
LIBRARY_PHASES = ("generating", "encoding prompt", "denoising", "decoding")


def post(server: Server, **fields: object) -> tuple[float, float]:
    """Seconds of the whole request, and of the library within it."""
    started = time.perf_counter()
    answer = server.post({**REQUEST, **fields})
    wall = time.perf_counter() - started
    assert answer.status == 200, answer.body
    return wall, sum(answer.json["timings"].get(phase, 0.0) for phase in LIBRARY_PHASES)


def model_process(server: Server) -> int:
    return next(pid for pid, command in server.processes() if "model_process" in command)


def compare(server: Server, folder: Path, rounds: int) -> None:
    script = Script("tests.benchmarks.bare_binding", str(folder), quiet=True, OMP_WAIT_POLICY="passive")
    with script as binding:
        post(server)
        binding.run()
        pairs = [(binding.run(), *post(server)) for _ in range(rounds)]
    bare, wall, inside = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(inside / bare for bare, _, inside in pairs)
    print(f"bare binding {bare:.2f} s, ours {inside:.2f} s: ratio {ratio:.3f} (median of {rounds})")
    print(f"whole request {wall:.2f} s: encoding, storing and HTTP add {1000 * (wall - inside):.0f} ms")


def grow(server: Server, count: int) -> None:
    post(server, step=1)
    first = pss_mib(model_process(server))
    for _ in range(count - 1):
        post(server, step=1)
    last = pss_mib(model_process(server))
    print(f"memory of the model process: {first:.1f} MiB after 1, {last:.1f} MiB after {count} generations")
    print(f"the frames of those are {count * 17 * 64 * 64 * 3 / 2**20:.1f} MiB")


def recover(server: Server) -> None:
    path = server.post({**REQUEST, "step": 100}, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(path).json["step"] >= 1, "the first step")
    os.kill(model_process(server), signal.SIGABRT)
    aborted = time.perf_counter()
    _, inside = post(server)
    seconds = time.perf_counter() - aborted
    print(f"from an abort to the next answer {seconds:.2f} s, of which {inside:.2f} s are that request's own work")
    print(f"the aborted one: {server.get(path).json['error']['message'][:120]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--generations", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        models = Path(name) / "models"
        models.mkdir()
        weights.write_all(models)
        (models / "wan.yaml").write_text(yaml.safe_dump(MODEL))
        with Server(Path(name), VIDEOAPI_MODELS_DIR=str(models), VIDEOAPI_PRELOAD="") as server:
            compare(server, models, arguments.rounds)
            recover(server)
            grow(server, arguments.generations)


if __name__ == "__main__":
    main()
