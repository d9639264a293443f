"""Runs a loaded diffusers pipeline for one request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from videoapi import Clip, GenerationRequest, ModelError, OutOfMemory, Progress
from videoapi_diffusers.families import Family
from videoapi_diffusers.preview import LatentPreview, predicted_latents


class DiffusersPipeline:
    """A videoapi pipeline around one of diffusers'. Not for several threads: its scheduler has state."""

    def __init__(self, pipeline: Any, family: Family) -> None:
        self.pipeline = pipeline
        self.family = family
        self._preview = LatentPreview()
        pipeline.set_progress_bar_config(disable=True)

    def generate(self, request: GenerationRequest, progress: Progress) -> Clip:
        """Raises ModelError when the result holds NaN or infinity. Cancels between two denoising steps."""
        frames = self.generate_tensor(request, progress)
        if not torch.isfinite(frames).all():
            raise ModelError("The model made values that are not finite; try another precision.")
        return Clip(frames=to_arrays(frames))

    def generate_tensor(self, request: GenerationRequest, progress: Progress) -> torch.Tensor:
        """The frames as (frames, 3, height, width), floating point in [0, 1], on the pipeline's device."""
        progress.phase("encoding prompt")
        latents: torch.Tensor | None = None

        def start_denoising(*_: object) -> None:
            hook.remove()
            progress.phase("denoising")

        def end_step(pipeline: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            nonlocal latents
            latents = tensors["latents"]
            progress.step(index + 1, pipeline.num_timesteps)
            if index + 1 == pipeline.num_timesteps:
                progress.phase("decoding")
            elif self._preview.is_ready:
                progress.preview(lambda: self._preview.make(predicted_latents(pipeline, tensors["latents"])))
            return tensors

        hook = self.pipeline.transformer.register_forward_pre_hook(start_denoising)
        try:
            output = self.pipeline(
                prompt=request.prompt,
                negative_prompt=request.negative_prompt,
                width=request.width,
                height=request.height,
                num_frames=request.num_frames,
                num_inference_steps=request.num_inference_steps,
                guidance_scale=request.guidance_scale,
                # On the CPU, so that a seed gives the same noise on every device.
                generator=torch.Generator("cpu").manual_seed(request.seed),
                callback_on_step_end=end_step,
                output_type="pt",
                **self.family.make_arguments(request),
            )
        except torch.OutOfMemoryError as error:
            torch.accelerator.empty_cache()
            raise OutOfMemory("The device ran out of memory; try a smaller width, height or num_frames.") from error
        finally:
            hook.remove()
        frames: torch.Tensor = output.frames[0]
        if latents is not None and torch.isfinite(frames).all():
            self._preview.learn(latents, frames)
        return frames


def to_arrays(frames: torch.Tensor) -> Iterator[NDArray[np.uint8]]:
    """One (height, width, 3) uint8 array after the other, so that no second copy of the clip is held."""
    for frame in frames:
        yield frame.mul(255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
