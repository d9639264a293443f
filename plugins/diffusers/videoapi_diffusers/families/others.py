"""Families of one or two pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videoapi import FrameGrid, GenerationRequest, InvalidRequest
from videoapi_diffusers.families.family import Family, Modes
from videoapi_diffusers.shape import Configs

HELIOS = "HeliosPipeline"
PYRAMID = "HeliosPyramidPipeline"
INPAINT = "EasyAnimateInpaintPipeline"
SANA = {"fps": 16}
# None, its own default, is no text for its tokenizer.
NO_NEGATIVE = {"negative_prompt": ""}
# Without it, Sana makes the nearest of its own sizes and resizes the result.
EXACT_SIZE = {"use_resolution_binning": False}


def find_sana_modes(configs: Configs) -> Modes:
    """The same weights are for text and for a first frame."""
    return {"text": "SanaVideoPipeline", "first_frame": "SanaImageToVideoPipeline"}


def find_helios_modes(name: str) -> Modes:
    return {"text": name, "first_frame": name, "clip": name}


def count_helios_sections(num_frames: int, arguments: Mapping[str, Any]) -> int:
    window = (int(arguments.get("num_latent_frames_per_chunk", 9)) - 1) * 4 + 1
    return max(1, -(-num_frames // window))


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
    HELIOS: Family(
        defaults={"fps": 24},
        scales=(8, 4),
        find_modes=lambda configs: find_helios_modes(HELIOS),
        clip="beginning",
        min_clip=33,
        count_sections=count_helios_sections,
    ),
    PYRAMID: Family(
        defaults={"fps": 24},
        scales=(8, 4),
        find_modes=lambda configs: find_helios_modes(PYRAMID),
        clip="beginning",
        min_clip=33,
        count_sections=count_helios_sections,
    ),
    "Kandinsky5T2VPipeline": Family(defaults={"fps": 24}, scales=(8, 4), latents="bthwc"),
    # It evens out the first four latents by those that follow.
    "Kandinsky5I2VPipeline": Family(defaults={"fps": 24}, scales=(8, 4), min_frames=17, latents="bthwc"),
    "Kandinsky6TI2VAPipeline": Family(scales=(16, 4)),
    "Kandinsky6SRPipeline": Family(refusal="enlarges a video"),
    "LattePipeline": Family(
        defaults={"fps": 8}, frame_grid=FrameGrid(step=16, offset=0), find_max_frames=find_latte_length
    ),
    "MochiPipeline": Family(defaults={"width": 848, "height": 480, "fps": 30}, scales=(8, 6)),
    "MotifVideoPipeline": Family(defaults={"fps": 24, "guidance_scale": 8.0}, scales=(8, 4)),
    "MotifVideoImage2VideoPipeline": Family(defaults={"fps": 24, "guidance_scale": 8.0}, scales=(8, 4)),
    "SanaVideoPipeline": Family(defaults=SANA, scales=(8, 4), find_modes=find_sana_modes, fixed=EXACT_SIZE),
    "SanaImageToVideoPipeline": Family(defaults=SANA, scales=(8, 4), find_modes=find_sana_modes, fixed=EXACT_SIZE),
    "SanaWMPipeline": Family(refusal="needs the path of a camera"),
}
