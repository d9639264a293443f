"""Encode rendered clips once, so that training the transformer touches latents only."""

from __future__ import annotations

import argparse
import random
from typing import Any

import torch
from diffusers import AutoencoderKLWan

from videoapi_starter.training import clips, processes
from videoapi_starter.training.pool import BUCKETS
from videoapi_starter.training.scenes import Scene, draw_scene

BATCH = 16


@torch.no_grad()
def encode(autoencoder: AutoencoderKLWan, clip: torch.Tensor) -> torch.Tensor:
    with processes.halve_precision():
        latents: torch.Tensor = autoencoder.encode(clip).latent_dist.mode().half().cpu()
    return latents


def encode_conditions(autoencoder: AutoencoderKLWan, clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The clip with all frames but the first, and all but the first and the last, at zero.

    This is what WanImageToVideoPipeline encodes; its images have passed through 8 bits.
    """
    clip = ((clip + 1) * 127.5).round() / 127.5 - 1
    given = torch.zeros_like(clip)
    given[:, :, 0] = clip[:, :, 0]
    first = encode(autoencoder, given)
    given[:, :, -1] = clip[:, :, -1]
    return first, encode(autoencoder, given)


def fill_bucket(
    autoencoder: AutoencoderKLWan, size: tuple[int, int, int], count: int, rng: random.Random
) -> dict[str, object]:
    """About `count` scene clips, the first third with their conditions, and a tenth as many pictures, all with."""
    latents, first, both = [], [], []
    scenes: list[Scene | None] = []
    batches = max(1, round(count / BATCH))
    pictures = max(1, batches // 10)
    for i in range(pictures + batches):
        drawn = [None] * BATCH if i < pictures else [draw_scene(rng) for _ in range(BATCH)]
        clip = (
            clips.render_pictures(BATCH, *size, rng) if i < pictures else clips.render(drawn, *size, rng)  # type: ignore[arg-type]
        )
        latents.append(encode(autoencoder, clip))
        scenes += drawn
        if i < pictures + max(1, batches // 3):
            conditions = encode_conditions(autoencoder, clip)
            first.append(conditions[0])
            both.append(conditions[1])
    return {
        "latents": torch.cat(latents),
        "scenes": [scene and (scene.shape, scene.color, scene.motion, scene.background) for scene in scenes],
        "first": torch.cat(first),
        "both": torch.cat(both),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--autoencoder", required=True)
    parser.add_argument("--out", required=True, help="file name; the process's rank is appended")
    parser.add_argument("--clips", type=int, default=12000, help="scene clips for each process")
    parser.add_argument("--frames", type=int, nargs="+", help="only the sizes of so many frames")
    parser.add_argument("--seed", type=int, default=100)
    args = parser.parse_args()
    rank = processes.join()
    rng = random.Random(args.seed + rank)
    autoencoder = AutoencoderKLWan.from_pretrained(args.autoencoder).to(torch.get_default_device()).eval()
    pool: dict[tuple[int, int, int], dict[str, Any]] = {}
    sizes = {size: share for size, share in BUCKETS.items() if not args.frames or size[0] in args.frames}
    bar = processes.show_progress(
        "pool", sum(size[0] * round(args.clips * share) for size, share in sizes.items()), unit="frame"
    )
    for size, share in sizes.items():
        count = round(args.clips * share)
        pool[size] = fill_bucket(autoencoder, size, count, rng)
        bar.update(size[0] * count)
    bar.close()
    processes.save(pool, f"{args.out}.{rank}")


if __name__ == "__main__":
    main()
