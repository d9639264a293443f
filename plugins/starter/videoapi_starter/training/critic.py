"""A small network that names the shape in a clip's latents, trained once and frozen.

The transformer's error is mostly about places and colours; which shape it is makes a few hundredths of it, and a
plain squared error learns that last. Comparing what this network sees in the predicted and in the true latents gives
the shape its weight (the idea is that of https://arxiv.org/abs/2411.04873, with a classifier in place of the decoder).
"""

from __future__ import annotations

import argparse
import random

import torch
import torch.nn.functional as F
from torch import nn

from videoapi_starter.training import processes
from videoapi_starter.training.networks import LATENT_CHANNELS
from videoapi_starter.training.optimizer import Trainer
from videoapi_starter.training.pool import Pool
from videoapi_starter.training.scenes import SHAPES

WIDTH = 48
MAX_NOISE = 0.5


class Critic(nn.Module):
    """Frame by frame: latents (batch, channels, frames, height, width) to features and shape logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(LATENT_CHANNELS, WIDTH, 3, padding=1),
                nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
                nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            ]
        )
        self.head = nn.Linear(2 * WIDTH, len(SHAPES))

    def forward(self, latents: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Feature maps (batch * frames, WIDTH, height, width) of each layer, and logits (batch, shapes)."""
        batch, _, frames = latents.shape[:3]
        x = latents.transpose(1, 2).flatten(0, 1)
        features = []
        for layer in self.layers:
            x = F.silu(F.group_norm(layer(x), 8))
            features.append(x)
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return features, self.head(pooled).unflatten(0, (batch, frames)).mean(1)

    def distance(
        self, predicted: torch.Tensor, true: torch.Tensor, shape: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        """How differently it sees two batches of latents, weighted by sample; `shape` is -1 where none is stated."""
        with torch.no_grad():
            expected, _ = self(true)
        found, logits = self(predicted)
        frames = weight.repeat_interleave(predicted.shape[2])
        apart = torch.stack([(a - b).pow(2).mean((1, 2, 3)) for a, b in zip(found, expected, strict=True)]).sum(0)
        named = F.cross_entropy(logits, shape.clamp(min=0), reduction="none") * (shape >= 0)
        # The root, because the shape is decided at high noise, where the features say less.
        return (apart * frames).mean() + 0.25 * (named * weight.sqrt()).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", nargs="+", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=2500)
    args = parser.parse_args()
    processes.join()
    torch.manual_seed(0)
    rng = random.Random(0)
    pool, critic = Pool(args.pool), Critic()
    trainer = Trainer(critic, ["layers.1.weight", "layers.2.weight"], lr=3e-3, average=0.99)
    right = 0.0
    bar = processes.show_progress("critic", args.steps)
    for step in range(args.steps):
        bucket = rng.choice(pool.buckets[rng.choice(list(pool.buckets))])
        scenes = [(i, scene[0]) for i, scene in enumerate(bucket.scenes) if scene]
        chosen = rng.choices(scenes, k=48)
        latents = bucket.latents[[i for i, _ in chosen]].float()
        shapes = torch.tensor([SHAPES.index(shape) for _, shape in chosen])
        # Noise and dimming, so that it looks at what is there and not at single numbers.
        noisy = latents * (1 - 0.3 * torch.rand(48, 1, 1, 1, 1))
        noisy = noisy + MAX_NOISE * torch.rand(48, 1, 1, 1, 1) * torch.randn_like(noisy)
        _, logits = critic(noisy)
        trainer.step(F.cross_entropy(logits, shapes), min(1, (step + 1) / 50, 2 * (args.steps - step) / args.steps))
        right = 0.98 * right + 0.02 * float((logits.argmax(1) == shapes).float().mean())
        bar.update()
        if (step + 1) % 250 == 0:
            bar.write(f"step {step + 1}: names {right:.3f} of the noisy clips right")
    bar.close()
    trainer.swap_averaged()
    processes.save(critic.state_dict(), args.out)


if __name__ == "__main__":
    main()
