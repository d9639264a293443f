"""SkyReels V2: Wan's networks, with diffusion forcing for videos of any length."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from videoapi_diffusers.families.family import Family, Modes
from videoapi_diffusers.families.wan import find_image_modes
from videoapi_diffusers.shape import Configs

DEFAULTS = {"fps": 24}
SCALES = (8, 4)
FORCING = "SkyReelsV2DiffusionForcing"
IMAGE = "SkyReelsV2ImageToVideoPipeline"
# The pipeline's own `base_num_frames`.
FRAMES = 97
# Frames of the part before that the next part of a long video sees: the authors' own choice for smooth joints.
OVERLAP: Mapping[str, int] = {"overlap_history": 17}


def count_parts(num_frames: int, arguments: Mapping[str, Any]) -> int:
    """A video of more frames than the network sees at once is made in parts that overlap."""
    latents, seen, overlap = (
        (count - 1) // SCALES[1] + 1 for count in (num_frames, FRAMES, OVERLAP["overlap_history"])
    )
    return 1 if num_frames <= FRAMES else 2 + (latents - seen - 1) // (seen - overlap)


def find_forcing_modes(configs: Configs) -> Modes:
    """The same weights do all: what is given is a prefix of the video without noise."""
    return {
        "text": f"{FORCING}Pipeline",
        "first_frame": f"{FORCING}ImageToVideoPipeline",
        "first_and_last_frame": f"{FORCING}ImageToVideoPipeline",
    }


FAMILIES = {
    "SkyReelsV2Pipeline": Family(defaults=DEFAULTS, scales=SCALES),
    IMAGE: Family(defaults=DEFAULTS, scales=SCALES, find_modes=partial(find_image_modes, IMAGE)),
    **{
        # What is given is the first latent, which is not made: one more has to be.
        f"{FORCING}{kind}Pipeline": Family(
            defaults=DEFAULTS,
            scales=SCALES,
            find_modes=find_forcing_modes,
            fixed=OVERLAP,
            min_given_frames=5,
            count_sections=count_parts,
        )
        for kind in ("", "ImageToVideo")
    },
    f"{FORCING}VideoToVideoPipeline": Family(refusal="puts the whole clip before a video of the asked length"),
}
