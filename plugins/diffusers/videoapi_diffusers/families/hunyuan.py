"""HunyuanVideo, its 1.5, and FramePack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videoapi_diffusers.families.family import Family

DEFAULTS = {"fps": 24}
SCALES = (8, 4)
# Of the table in the authors' repository, those of 720p and of 540p.
SIZES = ((1280, 720), (720, 1280), (960, 960), (960, 544), (544, 960), (720, 720))
# The guider in the model's folder has its own scale; these are the ones of the model's authors.
GUIDED = {"fps": 24, "guidance_scale": 6.0, "width": 832, "height": 480}


def count_framepack_sections(num_frames: int, arguments: Mapping[str, Any]) -> int:
    window = (int(arguments.get("latent_window_size", 9)) - 1) * 4 + 1
    return max(1, -(-num_frames // window))


def count_lost_frames(config: Mapping[str, Any]) -> int:
    """The first release of image to video leaves away the first latent, which is the image."""
    return 4 if config.get("image_condition_type") == "latent_concat" else 0


FAMILIES = {
    "HunyuanVideoPipeline": Family(defaults=DEFAULTS, scales=SCALES, find_native_sizes=lambda configs: SIZES),
    "HunyuanVideoImageToVideoPipeline": Family(
        defaults=DEFAULTS,
        scales=SCALES,
        count_extra_frames=count_lost_frames,
        # Those of the assistant's beginning, for which it takes the last ones also where that was cut off.
        lost_tokens=4,
    ),
    "HunyuanSkyreelsImageToVideoPipeline": Family(defaults=DEFAULTS, scales=SCALES),
    "HunyuanVideoFramepackPipeline": Family(
        defaults={"fps": 30}, scales=SCALES, count_sections=count_framepack_sections
    ),
    "HunyuanVideo15Pipeline": Family(defaults=GUIDED, scales=(16, 4)),
    "HunyuanVideo15ImageToVideoPipeline": Family(defaults=GUIDED, scales=(16, 4)),
}
