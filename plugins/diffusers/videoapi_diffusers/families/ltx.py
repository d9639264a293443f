"""LTX-Video and LTX-2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from videoapi import GenerationRequest
from videoapi_diffusers.families.family import Family, Modes
from videoapi_diffusers.shape import Configs

SCALES = (32, 8)
SIZES = ((768, 512),)


def find_modes(configs: Configs) -> Modes:
    """One transformer is for text and for a first frame in every release."""
    return {"text": "LTXPipeline", "first_frame": "LTXImageToVideoPipeline"}


def find_condition_modes(configs: Configs) -> Modes:
    """The folders of 0.9.5 and later name this class: those transformers know frames at any place."""
    name = "LTXConditionPipeline"
    return {"text": name, "first_frame": name, "first_and_last_frame": name, "clip": name}


def find_ltx2_modes(configs: Configs) -> Modes:
    """LTX-2's transformer was trained for all of them."""
    condition = "LTX2ConditionPipeline"
    return {
        "text": "LTX2Pipeline",
        "first_frame": "LTX2ImageToVideoPipeline",
        "first_and_last_frame": condition,
        "clip": condition,
    }


def make_conditions(make: Callable[[Any, int], Any], request: GenerationRequest, last: int) -> dict[str, Any]:
    """A condition for each thing that is given, `make(frames, index)`; a clip is what the video begins with.

    `last` is the index of the last frame, as the pipeline counts.
    """
    if request.clip is not None:
        # The autoencoder takes one frame and groups of eight.
        return {"conditions": [make(list(request.clip)[: (len(request.clip) - 1) // 8 * 8 + 1], 0)]}
    given = ((request.start_image, 0), (request.end_image, last))
    return {"conditions": [make(image, index) for image, index in given if image is not None] or None}


def make_ltx_inputs(request: GenerationRequest) -> dict[str, Any]:
    from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition

    def make(frames: Any, index: int) -> Any:
        return LTXVideoCondition(**{"video" if isinstance(frames, list) else "image": frames}, frame_index=index)

    return make_conditions(make, request, request.num_frames - 1)


def make_ltx2_inputs(request: GenerationRequest) -> dict[str, Any]:
    from diffusers.pipelines.ltx2.pipeline_ltx2_condition import LTX2VideoCondition

    # Its indices are those of latents, of eight frames each.
    last = (request.num_frames - 1) // 8
    return make_conditions(lambda frames, index: LTX2VideoCondition(frames=frames, index=index), request, last)


LATENTS = "works on the latents of another pipeline"
REFERENCE = "needs a reference beside the prompt"
FAMILIES = {
    "LTXPipeline": Family(scales=SCALES, find_modes=find_modes, find_native_sizes=lambda configs: SIZES),
    "LTXImageToVideoPipeline": Family(scales=SCALES, find_modes=find_modes, find_native_sizes=lambda configs: SIZES),
    "LTXConditionPipeline": Family(
        scales=SCALES, find_modes=find_condition_modes, make_inputs=make_ltx_inputs, clip="beginning"
    ),
    "LTXI2VLongMultiPromptPipeline": Family(refusal="is for a row of prompts, each with its part of one video"),
    "LTXLatentUpsamplePipeline": Family(refusal=LATENTS),
    "LTX2Pipeline": Family(defaults={"num_frames": 121}, scales=SCALES, find_modes=find_ltx2_modes),
    "LTX2ImageToVideoPipeline": Family(defaults={"num_frames": 121}, scales=SCALES, find_modes=find_ltx2_modes),
    "LTX2ConditionPipeline": Family(
        defaults={"num_frames": 121},
        scales=SCALES,
        find_modes=find_ltx2_modes,
        make_inputs=make_ltx2_inputs,
        clip="beginning",
    ),
    "LTX2InContextPipeline": Family(refusal=REFERENCE),
    "LTX2HDRPipeline": Family(refusal=REFERENCE),
    "LTX2LatentUpsamplePipeline": Family(refusal=LATENTS),
    "LTX2DFRPipeline": Family(refusal=LATENTS),
    "LTX2DFRTemporalRefinePipeline": Family(refusal=LATENTS),
    "LTX2VideoDiffusionDecodePipeline": Family(refusal=LATENTS),
}
