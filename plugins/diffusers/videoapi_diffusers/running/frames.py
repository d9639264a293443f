"""From a pipeline's decoded frames to those of a clip, without a second copy of them in floating point."""

from __future__ import annotations

import operator
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
    """The frames of each video of a call that were put aside, and what the pipeline got in their place."""

    stand_ins: Sequence[torch.Tensor]
    videos: Sequence[Frames]


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


def read_videos(output: Any, kept: Sequence[Kept]) -> Sequence[Frames]:
    """The frames of each video in a pipeline's output, whatever the pipeline calls and shapes them.

    `kept` is what `decoding_for` has put aside. Raises ModelError when there is no video.
    """
    made = next((getattr(output, name) for name in ("frames", "video", "videos") if hasattr(output, name)), None)
    if kept and (made is None or _is_kept(made, kept[-1].stand_ins)):
        return kept[-1].videos
    if isinstance(made, (list, tuple)) and len(made) == 1:
        made = made[0]
    if isinstance(made, (list, tuple)) and all(isinstance(each, torch.Tensor) for each in made):
        made = torch.stack(list(made))
    elif isinstance(made, (list, tuple)):
        made = np.stack([np.asarray(each) for each in made])
    if isinstance(made, np.ndarray):
        made = torch.from_numpy(made).movedim(-1, -3)
    if not isinstance(made, torch.Tensor):
        raise ModelError("The pipeline made no video.")
    values = made if made.is_floating_point() else made / 255
    return [
        Frames(count=len(each), chunks=[each], is_signed=False) for each in (values if values.ndim == 5 else [values])
    ]


def _is_kept(made: Any, stand_ins: Sequence[torch.Tensor]) -> bool:
    """Pipelines hand on the list of videos, or the one in it."""
    given = made if isinstance(made, (list, tuple)) else [made]
    return len(given) == len(stand_ins) and all(map(operator.is_, given, stand_ins))
