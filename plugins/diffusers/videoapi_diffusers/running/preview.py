"""A look at a video while it is being denoised, for next to nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from videoapi_diffusers.running.frames import Frames

# Of each channel's own squares.
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

    def can_show(self, latents: torch.Tensor) -> bool:
        """Whether latents like these (1, channels, time, height, width) were seen with their frames."""
        return self._map is not None and latents.ndim == 5 and latents.shape[1] + 1 == len(self._map)

    def learning(self, latents: torch.Tensor, frames: Frames, scale: int) -> Iterator[torch.Tensor]:
        """The same frames; fits to final latents (1, channels, time, height, width) and those that are read.

        A latent stands for `scale` frames. Of latents of another shape, packed into tokens for instance, or of a part
        of the video, nothing is learnt.
        """
        times = _count_times(frames.count, scale)
        if latents.ndim != 5 or not 0 < times <= latents.shape[2] or not torch.isfinite(latents).all():
            yield from frames
            return
        # What comes before is no frame: a picture as a reference, or what fills up a pair.
        latents = latents[:, :, -times:]
        pictures: list[torch.Tensor] = []
        try:
            for index, frame in enumerate(frames):
                if index % scale == 0 and len(pictures) < times:
                    pictures.append(_shrink(frame, latents))
                yield frame
        finally:
            # Those at the end may not have been wanted.
            if pictures:
                self._fit(latents[0, :, : len(pictures)], torch.stack(pictures))

    def _fit(self, latents: torch.Tensor, pictures: torch.Tensor) -> None:
        channels = latents.shape[0]
        if self._map is not None and channels + 1 != len(self._map):
            self._squares = self._products = 0.0
        known = _with_one(latents.permute(1, 2, 3, 0).reshape(-1, channels)).double()
        self._squares = self._squares + known.T @ known
        self._products = self._products + known.T @ pictures.permute(0, 2, 3, 1).reshape(-1, 3).double()
        # A little of their own squares keeps the channels' weights small where few colours have been seen.
        ridge = RIDGE * torch.diag(self._squares.diagonal().clamp(min=RIDGE))
        self._map = torch.linalg.solve(self._squares + ridge, self._products).float()

    def make(self, latents: torch.Tensor) -> NDArray[np.uint8]:
        """The middle of the clip (channels, time, height, width) as RGB (height, width, 3), in latent pixels."""
        assert self._map is not None
        middle = latents[:, latents.shape[1] // 2]
        picture = _with_one(middle.permute(1, 2, 0)) @ self._map
        pixels: NDArray[np.uint8] = picture.mul(255).round().clamp(0, 255).to(torch.uint8).numpy()
        return pixels


def _count_times(frames: int, scale: int) -> int:
    """The latents of so many frames: the first one stands alone, or none does. 0 where they are of no whole number."""
    alone, rest = divmod(frames - 1, scale)
    return alone + 1 if not rest else frames // scale if not frames % scale else 0


def _shrink(frame: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """The frame on the CPU, a pixel for each of a latent's."""
    return F.interpolate(frame[None].float(), size=latents.shape[-2:], mode="area")[0].cpu()


def _with_one(values: torch.Tensor) -> torch.Tensor:
    """The same on the CPU, with a last channel of ones for the map's constant."""
    values = values.float().cpu()
    return torch.cat([values, torch.ones_like(values[..., :1])], -1)
