"""Helios, which makes a video in windows, and its pyramid, which makes each in three sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from videoapi_diffusers.families.family import Family, Modes
from videoapi_diffusers.shape import Configs

NAME = "HeliosPipeline"
PYRAMID = "HeliosPyramidPipeline"
STAGES = 3
# At a third, the noise of the four values of a block is bound to add up to nothing, and its covariance has no root that
# is sure to be found in single precision.
GAMMA = 0.33333


def find_modes(name: str) -> Callable[[Configs], Modes]:
    return lambda configs: {"text": name, "first_frame": name, "clip": name}


def count_windows(num_frames: int, arguments: Mapping[str, Any]) -> int:
    window = (int(arguments.get("num_latent_frames_per_chunk", 9)) - 1) * 4 + 1
    return max(1, -(-num_frames // window))


def count_stages(num_frames: int, arguments: Mapping[str, Any]) -> int:
    return STAGES * count_windows(num_frames, arguments)


def spread_steps(steps: int) -> list[int]:
    """As many for each size, together at least these."""
    return [-(-steps // STAGES)] * STAGES


def find_own_defaults(configs: Configs) -> Mapping[str, float]:
    """Helios-Distilled's, in diffusers' examples."""
    is_distilled = configs.get("model_index", {}).get("is_distilled")
    return {"num_inference_steps": 6, "guidance_scale": 1.0} if is_distilled else {}


def keep_under_a_third(pipeline: Any) -> None:
    """Almost a third is the same noise."""
    scheduler = pipeline.scheduler
    if scheduler.config.gamma > GAMMA:
        pipeline.scheduler = type(scheduler).from_config(scheduler.config, gamma=GAMMA)


def family(name: str, **facts: Any) -> Family:
    return Family(scales=(8, 4), find_modes=find_modes(name), clip="beginning", min_clip=33, **facts)


FAMILIES = {
    NAME: family(NAME, defaults={"fps": 24}, count_sections=count_windows),
    PYRAMID: family(
        PYRAMID,
        # Helios-Mid's, in diffusers' examples.
        defaults={"fps": 24, "num_inference_steps": 60},
        find_own_defaults=find_own_defaults,
        # It halves the latents twice, and joins them in pairs.
        size_multiple=64,
        make_steps=spread_steps,
        count_sections=count_stages,
        # Of effect on Helios-Distilled alone, whose authors make its first window in twice the steps.
        preset={"is_amplify_first_chunk": True},
        prepare=keep_under_a_third,
    ),
}
