"""NVIDIA's Cosmos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from videoapi import GenerationRequest
from videoapi_diffusers.families.family import Family, Modes, check_sides
from videoapi_diffusers.shape import Configs


def from_video(name: str, *, text: bool = False) -> Callable[[Configs], Modes]:
    """A world goes on from an image, or from the beginning of a clip."""
    given: Modes = {"first_frame": name, "clip": name}
    return lambda configs: {"text": name, **given} if text else given


def check_size(request: GenerationRequest, pipeline: Any) -> None:
    """Raises InvalidRequest for more than the transformer has positions for."""
    _, height, width = pipeline.transformer.config.max_size
    check_sides(request, width * 8, height * 8)


def find_sound(configs: Configs) -> dict[str, Any]:
    """On where the weights make sound, as their videos are said to have it."""
    makes_sound = "sound_tokenizer" in configs and configs.get("transformer", {}).get("sound_gen")
    return {"enable_sound": True if makes_sound else None}


def make_inputs(request: GenerationRequest) -> dict[str, Any]:
    """A clip's first two latents, as Cosmos 3 was trained, or one where the clip or the video has no more."""
    if request.clip is None:
        return {} if request.start_image is None else {"image": request.start_image}
    is_long = len(request.clip) >= 5 and request.num_frames > 5
    return {"video": list(request.clip), "condition_frame_indexes_vision": [0, 1] if is_long else [0]}


# The second is the safety checker that NVIDIA's licence asks for; it downloads models of its own.
PACKAGES = ("torchvision", "cosmos_guardrail")


def family(**facts: Any) -> Family:
    return Family(check=check_size, packages=PACKAGES, **facts)


FAMILIES = {
    "CosmosTextToWorldPipeline": family(scales=(8, 8)),
    "CosmosVideoToWorldPipeline": family(
        scales=(8, 8), find_modes=from_video("CosmosVideoToWorldPipeline"), clip="beginning"
    ),
    "Cosmos2VideoToWorldPipeline": family(
        scales=(8, 4), find_modes=from_video("Cosmos2VideoToWorldPipeline"), clip="beginning"
    ),
    "Cosmos2_5_PredictBasePipeline": family(
        defaults={"fps": 16},
        scales=(8, 4),
        find_modes=from_video("Cosmos2_5_PredictBasePipeline", text=True),
        clip="beginning",
        # Of two latents, the last ones of the clip.
        min_clip=5,
    ),
    "Cosmos3OmniPipeline": Family(
        defaults={"num_frames": 189, "width": 1280, "height": 720},
        scales=(16, 4),
        find_modes=from_video("Cosmos3OmniPipeline", text=True),
        find_options=find_sound,
        make_inputs=make_inputs,
        clip="beginning",
        # A single frame is made from text alone, whatever is given.
        min_given_frames=5,
        packages=PACKAGES[1:],
    ),
}
