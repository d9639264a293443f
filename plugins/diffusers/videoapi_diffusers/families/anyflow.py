"""AnyFlow: Wan's networks, distilled for any number of steps, at once or in chunks."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

from videoapi import GenerationRequest
from videoapi_diffusers.families.family import Family, Modes
from videoapi_diffusers.shape import Configs

# Latents of a chunk, as the released weights were trained, and the fewest frames: two chunks, as the pipeline makes
# room for one that is old.
CHUNK = 3
FAR_FRAMES = 5


def find_modes(name: str) -> Callable[[Configs], Modes]:
    return lambda configs: {"text": name, "first_frame": name, "clip": name}


def prepare(pipeline: Any) -> None:
    """The pipeline has its autoencoder encode by a method that does not bring it to the device."""
    from diffusers.utils.accelerate_utils import apply_forward_hook

    pipeline.vae._encode = MethodType(apply_forward_hook(type(pipeline.vae)._encode), pipeline.vae)


def count_latents(num_frames: int) -> int:
    return (num_frames - 1) // 4 + 1


def make_beginning(request: GenerationRequest) -> dict[str, Any]:
    """What the video begins with, an image or a clip: one frame and groups of four."""
    given = [request.start_image] if request.start_image is not None else list(request.clip or ())
    return {"video": given[: (len(given) - 1) // 4 * 4 + 1]} if given else {}


def make_far_inputs(request: GenerationRequest) -> dict[str, Any]:
    """The same in floating point (1, frames, height, width, 3), of which the pipeline's own check reads the shape; and
    the latents of each chunk: those that are given are chunks of their own, and one more is made.
    """
    import numpy as np

    total = count_latents(max(request.num_frames, FAR_FRAMES))
    frames = make_beginning(request).get("video", [])
    given = min(count_latents(len(frames)), total - 1)
    chunks = [*split_chunks(max(given, 1))[::-1], *split_chunks(total - max(given, 1))]
    if not frames:
        return {"chunk_partition": chunks}
    video = np.stack([np.asarray(frame) for frame in frames[: (given - 1) * 4 + 1]])
    return {"video": video[None].astype(np.float32) / 255, "chunk_partition": chunks}


def split_chunks(latents: int) -> list[int]:
    """The last one has what is left."""
    rest = latents % CHUNK
    return [CHUNK] * (latents // CHUNK) + ([rest] if rest else [])


def family(name: str, **facts: Any) -> Family:
    return Family(
        defaults={"fps": 16},
        scales=(8, 4),
        clip="beginning",
        find_modes=find_modes(name),
        latents="btchw",
        prepare=prepare,
        **facts,
    )


FAMILIES = {
    "AnyFlowPipeline": family("AnyFlowPipeline", make_inputs=make_beginning),
    "AnyFlowFARPipeline": family("AnyFlowFARPipeline", make_inputs=make_far_inputs, min_frames=FAR_FRAMES),
}
