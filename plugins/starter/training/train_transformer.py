"""Train the transformer: flow matching on the latent pool, text alone or with the first (and last) frame given.

The schedule is warm-up, constant, linear decay, counted in samples, so a run can be continued from its checkpoint
with a later end.
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
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor
from torch import nn

from training import processes
from training.critic import Critic
from training.encode_pool import BUCKETS
from training.networks import (
    FLOW_SHIFT,
    LATENT_CHANNELS,
    MASK_CHANNELS,
    TEXT_LENGTH,
    TEXT_WIDTH,
    make_text_encoder,
    make_tokenizer,
    make_transformer,
)
from training.optimizer import Trainer
from training.scenes import SHAPES, Scene, empty_caption, full_caption, short_caption

BATCH = 48
WORDS = 24  # the longest training caption in tokens; unknown words take one a letter
IMAGE_SHARE = 0.3
PAD_RAMP = 100_000  # samples over which the weight of the padding grows to the pipeline's
EMPTY_SHARE, SHORT_SHARE = 0.08, 0.12
CRITIC_WEIGHT, CRITIC_SIGMA = 0.2, 0.9


class CountedPadding(WanAttnProcessor):
    """Cross-attention in which one zero token stands for all of a prompt's padding, by the log of their number.

    WanPipeline pads prompts to TEXT_LENGTH with zero vectors and does not mask them. This gives the same result for
    a few tokens' cost.
    """

    bias: torch.Tensor

    def __call__(
        self, attn: WanAttention, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, *_: object
    ) -> torch.Tensor:
        def split(x: torch.Tensor) -> torch.Tensor:
            return x.unflatten(2, (attn.heads, -1)).transpose(1, 2)

        query = split(attn.norm_q(attn.to_q(hidden_states)))
        key = split(attn.norm_k(attn.to_k(encoder_hidden_states)))
        value = split(attn.to_v(encoder_hidden_states))
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=self.bias)
        return attn.to_out[0](out.transpose(1, 2).flatten(2))


class Texts:
    """Captions to what the transformer reads, with the frozen text encoder."""

    def __init__(self, weights: str) -> None:
        self.tokenizer = make_tokenizer()
        self.encoder = make_text_encoder(len(self.tokenizer)).eval().requires_grad_(False)
        self.encoder.load_state_dict(torch.load(weights))

    @torch.no_grad()
    def encode(self, texts: list[str], ramp: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states (batch, WORDS + 1, TEXT_WIDTH) and the attention bias (batch, 1, 1, WORDS + 1)."""
        tokens = self.tokenizer(texts, padding="max_length", max_length=WORDS, truncation=True, return_tensors="pt")
        mask = tokens.attention_mask
        hidden = self.encoder(tokens.input_ids, mask).last_hidden_state * mask[..., None]
        hidden = torch.cat([hidden, hidden.new_zeros(len(texts), 1, TEXT_WIDTH)], 1)
        pads = torch.log((TEXT_LENGTH - mask.sum(1)).float())
        bias = torch.cat([torch.where(mask == 1, 0.0, -1e4), (ramp * pads + (1 - ramp) * -4.0)[:, None]], 1)
        return hidden, bias[:, None, None]


class Pool:
    """The encoded clips, normalised to mean 0 and deviation 1 a channel."""

    def __init__(self, paths: list[str]) -> None:
        parts = [torch.load(path) for path in paths]
        everything = torch.cat(
            [part[size]["latents"].transpose(0, 1).flatten(1) for part in parts for size in BUCKETS], 1
        ).float()
        self.mean, self.std = everything.mean(1), everything.std(1)
        self.buckets = {}
        for size in BUCKETS:
            bucket: dict = {}
            for name in ("latents", "first", "both"):
                bucket[name] = [self._normalize(part[size][name]) for part in parts]
            bucket["scenes"] = [part[size]["scenes"] for part in parts]
            bucket["pictures"] = [scenes.count(None) for scenes in bucket["scenes"]]
            self.buckets[size] = bucket

    def _normalize(self, latents: torch.Tensor) -> torch.Tensor:
        shape = (1, -1, 1, 1, 1)
        return ((latents.float() - self.mean.view(shape)) / self.std.view(shape)).half()

    def draw(
        self, size: tuple[int, int, int], rng: random.Random
    ) -> tuple[torch.Tensor, torch.Tensor, list[Scene | None]]:
        """Clean latents, condition channels (mask then latents) and scenes; the first IMAGE_SHARE have frames given."""
        bucket, images = self.buckets[size], round(BATCH * IMAGE_SHARE)
        clean, scenes = [], []
        channels = MASK_CHANNELS + LATENT_CHANNELS
        condition: torch.Tensor | None = None
        for i in range(BATCH):
            part = rng.randrange(len(bucket["latents"]))
            given = i < images
            last = given and rng.random() < 0.5
            start = 0 if given else bucket["pictures"][part]
            index = rng.randrange(start, len(bucket["first" if given else "latents"][part]))
            clean.append(bucket["latents"][part][index])
            scene = bucket["scenes"][part][index]
            scenes.append(Scene(*scene) if scene else None)
            if condition is None:
                condition = torch.zeros(BATCH, channels, *clean[0].shape[1:])
            if given:
                condition[i, MASK_CHANNELS:] = bucket["both" if last else "first"][part][index]
                condition[i, :MASK_CHANNELS, 0] = 1
                condition[i, MASK_CHANNELS - 1, -1] = float(last)
        assert condition is not None
        return torch.stack(clean).float(), condition, scenes


