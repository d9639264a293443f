"""What one would write without a server: call the pipeline, resize, export_to_video. One run for each line of input."""

from __future__ import annotations

import sys
import tempfile
import time

import numpy as np
import torch
from diffusers.utils import export_to_video
from PIL import Image

from tests.benchmarks.overhead import REQUEST
from videoapi_starter.pipeline import load


def main() -> None:
    pipeline = load().text.pipeline
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        for _ in sys.stdin:
            started = time.perf_counter()
            frames = pipeline(
                prompt=REQUEST["prompt"],
                negative_prompt="",
                width=128,
                height=128,
                num_frames=17,
                num_inference_steps=12,
                guidance_scale=4.0,
                generator=torch.Generator().manual_seed(1),
            ).frames[0][:16]
            images = [
                Image.fromarray(np.rint(frame * 255).astype(np.uint8)).resize((512, 512), Image.Resampling.BICUBIC)
                for frame in frames
            ]
            export_to_video(images, file.name, fps=8)
            print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
