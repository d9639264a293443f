"""Wan 2.1 and 2.2: text to video, image to video, first and last frame."""

from __future__ import annotations

from typing import Any

from videoapi import Defaults, FrameGrid, GenerationRequest, Mode
from videoapi_diffusers.families.family import Configs, Family

# diffusers' own defaults, pipelines/wan/pipeline_wan.py; 16 frames a second are what the models were trained on.
DEFAULTS = Defaults(width=832, height=480, num_frames=81, fps=16, num_inference_steps=50, guidance_scale=5.0)
FRAME_GRID = FrameGrid(step=4, offset=1)


def find_text_modes(configs: Configs) -> frozenset[Mode]:
    return frozenset({"text"})


def find_image_modes(configs: Configs) -> frozenset[Mode]:
    """A last frame needs a transformer that was trained for it.

    Those are the FLF2V ones, whose image embedding has positions for two images, and the ones without an image
    encoder, which see both frames in their latents.
    """
    transformer = configs.get("transformer")
    if transformer is None:
        return frozenset({"first_frame"})
    takes_last = transformer.get("pos_embed_seq_len") is not None or transformer.get("image_dim") is None
    return frozenset({"first_frame", "first_and_last_frame"} if takes_last else {"first_frame"})


def find_size_multiple(configs: Configs) -> int:
    """Pixels a token, and 16 at least because the pipelines check for that."""
    scale: int = configs.get("vae", {}).get("scale_factor_spatial", 8)
    patch: int = configs.get("transformer", {}).get("patch_size", (1, 2, 2))[-1]
    return max(16, scale * patch)


def make_text_arguments(request: GenerationRequest) -> dict[str, Any]:
    return {}


def make_image_arguments(request: GenerationRequest) -> dict[str, Any]:
    return {"image": request.start_image, "last_image": request.end_image}


FAMILIES = (
    Family(
        pipeline_class="WanPipeline",
        defaults=DEFAULTS,
        frame_grid=FRAME_GRID,
        find_modes=find_text_modes,
        find_size_multiple=find_size_multiple,
        make_arguments=make_text_arguments,
    ),
    Family(
        pipeline_class="WanImageToVideoPipeline",
        defaults=DEFAULTS,
        frame_grid=FRAME_GRID,
        find_modes=find_image_modes,
        find_size_multiple=find_size_multiple,
        make_arguments=make_image_arguments,
    ),
)
