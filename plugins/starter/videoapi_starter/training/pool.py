"""The encoded clips that the transformer and the critic learn from."""

from __future__ import annotations

import random
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate

import torch

from videoapi_starter.training.networks import LATENT_CHANNELS, MASK_CHANNELS
from videoapi_starter.training.scenes import Scene

# Share of the samples for each (frames, height, width).
BUCKETS = {
    (17, 128, 128): 0.36,
    (17, 96, 160): 0.10,
    (17, 160, 96): 0.06,
    (25, 128, 128): 0.14,
    (25, 96, 160): 0.07,
    (25, 160, 96): 0.03,
    (9, 128, 128): 0.08,
    (9, 96, 160): 0.03,
    (9, 160, 96): 0.02,
    (33, 128, 128): 0.06,
    (33, 96, 160): 0.03,
    (33, 160, 96): 0.02,
    (49, 128, 128): 0.01,
    (49, 96, 160): 0.005,
    (49, 160, 96): 0.005,
    (65, 128, 128): 0.03,
    (65, 96, 160): 0.015,
    (65, 160, 96): 0.01,
}
IMAGE_SHARE = 0.3  # of a batch: those with frames given
# What is learned last is drawn more often: rings came out as circles, stars as hearts, and spins frayed.
SHAPE_WEIGHTS = {"ring": 1.8, "star": 1.8, "triangle": 1.2}
MOTION_WEIGHTS = {"spin": 1.6, "still": 1.3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """The clips of one size in one file: latents, those of their given frames, and what they show.

    Pictures come first (their scene is None), then scenes; only so many from the start have `first` and `both`.
    """

    latents: torch.Tensor
    first: torch.Tensor
    both: torch.Tensor
    scenes: list[tuple[str, str, str, str] | None]
    weights: list[float]
    """Sums of `weigh` up to each clip."""

    def draw(self, rng: random.Random, *, given: bool) -> int:
        """The index of a clip; pictures, which no words describe, only where frames are given."""
        start = 0 if given else self.scenes.count(None)
        end = len(self.first if given else self.latents)
        chosen = rng.uniform(self.weights[start - 1] if start else 0.0, self.weights[end - 1])
        return min(bisect(self.weights, chosen, start, end), end - 1)


class Pool:
    """The encoded clips, normalised to mean 0 and deviation 1 a channel.

    A training that goes on passes the `scale` (mean and deviation) that it began with.
    """

    def __init__(self, paths: list[str], scale: tuple[torch.Tensor, torch.Tensor] | None = None) -> None:
        files = [torch.load(path, map_location=torch.get_default_device()) for path in paths]
        if scale is None:
            latents = [part["latents"].transpose(0, 1).flatten(1) for file in files for part in file.values()]
            everything = torch.cat(latents, 1).float()
            scale = everything.mean(1), everything.std(1)
        self.mean, self.std = scale
        self.buckets: dict[tuple[int, int, int], list[Bucket]] = {}
        for size in BUCKETS:
            parts = [file[size] for file in files if size in file]
            if parts:
                self.buckets[size] = [
                    Bucket(
                        latents=self._normalize(part["latents"]),
                        first=self._normalize(part["first"]),
                        both=self._normalize(part["both"]),
                        scenes=part["scenes"],
                        weights=list(accumulate(map(weigh, part["scenes"]))),
                    )
                    for part in parts
                ]

    def _normalize(self, latents: torch.Tensor) -> torch.Tensor:
        shape = (1, -1, 1, 1, 1)
        return ((latents.float() - self.mean.view(shape)) / self.std.view(shape)).half()

    def choose_size(self, rng: random.Random) -> tuple[int, int, int]:
        """(frames, height, width) of the next batch."""
        return rng.choices(list(self.buckets), [BUCKETS[size] for size in self.buckets])[0]

    def draw(
        self, size: tuple[int, int, int], count: int, rng: random.Random
    ) -> tuple[torch.Tensor, torch.Tensor, list[Scene | None]]:
        """Clean latents, condition channels (mask then latents) and scenes; the first IMAGE_SHARE have frames given."""
        frames, height, width = self.buckets[size][0].latents.shape[2:]
        clean = torch.zeros(count, LATENT_CHANNELS, frames, height, width)
        condition = torch.zeros(count, MASK_CHANNELS + LATENT_CHANNELS, frames, height, width)
        scenes = []
        for i in range(count):
            bucket = rng.choice(self.buckets[size])
            given = i < round(count * IMAGE_SHARE)
            last = given and rng.random() < 0.5
            index = bucket.draw(rng, given=given)
            clean[i] = bucket.latents[index]
            scene = bucket.scenes[index]
            scenes.append(Scene(*scene) if scene else None)
            if given:
                condition[i, MASK_CHANNELS:] = (bucket.both if last else bucket.first)[index]
                condition[i, :MASK_CHANNELS, 0] = 1
                condition[i, MASK_CHANNELS - 1, -1] = float(last)
        return clean, condition, scenes


def weigh(scene: tuple[str, str, str, str] | None) -> float:
    """How often a clip is drawn, against 1 for what is learned easily."""
    if scene is None:
        return 1.0
    shape, _, motion, _ = scene
    return SHAPE_WEIGHTS.get(shape, 1.0) * MOTION_WEIGHTS.get(motion, 1.0)
