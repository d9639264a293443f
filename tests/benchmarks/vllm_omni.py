"""What videoapi adds to a vLLM-Omni engine: to one request, and to eight that the engine makes as one batch.

Run as `make bench-engines`. A real engine with a tiny random model, straight and through `POST /video` in turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
import yaml

from plugins.diffusers.tests.conftest import make_components
from tests.engines.engine import ENVIRONMENT, KEY, Engine
from tests.server import Server

TOGETHER = 8
FIELDS = {"prompt": "a b c", "size": "64x64", "num_frames": 17, "fps": 8, "seed": 3}


def make_engine(folder: Path) -> Engine:
    from diffusers import WanPipeline

    WanPipeline(**make_components(16)).save_pretrained(folder / "tiny-wan-t2v")
    batching = ("--max-num-seqs", str(TOGETHER), "--request-batch-max-wait-ms", "300")
    engine = Engine(folder / "tiny-wan-t2v", folder / "engine.log", *batching)
    engine.start()
    return engine


def write_model(folder: Path, engine: Engine) -> None:
    folder.mkdir()
    model = {
        "name": "wan",
        "backend": "vllm-omni",
        "diffusers": {"pipeline_type": "WanPipeline"},
        "vllm_omni": {"url": engine.url, "model": engine.served, "api_key": KEY},
    }
    (folder / "wan.yaml").write_text(yaml.safe_dump(model))


def is_available(server: Server) -> bool:
    models = server.get("/v1/models").json["data"]
    return any(model["id"] == "wan" and model["available"] for model in models)


def ask_engine(engine: Engine, steps: int) -> None:
    """The engine's own way to wait for a video and have it."""
    form = {**FIELDS, "model": engine.served, "num_inference_steps": steps, "guidance_scale": 4}
    answer = requests.post(
        f"{engine.url}/v1/videos/sync",
        files=[(name, (None, str(value))) for name, value in form.items()],
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=600,
    )
    assert answer.status_code == 200, answer.text
    assert answer.content


def ask_us(server: Server, steps: int) -> None:
    answer = server.post({**FIELDS, "model": "wan", "step": steps, "cfg_scale": 4})
    assert answer.status == 200, answer.body
    assert server.get(answer.json["data"][0]["url"]).body


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def seconds_together(work: Callable[[], object]) -> float:
    with ThreadPoolExecutor(TOGETHER) as threads:
        return seconds(lambda: [each.result() for each in [threads.submit(work) for _ in range(TOGETHER)]])


def compare(
    what: str, measure: Callable[[Callable[[], object]], float], engine: Engine, server: Server, steps: int, rounds: int
) -> None:
    pairs = []
    for _ in range(rounds):
        straight = measure(lambda: ask_engine(engine, steps))
        pairs.append((straight, measure(lambda: ask_us(server, steps))))
    straight, ours = (statistics.median(each) for each in zip(*pairs, strict=True))
    added = statistics.median(ours - straight for straight, ours in pairs)
    ratio = statistics.median(ours / straight for straight, ours in pairs)
    print(
        f"{what}, {steps} steps: engine {straight:.2f} s, through videoapi {ours:.2f} s: "
        f"{1000 * added:.0f} ms added, ratio {ratio:.2f} (medians of {rounds})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    if not ENVIRONMENT:
        sys.exit("VIDEOAPI_TEST_VLLM_OMNI must name an environment with vLLM-Omni; make bench-engines makes one.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = make_engine(folder)
        try:
            write_model(folder / "models", engine)
            slots = ";".join(["wan"] * TOGETHER)
            settings = {"VIDEOAPI_MODELS_DIR": str(folder / "models"), "VIDEOAPI_PRELOAD": "", "VIDEOAPI_SLOTS": slots}
            with Server(folder, VIDEOAPI_CHECK_SECONDS="0.5", **settings) as server:
                server.wait_until(lambda: is_available(server), "the engine")
                # Every slot loads its pipeline, the engine compiles what it needs.
                for _ in range(2):
                    seconds_together(lambda: ask_us(server, 2))
                    seconds_together(lambda: ask_engine(engine, 2))
                for steps in (2, 40):
                    compare("one request", seconds, engine, server, steps, arguments.rounds)
                for steps in (2, 20):
                    compare(f"{TOGETHER} together", seconds_together, engine, server, steps, arguments.rounds)
        finally:
            engine.kill()


if __name__ == "__main__":
    main()
