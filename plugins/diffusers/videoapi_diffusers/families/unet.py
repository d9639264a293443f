"""Older models, whose denoiser is a UNet over single frames: any frame count, and a frame is an image's latent."""

from __future__ import annotations

from videoapi_diffusers.families.family import Family, Modes
from videoapi_diffusers.shape import Configs

MOTION = {"width": 512, "height": 512, "fps": 8}
MODELSCOPE = {"width": 256, "height": 256, "fps": 8}


def find_motion_limit(configs: Configs) -> int:
    length: int = configs.get("motion_adapter", {}).get("motion_max_seq_length", 32)
    return length


def find_motion_modes(configs: Configs) -> Modes:
    """A clip goes through the same networks, from its own latents with some noise."""
    return {"text": "AnimateDiffPipeline", "clip": "AnimateDiffVideoToVideoPipeline"}


def find_modelscope_modes(configs: Configs) -> Modes:
    return {"text": "TextToVideoSDPipeline", "clip": "VideoToVideoSDPipeline"}


CONTROL = "needs images that control single frames"
FAMILIES = {
    "AnimateDiffPipeline": Family(defaults=MOTION, find_modes=find_motion_modes, find_max_frames=find_motion_limit),
    "AnimateDiffVideoToVideoPipeline": Family(
        defaults=MOTION, find_modes=find_motion_modes, find_max_frames=find_motion_limit
    ),
    "AnimateDiffPAGPipeline": Family(defaults=MOTION, find_max_frames=find_motion_limit),
    "AnimateDiffSDXLPipeline": Family(
        defaults={"width": 1024, "height": 1024, "fps": 8}, find_max_frames=find_motion_limit
    ),
    "AnimateDiffControlNetPipeline": Family(refusal=CONTROL),
    "AnimateDiffSparseControlNetPipeline": Family(refusal=CONTROL),
    "AnimateDiffVideoToVideoControlNetPipeline": Family(refusal=CONTROL),
    "PIAPipeline": Family(defaults=MOTION, find_max_frames=find_motion_limit),
    "I2VGenXLPipeline": Family(),
    "StableVideoDiffusionPipeline": Family(
        defaults={"num_frames": 14},
        find_native_sizes=lambda configs: ((1024, 576),),
        latents="btchw",
        # Its guidance grows from frame to frame, and with one it turns itself off halfway and fails.
        min_frames=2,
    ),
    "TextToVideoSDPipeline": Family(defaults=MODELSCOPE, find_modes=find_modelscope_modes),
    "VideoToVideoSDPipeline": Family(defaults=MODELSCOPE, find_modes=find_modelscope_modes),
    "TextToVideoZeroPipeline": Family(refusal="asks for two of its own steps instead of an even row"),
    "TextToVideoZeroSDXLPipeline": Family(refusal="asks for two of its own steps instead of an even row"),
}
