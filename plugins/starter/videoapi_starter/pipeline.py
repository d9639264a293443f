"""Runs the starter at the sizes that it was trained on and resizes what it makes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import WanPipeline
from numpy.typing import NDArray
from PIL import Image

from videoapi import Clip, GenerationRequest, Progress
from videoapi_diffusers import load as load_diffusers
from videoapi_diffusers.pipeline import DiffusersPipeline

WEIGHTS = Path(__file__).parent / "weights"

# (width, height) in pixels, and the numbers of frames, that the training saw.
NATIVE_SIZES = ((128, 128), (160, 96), (96, 160))
MIN_FRAMES, MAX_FRAMES = 9, 33


class StarterPipeline:
    """Chooses between text and images, and between native sizes; both pipelines share their weights."""

    def __init__(self, text: DiffusersPipeline, images: DiffusersPipeline) -> None:
        self._text = text
        self._images = images

    def generate(self, request: GenerationRequest, progress: Progress) -> Clip:
        width, height = nearest_size(request.width, request.height)
        native = replace(
            request,
            width=width,
            height=height,
            num_frames=min(max(request.num_frames, MIN_FRAMES), MAX_FRAMES),
            start_image=_resize(request.start_image, width, height),
            end_image=_resize(request.end_image, width, height),
        )
        pipeline = self._text if request.start_image is None else self._images
        clip = pipeline.generate(native, progress)
        frames = clip.frames
        assert frames is not None
        if request.num_frames != native.num_frames:
            frames = stretch(list(frames), request.num_frames)
        return Clip(frames=_resize_all(frames, request.width, request.height))


def load() -> StarterPipeline:
    """Load the packaged weights once, for both pipelines."""
    images = load_diffusers(str(WEIGHTS), "WanImageToVideoPipeline")
    components = {name: value for name, value in images.pipeline.components.items() if not name.startswith("image_")}
    components["transformer"] = text_only(components["transformer"])
    return StarterPipeline(DiffusersPipeline(WanPipeline(**components)), images)


def text_only(transformer: Any) -> Any:
    """The same transformer without the input channels for given frames.

    It was trained with those channels at zero where no frame is given, so dropping them changes nothing. All other
    weights are shared with the original.
    """
    channels = transformer.config.out_channels
    with torch.device("meta"):
        smaller = type(transformer).from_config({**transformer.config, "in_channels": channels})
    weights = transformer.state_dict()
    weights["patch_embedding.weight"] = weights["patch_embedding.weight"][:, :channels].contiguous()
    smaller.load_state_dict(weights, assign=True)
    smaller.rope = transformer.rope
    return smaller.eval()


def nearest_size(width: int, height: int) -> tuple[int, int]:
    """The native size whose shape is nearest to that of `width` by `height`."""
    return min(NATIVE_SIZES, key=lambda size: abs(np.log(size[0] / size[1]) - np.log(width / height)))


def stretch(frames: list[NDArray[np.uint8]], count: int) -> Iterator[NDArray[np.uint8]]:
    """`count` frames over the same motion, each a blend of its two neighbours in time."""
    for position in np.linspace(0, len(frames) - 1, count):
        before = min(int(position), len(frames) - 2)
        share = position - before
        yield np.rint(frames[before] * (1 - share) + frames[before + 1] * share).astype(np.uint8)


def _resize_all(frames: Any, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    for frame in frames:
        yield np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))


def _resize(image: Image.Image | None, width: int, height: int) -> Image.Image | None:
    return image and image.resize((width, height), Image.Resampling.LANCZOS)
