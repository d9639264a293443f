"""A look at a video while it is being denoised, for next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from videoapi_diffusers.running.frames import Frames

# Of the mean square of what is known.
RIDGE = 1e-4


class LatentPreview:
    """Turns latents into a small picture by a linear map from channels to RGB.

    Such maps are published for some autoencoders; this one is fitted to the pipeline's own results, so there is one for
    every autoencoder, from the second generation on, and it gets better with each.
    """

    def __init__(self) -> None:
        self._map: torch.Tensor | None = None
        # Sums over all that was seen, for the normal equations of least squares.
        self._squares: torch.Tensor | float = 0.0
        self._products: torch.Tensor | float = 0.0

    @property
    def is_ready(self) -> bool:
        return self._map is not None

    def learning(self, latents: torch.Tensor, frames: Frames) -> Iterator[torch.Tensor]:
        """The same frames; fits to final latents (1, channels, time, height, width) and those that are read.

        Latents of another shape, packed into tokens for instance, have no previews.
        """
        if latents.ndim != 5 or not torch.isfinite(latents).all():
            yield from frames
            return
        times = latents.shape[2]
        every = max(1, (frames.count - 1) // (times - 1) if times > 1 else 1)
        pictures: list[torch.Tensor] = []
        try:
            for index, frame in enumerate(frames):
                if index % every == 0 and len(pictures) < times:
                    pictures.append(_shrink(frame, latents))
                yield frame
        finally:
            # Those at the end may not have been wanted.
            if pictures:
                self._fit(latents[0, :, : len(pictures)], torch.stack(pictures))

    def _fit(self, latents: torch.Tensor, pictures: torch.Tensor) -> None:
        channels = latents.shape[0]
        known = _with_one(latents.permute(1, 2, 3, 0).reshape(-1, channels)).double()
        self._squares = self._squares + known.T @ known
        self._products = self._products + known.T @ pictures.permute(0, 2, 3, 1).reshape(-1, 3).double()
        # A little of the identity keeps the map small where few colours have been seen.
        ridge = RIDGE * self._squares.trace() * torch.eye(channels + 1, dtype=torch.float64)
        self._map = torch.linalg.solve(self._squares + ridge, self._products).float()

    def make(self, latents: torch.Tensor) -> NDArray[np.uint8]:
        """The middle of the clip (channels, time, height, width) as RGB (height, width, 3), in latent pixels."""
        assert self._map is not None
        middle = latents[:, latents.shape[1] // 2]
        picture = _with_one(middle.permute(1, 2, 0)) @ self._map
        pixels: NDArray[np.uint8] = picture.mul(255).round().clamp(0, 255).to(torch.uint8).numpy()
        return pixels


def in_order(latents: torch.Tensor, axes: str) -> torch.Tensor:
    """The latents, whose axes these are, as (1, channels, time, height, width); others as they are."""
    return latents.permute([axes.index(axis) for axis in "bcthw"]) if latents.ndim == len(axes) else latents


def _shrink(frame: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """The frame on the CPU, a pixel for each of a latent's."""
    return F.interpolate(frame[None].float(), size=latents.shape[-2:], mode="area")[0].cpu()


def predicted_latents(pipeline: Any, latents: torch.Tensor) -> torch.Tensor:
    """What the last step took for the clean latents where the scheduler keeps it, else the latents with their noise.

    Some pipelines step but a part of their latents.
    """
    kept = getattr(pipeline.scheduler, "model_outputs", None) or [None]
    predicts_clean = getattr(pipeline.scheduler.config, "predict_x0", False)
    is_whole = isinstance(kept[-1], torch.Tensor) and kept[-1].shape == latents.shape
    return kept[-1] if predicts_clean and is_whole else latents


def _with_one(values: torch.Tensor) -> torch.Tensor:
    """The same on the CPU, with a last channel of ones for the map's constant."""
    values = values.float().cpu()
    return torch.cat([values, torch.ones_like(values[..., :1])], -1)
