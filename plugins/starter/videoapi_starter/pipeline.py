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
from videoapi_diffusers.running.pipeline import DiffusersPipeline
from videoapi_starter.drawings import is_drawing
from videoapi_starter.plugin import MAX_FRAMES, MIN_FRAMES, NATIVE_SIZES
from videoapi_starter.words import name_unknown, split_known

WEIGHTS = Path(__file__).parent / "weights"


class StarterPipeline:
    """Chooses between text and images, and between native sizes; both pipelines share their weights."""

    def __init__(self, text: DiffusersPipeline, images: DiffusersPipeline) -> None:
        self.text = text
        self.images = images
        pieces = images.pipeline.tokenizer.get_vocab()
        self._vocabulary = frozenset(piece.removeprefix("▁") for piece in pieces if piece.startswith("▁"))

    def generate(self, request: GenerationRequest, progress: Progress) -> Clip:
        width, height = nearest_size(request.width, request.height)
        native = replace(
            request,
            prompt=self._read("prompt", request.prompt, progress),
            negative_prompt=self._read("negative_prompt", request.negative_prompt, progress),
            width=width,
            height=height,
            num_frames=min(max(request.num_frames, MIN_FRAMES), MAX_FRAMES),
            start_image=_resize(request.start_image, width, height),
            end_image=_resize(request.end_image, width, height),
        )
        if native.start_image and not is_drawing(native.start_image):
            # Words would put a shape in the picture's place, for in the training they always told of a shape in it.
            native = replace(native, prompt="", negative_prompt="")
            progress.warn("start_image is no shape on a plain background: it moves a little, whatever the prompt says.")
        warn_of_size(request, (width, height), progress)
        pipeline = self.text if request.start_image is None else self.images
        clip = pipeline.generate(native, progress)
        frames = clip.frames
        assert frames is not None
        if request.num_frames != native.num_frames:
            frames = stretch(list(frames), request.num_frames)
        return Clip(frames=_resize_all(frames, request.width, request.height))

    def _read(self, field: str, text: str, progress: Progress) -> str:
        """The text in words that the model knows; the others are named in a warning."""
        known, unknown = split_known(text, self._vocabulary)
        if unknown:
            progress.warn(name_unknown(field, unknown))
        return known


def load() -> StarterPipeline:
    """Load the packaged weights."""
    return build(load_diffusers(str(WEIGHTS), "WanImageToVideoPipeline").pipeline)


def build(pipeline: Any) -> StarterPipeline:
    """Both modes from one WanImageToVideoPipeline, whose weights they share."""
    components = {name: value for name, value in pipeline.components.items() if not name.startswith("image_")}
    components["transformer"] = text_only(components["transformer"])
    return StarterPipeline(DiffusersPipeline(WanPipeline(**components)), DiffusersPipeline(pipeline))


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


def warn_of_size(request: GenerationRequest, native: tuple[int, int], progress: Progress) -> None:
    """Say how the clip differs from what is asked for."""
    asked = request.width, request.height
    if asked != native:
        bends = abs(asked[0] * native[1] / (asked[1] * native[0]) - 1) > 0.1
        how = "stretched" if bends else "enlarged" if asked > native else "reduced"
        progress.warn(f"Made at {native[0]}x{native[1]} and {how} to {asked[0]}x{asked[1]}.")
    if request.num_frames < MIN_FRAMES:
        progress.warn(f"Shorter than {MIN_FRAMES} frames: made with {MIN_FRAMES}, of which some are left out.")
    if request.num_frames > MAX_FRAMES:
        progress.warn(f"Longer than {MAX_FRAMES} frames: the motion was made in {MAX_FRAMES} and stretched.")


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
