"""Four clips of the packaged model side by side, as the animated picture in the README."""

from __future__ import annotations

import argparse

import numpy as np
from PIL import Image

from videoapi_starter.plugin import SPEC, load_model
from videoapi_starter.training.stopwatch import generate

PROMPTS = (
    "a red circle moving to the right on a white background",
    "a yellow star spinning on a blue background",
    "a green square growing on a black background",
    "a purple heart moving up on a gray background",
)
SIDE, GAP, FRAMES, FPS = 128, 4, 17, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="a .webp file")
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    pipeline = load_model(SPEC)
    size = {"width": SIDE, "height": SIDE, "num_frames": FRAMES, "fps": FPS}
    clips = [generate(pipeline, prompt, seed=args.seed, **size) for prompt in PROMPTS]
    gap = np.full((SIDE, GAP, 3), 255, np.uint8)
    rows = (
        np.concatenate([part for frame in frames for part in (frame, gap)][:-1], 1)
        for frames in zip(*clips, strict=True)
    )
    pictures = [Image.fromarray(row) for row in rows]
    pictures[0].save(
        args.out, save_all=True, append_images=pictures[1:], duration=1000 // FPS, loop=0, quality=75, method=6
    )


if __name__ == "__main__":
    main()
