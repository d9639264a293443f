"""Which of a pipeline's arguments a request's images, clip and numbers are for."""

from __future__ import annotations

import re
from importlib.util import find_spec

from videoapi_diffusers.families import Modes, find_family
from videoapi_diffusers.shape import Configs
from videoapi_diffusers.signature import REQUIRED, Signature

PROMPT = ("prompt",)
NEGATIVE_PROMPT = ("negative_prompt",)
FIRST = ("image", "images", "first_frame", "cond_image", "ref_image")
LAST = ("last_image", "end_image", "last_frame")
CLIP = ("video", "control_video")
FRAMES = ("num_frames", "frames", "video_length")
RATE = ("frame_rate", "fps", "target_fps")
STEPS = ("num_inference_steps", "pyramid_num_inference_steps_list")
GUIDANCE = ("guidance_scale", "max_guidance_scale")
USUAL = {*PROMPT, *NEGATIVE_PROMPT, *FIRST, *LAST, *CLIP, *FRAMES, *RATE, *STEPS, *GUIDANCE, "height", "width"}
# The class says that an image is needed where the signature has None for it, because embeddings would do as well.
FROM_IMAGE = re.compile(r"Image(2|To)Video|I2V|Img2Vid")


def find_problem(signature: Signature) -> str:
    """Why such a pipeline cannot make a video from what a client sends; empty when it can."""
    refusal = find_family(signature.name).refusal
    if refusal:
        return refusal
    absent = [name for name in find_family(signature.name).packages if find_spec(name) is None]
    if absent:
        return f"needs what is not installed here: pip install {' '.join(absent)}"
    if not signature.first(*FRAMES, *CLIP) and not signature.first("frame_rate"):
        return "makes no video: its call takes no number of frames"
    unknown = sorted(name for name, value in signature.parameters.items() if value is REQUIRED and name not in USUAL)
    if unknown and find_family(signature.name).make_inputs is None:
        return f"needs arguments that no request has: {', '.join(unknown)}"
    return ""


def find_modes(signature: Signature, configs: Configs) -> Modes:
    """The pipeline class for each mode: the family's word, else what the signature says."""
    family = find_family(signature.name)
    if family.find_modes is not None:
        return family.find_modes(configs)
    name, first, clip = signature.name, signature.first(*FIRST), signature.first(*CLIP)
    # Without a number of frames, the clip has it.
    if clip is not None and (signature.requires(clip) or not signature.first(*FRAMES)):
        return {"clip": name}
    needs_image = first is not None and (signature.requires(first) or FROM_IMAGE.search(name) is not None)
    modes: Modes = {} if needs_image else {"text": name}
    if first is not None:
        modes = {**modes, "first_frame": name}
    if first is not None and signature.first(*LAST):
        modes = {**modes, "first_and_last_frame": name}
    return {**modes, "clip": name} if clip is not None else modes
