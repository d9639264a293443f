"""Families of one or two pipelines."""

from __future__ import annotations

from typing import Any

from videoapi import FrameGrid, GenerationRequest, InvalidRequest
from videoapi_diffusers.families.family import Family, Modes
from videoapi_diffusers.shape import Configs

MOTIF = "MotifVideoPipeline"
MOTIF_IMAGE = "MotifVideoImage2VideoPipeline"
INPAINT = "EasyAnimateInpaintPipeline"
MOTIF_MODES: Modes = {"text": MOTIF, "first_frame": MOTIF_IMAGE}
MOTIF_DEFAULTS = {"fps": 24, "guidance_scale": 8.0}
SANA = {"fps": 16}
# None, its own default, is no text for its tokenizer.
NO_NEGATIVE = {"negative_prompt": ""}
# Without it, Sana makes the nearest of its own sizes and resizes the result.
EXACT_SIZE = {"use_resolution_binning": False}


def find_sana_modes(configs: Configs) -> Modes:
    """The same weights are for text and for a first frame."""
    return {"text": "SanaVideoPipeline", "first_frame": "SanaImageToVideoPipeline"}


def find_motif_modes(configs: Configs) -> Modes:
    """The same weights are for text and for a first frame, which needs an optional component to be read."""
    has_extractor = configs.get("model_index", {}).get("feature_extractor", [None])[0]
    return MOTIF_MODES if has_extractor else {"text": MOTIF}


def make_inpaint_inputs(request: GenerationRequest) -> dict[str, Any]:
    """Video and mask as tensors: what is to be made is 255 in the mask."""
    from diffusers.pipelines.easyanimate.pipeline_easyanimate_inpaint import get_image_to_video_latent

    start = [request.start_image] if request.start_image is not None else None
    end = [request.end_image] if request.end_image is not None else None
    size = (request.height, request.width)
    video, mask = get_image_to_video_latent(start, end, request.num_frames, size)
    return {"video": video, "mask_video": mask}


def check_allegro_size(request: GenerationRequest, pipeline: Any) -> None:
    """Raises InvalidRequest for a size that whole tiles do not cover: the rest would stay black."""
    (_, tile_height, tile_width), (_, step_height, step_width) = pipeline.vae.kernel, pipeline.vae.stride
    width, height = request.width - tile_width, request.height - tile_height
    if min(width, height) < 0 or width % step_width or height % step_height:
        raise InvalidRequest(
            "size",
            f"This model makes widths of {tile_width} + {step_width}k and heights of {tile_height} + {step_height}k "
            f"pixels, not {request.width}x{request.height}.",
        )


def find_latte_length(configs: Configs) -> int:
    """The frames that its positions are for: it makes no other number."""
    length: int = configs.get("transformer", {}).get("video_length", 16)
    return length


FAMILIES = {
    "AllegroPipeline": Family(
        defaults={"width": 1280, "height": 720, "num_frames": 88, "fps": 15},
        scales=(8, 4),
        # Its autoencoder decodes overlapping tiles of 24 frames and leaves away what no whole tile covers.
        frame_grid=FrameGrid(step=16, offset=8),
        min_frames=24,
        needs_tiling=True,
        check=check_allegro_size,
    ),
    "EasyAnimatePipeline": Family(defaults={"fps": 8}, scales=(8, 4), preset=NO_NEGATIVE),
    INPAINT: Family(
        defaults={"fps": 8},
        scales=(8, 4),
        preset=NO_NEGATIVE,
        find_modes=lambda configs: {"text": INPAINT, "first_frame": INPAINT, "first_and_last_frame": INPAINT},
        make_inputs=make_inpaint_inputs,
    ),
    "EasyAnimateControlPipeline": Family(refusal="cannot encode a prompt in diffusers 0.42"),
    "LattePipeline": Family(
        defaults={"fps": 8}, frame_grid=FrameGrid(step=16, offset=0), find_max_frames=find_latte_length
    ),
    # Half of its steps, rounded down, are even, and are divided by their number.
    "MochiPipeline": Family(defaults={"width": 848, "height": 480, "fps": 30}, scales=(8, 6), min_steps=2),
    MOTIF: Family(defaults=MOTIF_DEFAULTS, scales=(8, 4), find_modes=find_motif_modes),
    # It leaves a first frame out of a single latent.
    MOTIF_IMAGE: Family(
        defaults=MOTIF_DEFAULTS, scales=(8, 4), find_modes=lambda configs: MOTIF_MODES, min_given_frames=5
    ),
    "SanaVideoPipeline": Family(defaults=SANA, scales=(8, 4), find_modes=find_sana_modes, fixed=EXACT_SIZE),
    "SanaImageToVideoPipeline": Family(defaults=SANA, scales=(8, 4), find_modes=find_sana_modes, fixed=EXACT_SIZE),
    "SanaWMPipeline": Family(refusal="needs the path of a camera"),
}
