"""The sound that a pipeline made beside the frames."""

from __future__ import annotations

from typing import Any

import torch

from videoapi import Audio, ModelError
from videoapi_diffusers.components import SOUND


def read_audio(output: Any, pipeline: Any, index: int, count: int) -> Audio | None:
    """The sound of the video with that index of so many, if the pipeline makes one."""
    sound = next((value for name in ("audio", "sound") if (value := getattr(output, name, None)) is not None), None)
    if sound is None:
        return None
    samples = torch.as_tensor(sound[index] if isinstance(sound, list) else sound).float().cpu()
    if samples.ndim == 3 or (count > 1 and samples.ndim == 2):
        samples = samples[index]
    samples = samples.reshape(-1, samples.shape[-1])
    return Audio(samples=samples.T.clamp(-1, 1).contiguous().numpy(), sample_rate=_find_sample_rate(pipeline))


def _find_sample_rate(pipeline: Any) -> int:
    """Hz. Raises ModelError where no component says."""
    for component in SOUND:
        config = getattr(getattr(pipeline, component, None), "config", {})
        for key in ("output_sampling_rate", "sampling_rate", "sample_rate"):
            if isinstance(rate := config.get(key), int):
                return rate
    raise ModelError("The pipeline made sound at a rate that none of its components names.")
