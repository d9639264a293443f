"""NVIDIA's Cosmos."""

from __future__ import annotations

from collections.abc import Callable

from videoapi_diffusers.families.family import Family, Modes
from videoapi_diffusers.shape import Configs


def from_video(name: str, *, text: bool = False) -> Callable[[Configs], Modes]:
    """A world goes on from an image, or from the beginning of a clip."""
    given: Modes = {"first_frame": name, "clip": name}
    return lambda configs: {"text": name, **given} if text else given


# The second is the safety checker that NVIDIA's licence asks for; it downloads models of its own.
PACKAGES = ("torchvision", "cosmos_guardrail")
FAMILIES = {
    "CosmosTextToWorldPipeline": Family(scales=(8, 8), packages=PACKAGES),
    "CosmosVideoToWorldPipeline": Family(
        scales=(8, 8), find_modes=from_video("CosmosVideoToWorldPipeline"), clip="beginning", packages=PACKAGES
    ),
    "Cosmos2VideoToWorldPipeline": Family(
        scales=(8, 4), find_modes=from_video("Cosmos2VideoToWorldPipeline"), clip="beginning", packages=PACKAGES
    ),
    "Cosmos2_5_PredictBasePipeline": Family(
        defaults={"fps": 16},
        scales=(8, 4),
        find_modes=from_video("Cosmos2_5_PredictBasePipeline", text=True),
        clip="beginning",
        packages=PACKAGES,
    ),
    "Cosmos3OmniPipeline": Family(
        defaults={"num_frames": 189, "width": 1280, "height": 720},
        scales=(16, 4),
        find_modes=from_video("Cosmos3OmniPipeline", text=True),
        clip="beginning",
        packages=PACKAGES,
    ),
}
