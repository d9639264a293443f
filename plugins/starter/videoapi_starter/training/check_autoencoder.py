"""How well the autoencoder reproduces clips that it has never seen: PSNR, the judge's score, and a picture."""

from __future__ import annotations

import argparse
import random

import torch
from diffusers import AutoencoderKLWan
from PIL import Image

from videoapi_starter.training import clips, judge, processes
from videoapi_starter.training.scenes import draw_scene


@torch.no_grad()
def reconstruct(autoencoder: AutoencoderKLWan, clip: torch.Tensor) -> torch.Tensor:
    parts = [autoencoder.decode(autoencoder.encode(part).latent_dist.mode()).sample for part in clip.split(8)]
    return torch.cat(parts)


def psnr(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Decibels a clip, for values in [-1, 1]."""
    return -10 * torch.log10(((a - b) / 2).pow(2).flatten(1).mean(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--autoencoder", required=True)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--picture", help="file for originals above reconstructions")
    args = parser.parse_args()
    processes.join()
    autoencoder = AutoencoderKLWan.from_pretrained(args.autoencoder).eval()
    rng = random.Random(999)
    scenes = [draw_scene(rng, held_out=True) for _ in range(args.count)]
    clip = clips.render(scenes, 17, 128, 128, rng)
    again = reconstruct(autoencoder, clip)
    quality = psnr(clip, again)
    score = judge.score(list((again + 1) / 2), scenes)
    print(f"scenes: PSNR {quality.mean():.1f} dB, worst {quality.min():.1f}; judge {score}")
    pictures = clips.render_pictures(16, 17, 128, 128, rng)
    redrawn = reconstruct(autoencoder, pictures)
    print(f"pictures: PSNR {psnr(pictures, redrawn).mean():.1f} dB")
    if args.picture:
        rows = [(clip[i], again[i]) for i in range(8)] + [(pictures[i], redrawn[i]) for i in range(4)]
        strips = [torch.cat([video[:, t] for t in (0, 4, 8, 12, 16)], 2) for pair in rows for video in pair]
        columns = [torch.cat(strips[i : i + 8], 1) for i in range(0, len(strips), 8)]
        sheet = ((torch.cat(columns, 2) + 1) * 127.5).round().byte().permute(1, 2, 0)
        Image.fromarray(sheet.numpy()).save(args.picture)


if __name__ == "__main__":
    main()
