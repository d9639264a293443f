"""CogVideoX and ConsisID."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videoapi import FrameGrid, GenerationRequest
from videoapi_diffusers.families.family import Family, Modes, Sizes, check_sides
from videoapi_diffusers.shape import Configs

# diffusers' examples.
DEFAULTS = {"width": 720, "height": 480, "num_frames": 49, "fps": 8}
# In the table of its authors.
DEFAULTS_15 = {"width": 1360, "height": 768, "num_frames": 81, "fps": 16}
SCALES = (8, 4)
# 1.5 joins latents in pairs, and these two pipelines fill up a single one themselves.
PADDED = FrameGrid(step=4, offset=1)


def find_modes(configs: Configs) -> Modes:
    """The transformer of text to video makes a video from a noisy one too, where it does not join frames in pairs."""
    modes: Modes = {"text": "CogVideoXPipeline"}
    is_known = "transformer" in configs
    return {**modes, "clip": "CogVideoXVideoToVideoPipeline"} if is_known and not is_paired(configs) else modes


def is_paired(configs: Configs) -> bool:
    """Those of CogVideoX 1.5 do."""
    return configs.get("transformer", {}).get("patch_size_t") is not None


def find_own_defaults(configs: Configs) -> Mapping[str, float]:
    return DEFAULTS_15 if is_paired(configs) else {}


def find_native_sizes(configs: Configs) -> Sizes:
    """The transformer's configuration has its latents; that of 1.5 has the most that it has positions for."""
    if is_paired(configs):
        return [(DEFAULTS_15["width"], DEFAULTS_15["height"])]
    transformer = configs.get("transformer", {})
    width, height = (transformer.get(f"sample_{side}", 0) * SCALES[0] for side in ("width", "height"))
    return [(width, height)] if width and height else []


def check_size(request: GenerationRequest, pipeline: Any) -> None:
    """Raises InvalidRequest for more than 1.5 has positions for."""
    config = pipeline.transformer.config
    if config.patch_size_t is not None:
        check_sides(request, config.sample_width * SCALES[0], config.sample_height * SCALES[0])


def family(**facts: Any) -> Family:
    return Family(
        defaults=DEFAULTS,
        find_own_defaults=find_own_defaults,
        scales=SCALES,
        find_native_sizes=find_native_sizes,
        latents="btchw",
        check=check_size,
        **facts,
    )


FAMILIES = {
    "CogVideoXPipeline": family(find_modes=find_modes, frame_grid=PADDED),
    "CogVideoXImageToVideoPipeline": family(frame_grid=PADDED),
    "CogVideoXVideoToVideoPipeline": family(),
    "CogVideoXFunControlPipeline": family(),
    "ConsisIDPipeline": Family(refusal="needs embeddings of a face, which no request has"),
}
