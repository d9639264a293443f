"""Wan 2.1 and 2.2, and what was made from them and works as they do."""

from __future__ import annotations

from functools import partial
from typing import Any

from videoapi import GenerationRequest
from videoapi_diffusers.families.family import Family, Modes, Sizes
from videoapi_diffusers.shape import Configs

# 16 frames a second are what Wan was trained on; TI2V 5B was on 24, which its model file can say.
DEFAULTS = {"fps": 16}
SCALES = (8, 4)
# Of the transformer; the 1.3B models have 30 and were not trained on the larger sizes.
LARGE_LAYERS = 40


def find_modes(configs: Configs) -> Modes:
    """Of a `WanPipeline`: what goes through it as it is, and through its siblings where the weights are made for it.

    The transformer of image to video has input channels for the frames that are given; TI2V 5B puts a first frame in
    the place of the first latent instead.
    """
    modes: Modes = {"text": "WanPipeline"}
    index = configs.get("model_index", {})
    if index.get("expand_timesteps"):
        return {**modes, "first_frame": "WanImageToVideoPipeline"}
    if index.get("transformer_2", [None])[0]:
        return modes
    return {**modes, "clip": "WanVideoToVideoPipeline"} if "transformer" in configs else modes


def find_image_modes(name: str, configs: Configs) -> Modes:
    """A last frame needs a transformer that was trained for it.

    The FLF2V ones have positions for the embeddings of exactly two images. The ones without an image encoder see one
    frame or both in their latents.
    """
    transformer = configs.get("transformer") or configs.get("transformer_2")
    if transformer is None or configs.get("model_index", {}).get("expand_timesteps"):
        return {"first_frame": name}
    if transformer.get("pos_embed_seq_len") is not None:
        return {"first_and_last_frame": name}
    modes: Modes = {"first_frame": name}
    return {**modes, "first_and_last_frame": name} if transformer.get("image_dim") is None else modes


def find_native_sizes(configs: Configs) -> Sizes:
    """Those of Wan's own list (`SUPPORTED_SIZES` in its wan/configs)."""
    if configs.get("model_index", {}).get("expand_timesteps"):
        return (1280, 704), (704, 1280)
    transformer = configs.get("transformer") or configs.get("transformer_2") or {}
    sizes = ((832, 480), (480, 832))
    return (*sizes, (1280, 720), (720, 1280)) if transformer.get("num_layers", 0) >= LARGE_LAYERS else sizes


def make_vace_inputs(request: GenerationRequest) -> dict[str, Any]:
    """What is given is black in the mask, what is to be made is white over grey, as VACE was trained.

    A clip controls the whole video (poses, depth, edges), and an image beside it is what it should look like.
    """
    from PIL import Image

    if request.clip is not None:
        reference = {"reference_images": [request.start_image]} if request.start_image else {}
        return {
            "video": list(request.clip) + [request.clip[-1]] * (request.num_frames - len(request.clip)),
            **reference,
        }
    if request.start_image is None:
        return {}
    size = (request.width, request.height)
    video = [Image.new("RGB", size, (128, 128, 128))] * request.num_frames
    mask = [Image.new("L", size, 255)] * request.num_frames
    for index, image in ((0, request.start_image), (-1, request.end_image)):
        if image is not None:
            video[index], mask[index] = image, Image.new("L", size, 0)
    return {"video": video, "mask": mask}


def find_options(configs: Configs) -> dict[str, Any]:
    """Guidance of a second expert where the steps are divided between two."""
    is_divided = configs.get("model_index", {}).get("boundary_ratio") is not None
    return {} if is_divided else {"guidance_scale_2": None}


def family(**facts: Any) -> Family:
    return Family(
        defaults=DEFAULTS,
        scales=SCALES,
        find_native_sizes=find_native_sizes,
        find_options=find_options,
        **facts,
    )


IMAGE = "WanImageToVideoPipeline"
VACE = "WanVACEPipeline"
FAMILIES = {
    "WanPipeline": family(find_modes=find_modes),
    IMAGE: family(find_modes=partial(find_image_modes, IMAGE)),
    "WanVideoToVideoPipeline": Family(
        defaults={**DEFAULTS, "num_frames": 81}, scales=SCALES, find_native_sizes=find_native_sizes
    ),
    VACE: family(
        find_modes=lambda configs: {"text": VACE, "first_frame": VACE, "first_and_last_frame": VACE, "clip": VACE},
        make_inputs=make_vace_inputs,
        takes_both=True,
    ),
    "WanAnimatePipeline": Family(refusal="needs a video of poses and one of a face beside the image"),
    "LucyEditPipeline": Family(defaults={"fps": 24}, scales=(16, 4), find_options=find_options),
    "ChronoEditPipeline": Family(refusal="edits an image and makes no video that is meant to be watched"),
}
