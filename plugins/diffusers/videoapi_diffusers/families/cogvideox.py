"""CogVideoX and ConsisID."""

from __future__ import annotations

from typing import Any

from videoapi import FrameGrid
from videoapi_diffusers.families.family import Family, Modes, Sizes
from videoapi_diffusers.shape import Configs

# diffusers' examples; CogVideoX 1.5 was trained on 16 frames a second, which its model file can say.
DEFAULTS = {"width": 720, "height": 480, "num_frames": 49, "fps": 8}
SCALES = (8, 4)
# 1.5 joins latents in pairs, and these two pipelines fill up a single one themselves.
PADDED = FrameGrid(step=4, offset=1)


def find_modes(configs: Configs) -> Modes:
    """The transformer of text to video makes a video from a noisy one too, where it does not join frames in pairs."""
    modes: Modes = {"text": "CogVideoXPipeline"}
    is_paired = configs.get("transformer", {"patch_size_t": 2}).get("patch_size_t") is not None
    return modes if is_paired else {**modes, "clip": "CogVideoXVideoToVideoPipeline"}


def find_native_sizes(configs: Configs) -> Sizes:
    """The transformer's configuration has its latents."""
    transformer = configs.get("transformer", {})
    width, height = (transformer.get(f"sample_{side}", 0) * SCALES[0] for side in ("width", "height"))
    return [(width, height)] if width and height else []


def family(**facts: Any) -> Family:
    return Family(defaults=DEFAULTS, scales=SCALES, find_native_sizes=find_native_sizes, latents="btchw", **facts)


FAMILIES = {
    "CogVideoXPipeline": family(find_modes=find_modes, frame_grid=PADDED),
    "CogVideoXImageToVideoPipeline": family(frame_grid=PADDED),
    "CogVideoXVideoToVideoPipeline": family(),
    "CogVideoXFunControlPipeline": family(),
    "ConsisIDPipeline": Family(refusal="needs embeddings of a face, which no request has"),
}
