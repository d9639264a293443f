"""Several videos in one call of a diffusers pipeline, beside the same ones one after the other.

Run with `python -m tests.benchmarks.batches`. Both take turns in one run, with new prompts each time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plugins.diffusers.tests.conftest import RecordingProgress
from tests.benchmarks import tiny_wan
from videoapi import GenerationRequest
from videoapi_diffusers import load

SHAPES = {
    "64x64, 5 frames": (64, 64, 5),
    "416x240, 17 frames": (416, 240, 17),
}
SIZES = (2, 4)


def make_requests(shape: tuple[int, int, int], size: int, turn: int) -> list[GenerationRequest]:
    width, height, num_frames = shape
    return [
        GenerationRequest(
            prompt="a red ball " * (size * turn + index + 1),
            negative_prompt="",
            width=width,
            height=height,
            num_frames=num_frames,
            fps=tiny_wan.FPS,
            num_inference_steps=tiny_wan.STEPS,
            guidance_scale=tiny_wan.GUIDANCE,
            seed=index,
        )
        for index in range(size)
    ]


def timed(make: Callable[[], Sequence[Any]]) -> float:
    """Seconds until every frame is there."""
    started = time.perf_counter()
    for clip in make():
        for _ in clip.frames:
            """They are decoded while they are read."""
    return time.perf_counter() - started


def compare(pipeline: Any, shape: tuple[int, int, int], size: int, turn: int) -> float:
    """The time of the batch, of that of its videos one after the other."""
    requests = make_requests(shape, size, turn)
    alone = sum(
        timed(lambda request=request: [pipeline.generate(request, RecordingProgress())]) for request in requests
    )  # type: ignore[misc]
    return timed(lambda: pipeline.generate_batch(requests, RecordingProgress(each=size))) / alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        tiny_wan.write(Path(folder))
        # Without a memory of texts, which would spare the second of the two the encoding.
        pipeline = load(folder, "WanPipeline", embeddings={"memory_mib": 0})
        compare(pipeline, SHAPES["64x64, 5 frames"], 2, 0)
        print(f"tiny Wan with random weights, {tiny_wan.STEPS} steps, median of {count}:")
        for title, shape in SHAPES.items():
            for size in SIZES:
                ratios = [compare(pipeline, shape, size, turn) for turn in range(count)]
                print(
                    f"  a run of {size} / {size} runs of one  {statistics.median(ratios):5.2f}   ({title})", flush=True
                )


if __name__ == "__main__":
    main()
