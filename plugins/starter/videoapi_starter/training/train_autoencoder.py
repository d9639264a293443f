"""Train the autoencoder on rendered clips.

It goes on from its checkpoint, beside the folder, when it is started again. Edges are a few pixels in a hundred and all
that tells a star from a disc, so they weigh more in the loss.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify

from videoapi_starter.training import clips, processes
from videoapi_starter.training.networks import make_autoencoder
from videoapi_starter.training.optimizer import Trainer
from videoapi_starter.training.scenes import draw_scene

KL_WEIGHT = 5e-4
EDGE_WEIGHT = 5.0


def draw_clip(rng: random.Random) -> torch.Tensor:
    """A batch (batch, 3, frames, height, width) of about the same cost whatever its shape."""
    frames, count = rng.choices(((5, 8), (9, 4), (17, 2), (1, 24)), (0.5, 0.25, 0.13, 0.12))[0]
    height, width = rng.choice(((128, 128), (128, 128), (96, 160), (160, 96)))
    kind = rng.random()
    if kind < 0.25:
        clip = clips.render_pictures(count, frames, height, width, rng)
    elif kind < 0.60:
        clip = clips.render([draw_scene(rng) for _ in range(count)], frames, height, width, rng)
    else:
        clip = clips.render_crowd(count, rng.choice((2, 3)), frames, height, width, rng)
    if rng.random() < 0.3:  # the middle only: more edges for the same time
        top, left = rng.randrange(0, height - 63, 16), rng.randrange(0, width - 63, 16)
        clip = torch.cat([clip[..., top : top + 64, left : left + 64].flip(axis) for axis in (3, 4)])
    return clip.contiguous()


def decode(autoencoder: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """AutoencoderKLWan.decode without its final clamp, which would stop the gradient of every saturated pixel."""
    autoencoder.clear_cache()
    hidden, frames = autoencoder.post_quant_conv(latents), []
    for i in range(latents.shape[2]):
        autoencoder._conv_idx = [0]
        frames.append(
            autoencoder.decoder(
                hidden[:, :, i : i + 1],
                feat_cache=autoencoder._feat_map,
                feat_idx=autoencoder._conv_idx,
                first_chunk=i == 0,
            )
        )
    autoencoder.clear_cache()
    clip: torch.Tensor = unpatchify(torch.cat(frames, 2), patch_size=autoencoder.config.patch_size)
    return clip


def edge_weights(clip: torch.Tensor) -> torch.Tensor:
    """1 on flat areas and 1 + EDGE_WEIGHT within two pixels of an edge, (batch, 1, frames, height, width)."""
    images = clip.transpose(1, 2).flatten(0, 1)
    spread = F.max_pool2d(images, 3, 1, 1) + F.max_pool2d(-images, 3, 1, 1)
    edges = F.max_pool2d((spread.amax(1, keepdim=True) > 0.1).float(), 3, 1, 1)
    weights: torch.Tensor = 1 + EDGE_WEIGHT * edges.unflatten(0, (clip.shape[0], clip.shape[2])).transpose(1, 2)
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="folder for the autoencoder")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--lr", type=float, default=3.5e-3)
    args = parser.parse_args()
    rank = processes.join()
    torch.manual_seed(1)
    autoencoder = make_autoencoder()
    kernels = [
        name
        for name, p in autoencoder.named_parameters()
        if p.ndim >= 4
        and min(p.shape[0], p[0].numel()) >= 8
        and not name.endswith(("conv_in.weight",))
        and not name.startswith("decoder.conv_out")
    ]
    trainer = Trainer(autoencoder, kernels, lr=args.lr)
    checkpoint, done = f"{args.out}.pt", 0
    if Path(checkpoint).exists():
        state = torch.load(checkpoint, map_location=torch.get_default_device())
        autoencoder.load_state_dict(state["autoencoder"])
        trainer.load_state_dict(state["trainer"])
        done = trainer.steps
    rng = random.Random(f"{rank} {done}")
    torch.manual_seed(1 + done + rank)
    total = squared = 0.0
    bar = processes.show_progress("autoencoder", args.steps, done)
    for step in range(done, args.steps):
        clip = draw_clip(rng)
        with processes.halve_precision():
            posterior = autoencoder.encode(clip).latent_dist
            mean, logvar = posterior.mean.float(), posterior.logvar.float()
            latents = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
            error = decode(autoencoder, latents).float() - clip
        slope = error.diff(dim=3).abs().mean() + error.diff(dim=4).abs().mean()
        kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
        loss = (edge_weights(clip) * (error.abs() + error**2)).mean() + 0.5 * slope + KL_WEIGHT * kl
        progress = step / args.steps
        trainer.step(loss, rate=min(1, (step + 1) / 20, max(0.01, (1 - progress) / 0.75)))
        bar.update()
        with torch.no_grad():
            total, squared = total + float(error.abs().mean()), squared + float((error**2).mean())
        if (step + 1) % 50 == 0 and rank == 0:
            bar.write(f"step {step + 1} l1 {total / 50:.4f} mse {squared / 50:.5f} kl {float(kl):.2f}")
            total = squared = 0.0
        if (step + 1) % 250 == 0 and rank == 0:
            processes.save({"autoencoder": autoencoder.state_dict(), "trainer": trainer.state_dict()}, checkpoint)
    bar.close()
    trainer.swap_averaged()
    if rank == 0:
        autoencoder.save_pretrained(args.out)


if __name__ == "__main__":
    main()
