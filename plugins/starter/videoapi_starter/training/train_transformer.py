"""Train the transformer: flow matching on the latent pool, text alone or with the first (and last) frame given.

It goes on from its checkpoint when there is one. The rate rises at the start of each run, stays, and falls to nothing
over the last `--decay` samples: a good checkpoint takes such an end, and a longer training another start after it.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import WanTransformer3DModel
from torch import nn

from videoapi_starter.training import processes
from videoapi_starter.training.critic import Critic
from videoapi_starter.training.networks import FLOW_SHIFT, make_transformer
from videoapi_starter.training.optimizer import Trainer
from videoapi_starter.training.pool import Pool
from videoapi_starter.training.prompts import CountedPadding, Texts, draw_caption

WARM_UP = 4000  # samples at the start of each run with a rising rate
PAD_RAMP = 100_000  # samples over which the weight of the padding grows to the pipeline's
CRITIC_WEIGHT, CRITIC_SIGMA = 0.3, 0.9
REPORT_STEPS = 100


def draw_sigmas(count: int) -> torch.Tensor:
    """Noise levels: logit-normal, stratified over the batch, moved toward noise by the scheduler's shift."""
    uniform = (torch.randperm(count) + torch.rand(count)) / count
    sigma = torch.sigmoid(1.2 * torch.special.ndtri(uniform.clamp(1e-4, 1 - 1e-4)))
    return FLOW_SHIFT * sigma / (1 + (FLOW_SHIFT - 1) * sigma)


@torch.no_grad()
def initialize(transformer: WanTransformer3DModel) -> None:
    """Start as the zero function of the noise, with quiet cross-attention."""
    for name, param in transformer.named_parameters():
        if name.startswith("proj_out"):
            param.zero_()
        elif name.endswith("time_proj.weight"):
            param.normal_(0, 0.02)
        elif param.ndim == 2 and "blocks" in name:
            nn.init.xavier_uniform_(param)
        elif param.ndim == 1 and name.endswith("bias"):
            param.zero_()
    for block in transformer.blocks:
        block.attn2.to_out[0].weight.mul_(0.3)


class Lesson:
    """What one process learns from: clips, captions, noise and the critic. Call it for the errors of a new batch."""

    def __init__(self, args: argparse.Namespace, transformer: WanTransformer3DModel, pool: Pool, seed: int) -> None:
        self.pool, self._texts, self._batch = pool, Texts(args.text), args.batch
        self._critic = Critic().eval().requires_grad_(False)
        self._critic.load_state_dict(torch.load(args.critic))
        self._transformer, self._padding = transformer, CountedPadding()
        for block in transformer.blocks:
            block.attn2.set_processor(self._padding)
        # The processes draw batches of one size, so that none waits for another, but other clips.
        self._sizes, self._rng = random.Random(seed), random.Random(f"{processes.rank()} {seed}")
        torch.manual_seed(seed + processes.rank() + 1)

    def __call__(self, seen: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The squared error of the velocity, and how differently the critic sees the clip that it implies."""
        clean, condition, scenes = self.pool.draw(self.pool.choose_size(self._sizes), self._batch, self._rng)
        captions, shapes = zip(*(draw_caption(scene, self._rng) for scene in scenes), strict=True)
        hidden, self._padding.bias = self._texts.encode(list(captions), min(1.0, seen / PAD_RAMP))
        sigma = draw_sigmas(self._batch)
        noise, level = torch.randn_like(clean), sigma.view(-1, 1, 1, 1, 1)
        noisy = torch.lerp(clean, noise, level)
        velocity = self._transformer(torch.cat([noisy, condition], 1), sigma * 1000, hidden, return_dict=False)[0]
        error = F.mse_loss(velocity, noise - clean)
        # The clean latents that the velocity implies; near pure noise they are a mean of everything, and say nothing.
        weight = torch.where(sigma < CRITIC_SIGMA, 1 - sigma, 0.0)
        apart = self._critic.distance(noisy - level * velocity, clean, torch.tensor(shapes), weight)
        return error, apart


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    transformer = make_transformer()
    initialize(transformer)
    matrices = [
        name
        for name, p in transformer.named_parameters()
        if p.ndim == 2 and ("blocks" in name or "text_embedder" in name)
    ]
    trainer = Trainer(transformer, matrices, lr=args.lr)
    seen, scale = 0, None
    if Path(args.out).exists():
        state = torch.load(args.out, map_location=torch.get_default_device())
        transformer.load_state_dict(state["transformer"])
        trainer.load_state_dict(state["trainer"])
        seen, scale = state["seen"], (state["mean"], state["std"])
    lesson = Lesson(args, transformer, Pool(args.pool, scale), seen)
    errors, distances, started, began = [], [], time.time(), seen
    bar = processes.show_progress("transformer", args.samples, seen, "sample")
    while seen < args.samples:
        error, apart = lesson(seen)
        rate = min(1, (seen - began + args.batch) / WARM_UP, max(0.01, (args.samples - seen) / args.decay))
        trainer.step(error + CRITIC_WEIGHT * apart, rate)
        errors.append(error.item())
        distances.append(apart.item())
        new = args.batch * processes.world_size()
        seen += new
        bar.update(new)
        is_last = seen >= args.samples
        if processes.rank() or not (is_last or trainer.steps % REPORT_STEPS == 0):
            continue
        recent, distance = (
            math.fsum(values[-REPORT_STEPS:]) / len(values[-REPORT_STEPS:]) for values in (errors, distances)
        )
        pace = (seen - began) / (time.time() - started)
        bar.write(f"{seen} samples, error {recent:.4f}, critic {distance:.4f}, {pace:.0f} samples/s")
        checkpoint = {"transformer": transformer.state_dict(), "trainer": trainer.state_dict(), "seen": seen}
        processes.save({**checkpoint, "mean": lesson.pool.mean, "std": lesson.pool.std}, args.out)
    bar.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", nargs="+", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--critic", required=True)
    parser.add_argument("--out", required=True, help="checkpoint; continued from when it exists")
    parser.add_argument("--samples", type=int, default=1_000_000, help="where to end, counted from the first run on")
    parser.add_argument("--decay", type=int, default=300_000, help="samples at the end with a falling rate")
    parser.add_argument("--batch", type=int, default=48, help="samples at a time for each process")
    parser.add_argument("--lr", type=float, default=2.5e-3)
    processes.join()
    train(parser.parse_args())


if __name__ == "__main__":
    main()
