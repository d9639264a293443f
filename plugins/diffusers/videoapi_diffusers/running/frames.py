"""From a pipeline's decoded frames to those of a clip, without a second copy of them in floating point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from videoapi import GenerationRequest, ModelError


@dataclass(frozen=True, kw_only=True, slots=True)
class Frames:
    """Decoded frames where the pipeline left them, or that are decoded when they are read. To be read once."""

    count: int
    chunks: Iterable[torch.Tensor]
    """(frames, 3, height, width) each, floating point; together at least `count` frames."""
    is_signed: bool
    """In [-1, 1], as autoencoders decode them; else in [0, 1]."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Each frame (3, height, width) in [0, 1]. Raises ModelError for values that are not finite."""
        for chunk in self.chunks:
            for frame in chunk:
                if not torch.isfinite(frame).all():
                    raise ModelError("The model made values that are not finite; try another precision.")
                yield (frame * 0.5 + 0.5).clamp(0, 1) if self.is_signed else frame

    def check_count(self, request: GenerationRequest) -> None:
        """Raises ModelError for fewer frames than are due."""
        if self.count < request.num_frames:
            raise ModelError(f"The pipeline made {self.count} frames of {request.num_frames}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Frames that were put aside, and what the pipeline got in their place."""

    stand_in: torch.Tensor
    frames: Frames


def to_arrays(frames: Iterable[torch.Tensor], request: GenerationRequest) -> Iterator[NDArray[np.uint8]]:
    """As many as are due, one (height, width, 3) uint8 array after the other.

    Raises ModelError for frames of another size.
    """
    for frame, _ in zip(frames, range(request.num_frames), strict=False):
        height, width = frame.shape[-2:]
        if (width, height) != (request.width, request.height):
            raise ModelError(f"The pipeline made {width}x{height} instead of {request.width}x{request.height}.")
        # Half precision is too coarse for 256 values.
        pixels = frame.float().mul(255).round().clamp(0, 255).to(torch.uint8)
        yield pixels.permute(1, 2, 0).contiguous().cpu().numpy()


def read_frames(output: Any, kept: Sequence[Kept]) -> Frames:
    """The frames of the first video in a pipeline's output, whatever the pipeline calls and shapes them.

    `kept` is what `decoding_for` has put aside. Raises ModelError when there is no video.
    """
    video = next((getattr(output, name) for name in ("frames", "video", "videos") if hasattr(output, name)), None)
    if kept and (video is None or _is_kept(video, kept[-1].stand_in)):
        return kept[-1].frames
    if isinstance(video, (list, tuple)) and len(video) == 1:
        video = video[0]
    if isinstance(video, (list, tuple)):
        video = np.stack([np.asarray(frame) for frame in video])
    if isinstance(video, np.ndarray):
        video = torch.from_numpy(video).movedim(-1, -3)
    if not isinstance(video, torch.Tensor):
        raise ModelError("The pipeline made no video.")
    values = video[0] if video.ndim == 5 else video
    values = values if values.is_floating_point() else values / 255
    return Frames(count=len(values), chunks=[values], is_signed=False)


def _is_kept(video: Any, stand_in: torch.Tensor) -> bool:
    """Pipelines hand on the list, or the video in it."""
    return video is stand_in or (isinstance(video, (list, tuple)) and len(video) == 1 and video[0] is stand_in)
