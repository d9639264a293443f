"""A warm request to a diffusers model beside the script that one would write by hand: time, and peak of memory.

Run with `python -m tests.benchmarks.diffusers`. Server and script take turns in one run, with the same pipeline, seed,
number of threads and steps, because the machine's speed changes from minute to minute.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks import overhead, tiny_wan
from tests.benchmarks.beside import Script
from tests.benchmarks.memory import peak_mib
from tests.server import Server

NAME = "tiny-wan"


def ask(server: Server, prompt: str) -> tuple[float, dict[str, float]]:
    """Seconds of the whole request, and those of its phases."""
    request: dict[str, Any] = {
        "model": NAME,
        "prompt": prompt,
        "width": tiny_wan.WIDTH,
        "height": tiny_wan.HEIGHT,
        "num_frames": tiny_wan.NUM_FRAMES,
        "fps": tiny_wan.FPS,
        "step": tiny_wan.STEPS,
        "cfg_scale": tiny_wan.GUIDANCE,
        "seed": 1,
    }
    started = time.perf_counter()
    answer = server.post(request)
    wall = time.perf_counter() - started
    assert answer.status == 200, answer.body
    return wall, answer.json["timings"]


def measure_wan(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        tiny_wan.write(models / "weights")
        file = {"name": NAME, "backend": "diffusers", "parameters": {"model": str(models / "weights")}}
        (models / f"{NAME}.yaml").write_text(yaml.safe_dump(file))
        settings = {"VIDEOAPI_MODELS_DIR": str(models), "VIDEOAPI_PRELOAD": NAME}
        with (
            Server(Path(folder), **settings) as server,
            Script("tests.benchmarks.tiny_wan", str(models / "weights"), quiet=True) as script,
        ):
            ask(server, "warm")
            script.run()
            new, known, encoding, scripts = [], [], [], []
            for number in range(count):
                prompt = "a blue ball " * (number + 1)
                wall, phases = ask(server, prompt)
                new.append(wall)
                scripts.append(script.run())
                again, later = ask(server, prompt)
                known.append(again)
                encoding.append((phases["encoding prompt"], later["encoding prompt"]))
            processes = sorted(server.processes())
            model = next(pid for pid, command in processes if overhead.ROLES["model process"] in command)
            peaks = peak_mib(model), peak_mib(script.pid)
    size = f"{tiny_wan.WIDTH}x{tiny_wan.HEIGHT}, {tiny_wan.NUM_FRAMES} frames, {tiny_wan.STEPS} steps"
    print(f"tiny Wan with random weights, {size}, median of {count}:")
    print(f"  server, new prompt             {statistics.median(new):7.2f} s")
    print(f"  server, the same prompt again  {statistics.median(known):7.2f} s")
    print(f"  bare script, export_to_video   {statistics.median(scripts):7.2f} s")
    for title, walls in (("new prompt", new), ("same prompt", known)):
        ratio = statistics.median(wall / bare for wall, bare in zip(walls, scripts, strict=True))
        print(f"  server / bare script           {ratio:7.2f}   ({title})")
    before, after = (statistics.median(each) * 1000 for each in zip(*encoding, strict=True))
    print(f"  encoding the prompt            {before:7.0f} ms, {after:.0f} ms the second time")
    print(f"  peak of memory                 {peaks[0]:7.0f} MiB, script {peaks[1]:.0f} MiB")
    print(f"  server / bare script           {peaks[0] / peaks[1]:7.2f}   (peak of memory)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5)
    count = parser.parse_args().count
    measure_wan(count)
    overhead.measure(count)


if __name__ == "__main__":
    main()
