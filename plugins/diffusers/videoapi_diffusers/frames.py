"""From what a pipeline returns to a clip, without a second copy of it in floating point."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from videoapi import Audio, GenerationRequest, ModelError


@dataclass(frozen=True, kw_only=True, slots=True)
class Frames:
    """Decoded frames where the pipeline left them."""

    values: torch.Tensor
    """(frames, 3, height, width), floating point."""
    is_signed: bool
    """In [-1, 1], as autoencoders decode them; else in [0, 1]."""

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> torch.Tensor:
        """One frame (3, height, width) in [0, 1]."""
        frame = self.values[index]
        return (frame * 0.5 + 0.5).clamp(0, 1) if self.is_signed else frame

    def to_arrays(self, count: int) -> Iterator[NDArray[np.uint8]]:
        """The first `count`, one (height, width, 3) uint8 array after the other."""
        for index in range(count):
            frame = self[index].mul(255).round().clamp(0, 255).to(torch.uint8)
            yield frame.permute(1, 2, 0).contiguous().cpu().numpy()

    def check(self, request: GenerationRequest) -> None:
        """Raises ModelError for values that are not finite, for fewer frames than are due, and for another size."""
        if not all(bool(torch.isfinite(frame).all()) for frame in self.values):
            raise ModelError("The model made values that are not finite; try another precision.")
        if len(self) < request.num_frames:
            raise ModelError(f"The pipeline made {len(self)} frames of {request.num_frames}.")
        height, width = self.values.shape[-2:]
        if (width, height) != (request.width, request.height):
            raise ModelError(f"The pipeline made {width}x{height} instead of {request.width}x{request.height}.")


@contextmanager
def kept_as_decoded(pipeline: Any) -> Iterator[list[torch.Tensor]]:
    """Within it, a call with `output_type="pt"` leaves the frames as they were decoded, and puts them into the list.

    diffusers' own way makes a copy of the clip in floating point for each of its four steps from there to a stack.
    """
    processor = getattr(pipeline, "video_processor", None)
    kept: list[torch.Tensor] = []
    if processor is None:
        yield kept
        return
    original = processor.postprocess_video

    def keep(video: torch.Tensor, output_type: str = "np", **options: Any) -> Any:
        if output_type != "pt" or options:
            return original(video, output_type=output_type, **options)
        kept.append(video[0].transpose(0, 1))
        return [kept[-1]]

    processor.postprocess_video = keep
    try:
        yield kept
    finally:
        del processor.postprocess_video


@contextmanager
def sized_as_asked(pipeline: Any, request: GenerationRequest) -> Iterator[None]:
    """Within it, a pipeline that takes no size and chooses one near the image's makes the request's."""
    processor: Any = getattr(pipeline, "video_processor", None)
    if not hasattr(processor, "calculate_default_height_width"):
        yield
        return
    processor.calculate_default_height_width = lambda *_, **__: (request.height, request.width)
    try:
        yield
    finally:
        del processor.calculate_default_height_width


def read_frames(output: Any, kept: list[torch.Tensor]) -> Frames:
    """The frames of the first video in a pipeline's output, whatever the pipeline calls and shapes them.

    Raises ModelError when there is none.
    """
    video = next((getattr(output, name) for name in ("frames", "video", "videos") if hasattr(output, name)), None)
    if kept and (video is None or _is_kept(video, kept[-1])):
        return Frames(values=kept[-1], is_signed=True)
    if isinstance(video, (list, tuple)) and len(video) == 1:
        video = video[0]
    if isinstance(video, (list, tuple)):
        video = np.stack([np.asarray(frame) for frame in video])
    if isinstance(video, np.ndarray):
        video = torch.from_numpy(video).movedim(-1, -3)
    if not isinstance(video, torch.Tensor):
        raise ModelError("The pipeline made no video.")
    values = video[0] if video.ndim == 5 else video
    return Frames(values=values if values.is_floating_point() else values / 255, is_signed=False)


def _is_kept(video: Any, kept: torch.Tensor) -> bool:
    """Pipelines hand on the list, or the video in it."""
    return video is kept or (isinstance(video, (list, tuple)) and len(video) == 1 and video[0] is kept)


def read_audio(output: Any, pipeline: Any) -> Audio | None:
    """The sound of the first video, if the pipeline makes one."""
    sound = next((value for name in ("audio", "sound") if (value := getattr(output, name, None)) is not None), None)
    if sound is None:
        return None
    samples = torch.as_tensor(sound[0] if isinstance(sound, list) else sound).float().cpu()
    samples = samples.reshape(-1, samples.shape[-1]) if samples.ndim < 3 else samples[0]
    return Audio(samples=samples.T.clamp(-1, 1).contiguous().numpy(), sample_rate=_find_sample_rate(pipeline))


def _find_sample_rate(pipeline: Any) -> int:
    """Hz. Raises ModelError where no component says."""
    for component in ("vocoder", "sound_tokenizer", "audio_vae"):
        config = getattr(getattr(pipeline, component, None), "config", {})
        for key in ("output_sampling_rate", "sampling_rate", "sample_rate"):
            if isinstance(rate := config.get(key), int):
                return rate
    raise ModelError("The pipeline made sound at a rate that none of its components names.")