def draw_caption(scene: Scene | None, rng: random.Random) -> tuple[str, int]:
    """A caption, and the class of the shape that it states; -1 when it states none."""
    chance = rng.random()
    if scene is None or chance < EMPTY_SHARE:
        return empty_caption(rng)[0], -1
    caption = short_caption if chance < EMPTY_SHARE + SHORT_SHARE else full_caption
    text, stated = caption(scene, rng)
    return text, SHAPES.index(scene.shape) if "shape" in stated else -1


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", nargs="+", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--critic", required=True)
    parser.add_argument("--out", required=True, help="checkpoint; continued from when it exists")
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--decay", type=int, default=300_000, help="samples at the end with a falling rate")
    parser.add_argument("--lr", type=float, default=2.5e-3)
    args = parser.parse_args()
    rank = processes.join()
    torch.manual_seed(0)
    transformer = make_transformer()
    initialize(transformer)
    padding = CountedPadding()
    for block in transformer.blocks:
        block.attn2.set_processor(padding)
    pool, texts = Pool(args.pool), Texts(args.text)
    critic = Critic().eval().requires_grad_(False)
    critic.load_state_dict(torch.load(args.critic))
    matrices = [
        name
        for name, p in transformer.named_parameters()
        if p.ndim == 2 and ("blocks" in name or "text_embedder" in name)
    ]
    trainer = Trainer(transformer, matrices, lr=args.lr)
    seen = 0
    if Path(args.out).exists():
        state = torch.load(args.out)
        transformer.load_state_dict(state["transformer"])
        trainer.load_state_dict(state["trainer"])
        seen = state["seen"]
    rng, shared = random.Random(f"{rank} {seen}"), random.Random(seen)
    torch.manual_seed(seen + rank + 1)
    losses, distances, started, began = [], [], time.time(), seen
    while seen < args.samples:
        (size,) = shared.choices(list(BUCKETS), list(BUCKETS.values()))
        clean, condition, scenes = pool.draw(size, rng)
        captions, shapes = zip(*(draw_caption(scene, rng) for scene in scenes), strict=True)
        hidden, padding.bias = texts.encode(list(captions), min(1.0, seen / PAD_RAMP))
        sigma = draw_sigmas(BATCH)
        noise, level = torch.randn_like(clean), sigma.view(-1, 1, 1, 1, 1)
        noisy = torch.lerp(clean, noise, level)
        velocity = transformer(torch.cat([noisy, condition], 1), sigma * 1000, hidden, return_dict=False)[0]
        error = F.mse_loss(velocity, noise - clean)
        # The clean latents that the velocity implies; near pure noise they are a mean of everything, and say nothing.
        weight = torch.where(sigma < CRITIC_SIGMA, 1 - sigma, 0.0)
        seen_apart = critic.distance(noisy - level * velocity, clean, torch.tensor(shapes), weight)
        loss = error + CRITIC_WEIGHT * seen_apart
        rate = min(1, (trainer.steps + 1) / 40, max(0.01, (args.samples - seen) / args.decay))
        trainer.step(loss, rate)
        seen += BATCH * processes.world_size()
        losses.append(error.item())
        distances.append(seen_apart.item())
        if trainer.steps % 100 == 0 and rank == 0:
            pace = (seen - began) / (time.time() - started)
            recent, apart = (math.fsum(values[-100:]) / len(values[-100:]) for values in (losses, distances))
            print(f"{seen} samples, error {recent:.4f}, critic {apart:.4f}, {pace:.0f} samples/s", flush=True)
        if (trainer.steps % 500 == 0 or seen >= args.samples) and rank == 0:
            torch.save(
                {
                    "transformer": transformer.state_dict(),
                    "trainer": trainer.state_dict(),
                    "seen": seen,
                    "mean": pool.mean,
                    "std": pool.std,
                },
                args.out,
            )


if __name__ == "__main__":
    main()
