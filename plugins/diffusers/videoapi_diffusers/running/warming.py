"""Runs a model before its first request, so that no client waits for what is done only once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from videoapi import GenerationRequest, InvalidRequest, ModelError, ModelSpec, OutOfMemory, Pipeline
from videoapi_diffusers.words import describe_failure

WORDS = "Warming up"


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


def warm_up(pipeline: Pipeline, spec: ModelSpec, shapes: Iterable[list[int]]) -> None:
    """One step of the default size and of each of the shapes (width, height, frames), each printed as it begins.

    Raises ModelError where the model cannot make one, or cannot be compiled on this machine.
    """
    default = [spec.defaults.width, spec.defaults.height, spec.defaults.num_frames]
    wanted = [list(shape) for shape in dict.fromkeys(map(tuple, [default, *shapes]))]
    for index, (width, height, frames) in enumerate(wanted, 1):
        name = f"{width}x{height}x{frames}"
        if width % spec.size_multiple or height % spec.size_multiple:
            raise ModelError(f"{WORDS} {name}: width and height must be multiples of {spec.size_multiple}.")
        sys.stderr.write(f"{WORDS} {name} ({index} of {len(wanted)})\n")
        started = time.monotonic()
        try:
            clip = pipeline.generate(_make_request(spec, width, height, frames), Silent())
            for _ in clip.frames or ():
                """They are decoded while they are read."""
        except OutOfMemory:
            raise
        except (InvalidRequest, ModelError) as error:
            raise ModelError(f"{WORDS} {name}: {error.message}") from error
        # Compilers have errors of their own: no compiler, too little memory, what they cannot compile.
        except RuntimeError as error:
            text = describe_failure(error)
            raise ModelError(f"{WORDS} {name}: the model cannot be compiled here: {text}") from error
        sys.stderr.write(f"{name} is warm after {time.monotonic() - started:.0f} s\n")


def _make_request(spec: ModelSpec, width: int, height: int, frames: int) -> GenerationRequest:
    """The least that the model makes a video from, with the request's defaults."""
    from PIL import Image

    grey = Image.new("RGB", (width, height), (128, 128, 128))
    count = spec.frame_grid.next_up(frames)
    is_text = "text" in spec.modes
    is_clip = not is_text and spec.modes == {"clip"}
    needs_end = not is_text and not is_clip and "first_frame" not in spec.modes
    return GenerationRequest(
        prompt="",
        negative_prompt=spec.defaults.negative_prompt,
        width=width,
        height=height,
        num_frames=count,
        fps=spec.defaults.fps,
        num_inference_steps=1,
        guidance_scale=spec.defaults.guidance_scale,
        seed=0,
        start_image=None if is_text or is_clip else grey,
        end_image=grey if needs_end else None,
        clip=[grey] * count if is_clip else None,
        params={name: schema["default"] for name, schema in spec.params.items() if "default" in schema},
    )
