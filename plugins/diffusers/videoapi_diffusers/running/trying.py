"""Makes a video that nobody asked for, so that what cannot work is an error of the load and not of a request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from videoapi import GenerationRequest, InvalidRequest, ModelError, ModelSpec, OutOfMemory, Pipeline
from videoapi_diffusers.quality import QUALITY
from videoapi_diffusers.words import describe_failure

logger = logging.getLogger(__name__)

# Pixels of the shorter side, and frames: small enough to be done in a moment, large enough for any network.
SIDE, FRAMES = 256, 9
# Some need two, and a strength leaves out the first.
STEPS = 2


class Silent:
    """A progress that nobody follows."""

    def step(self, done: int, total: int) -> None:
        """Nothing is reported of a warm-up's steps."""

    def phase(self, name: str) -> None:
        """Nor of its phases."""

    def preview(self, make: Callable[[], Any]) -> None:
        """Nor is there anything to see."""

    def warn(self, message: str) -> None:
        """Nor a client to tell."""


def try_out(pipeline: Pipeline, spec: ModelSpec, departures: Sequence[str]) -> None:
    """Two steps of a small video, or of the default size where the model does not make small ones.

    The departures are what may not go with the model; without any, nothing is tried. Raises ModelError that names them
    where neither video can be made.
    """
    if not departures:
        return
    what = " and ".join(departures)
    defaults = spec.defaults
    share = min(1.0, SIDE / min(defaults.width, defaults.height))
    width, height = (
        max(1, round(side * share / spec.size_multiple)) * spec.size_multiple
        for side in (defaults.width, defaults.height)
    )
    sizes = [(width, height, min(FRAMES, defaults.num_frames)), (defaults.width, defaults.height, defaults.num_frames)]
    # The file's own cache need not be the default.
    cache = spec.settings.get("changes", {}).get("cache")
    params = {QUALITY: cache["name"]} if cache else {}
    logger.info("Trying %s", what)
    for last, size in enumerate(dict.fromkeys(sizes), 1):
        try:
            make_video(pipeline, spec, *size, steps=STEPS, **params)
            return
        except OutOfMemory as error:
            # It says nothing of what was tried, and a request may ask for less.
            logger.warning("%s could not be tried: %s", what, error.message)
            return
        # A library's own errors, of any kind.
        except Exception as error:
            if last == len(set(sizes)):
                text = error.message if isinstance(error, InvalidRequest | ModelError) else describe_failure(error)
                raise ModelError(f"The model cannot make a video with {what}: {text}") from error


def make_video(
    pipeline: Pipeline, spec: ModelSpec, width: int, height: int, frames: int, *, steps: int, **params: Any
) -> None:
    """From the least that the model makes one from. Raises what its `generate` does."""
    clip = pipeline.generate(_make_request(spec, width, height, frames, steps, params), Silent())
    for _ in clip.frames or ():
        """They are decoded while they are read."""


def _make_request(
    spec: ModelSpec, width: int, height: int, frames: int, steps: int, params: Mapping[str, Any]
) -> GenerationRequest:
    """The least that the model makes a video from, with a request's defaults where `params` does not say otherwise."""
    from PIL import Image

    grey = Image.new("RGB", (width, height), (128, 128, 128))
    count = spec.frame_grid.next_up(frames)
    is_text = "text" in spec.modes
    is_clip = not is_text and spec.modes == {"clip"}
    defaults = {name: schema["default"] for name, schema in spec.params.items() if "default" in schema}
    needs_end = not is_text and not is_clip and "first_frame" not in spec.modes
    return GenerationRequest(
        prompt="",
        negative_prompt=spec.defaults.negative_prompt,
        width=width,
        height=height,
        num_frames=count,
        fps=spec.defaults.fps,
        num_inference_steps=steps,
        guidance_scale=spec.defaults.guidance_scale,
        seed=0,
        start_image=None if is_text or is_clip else grey,
        end_image=grey if needs_end else None,
        clip=[grey] * count if is_clip else None,
        params={**defaults, **params},
    )
