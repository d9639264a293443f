"""Runs a model before its first request, so that no client waits for what is done only once."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from videoapi import InvalidRequest, ModelError, ModelSpec, OutOfMemory, Pipeline
from videoapi_diffusers.running.trying import STEPS, make_video
from videoapi_diffusers.words import describe_failure

WORDS = "Warming up"


def warm_up(pipeline: Pipeline, spec: ModelSpec, shapes: Iterable[list[int]]) -> None:
    """A step of the default size and of each of the shapes (width, height, frames), each printed as it begins.

    Raises ModelError where the model cannot make one, or cannot be compiled on this machine.
    """
    # Of a clip, a strength leaves out the first.
    steps = STEPS if spec.modes == {"clip"} else 1
    default = [spec.defaults.width, spec.defaults.height, spec.defaults.num_frames]
    wanted = [list(shape) for shape in dict.fromkeys(map(tuple, [default, *shapes]))]
    for index, (width, height, frames) in enumerate(wanted, 1):
        name = f"{width}x{height}x{frames}"
        if width % spec.size_multiple or height % spec.size_multiple:
            raise ModelError(f"{WORDS} {name}: width and height must be multiples of {spec.size_multiple}.")
        sys.stderr.write(f"{WORDS} {name} ({index} of {len(wanted)})\n")
        started = time.monotonic()
        try:
            make_video(pipeline, spec, width, height, frames, steps=steps)
        except OutOfMemory:
            raise
        except (InvalidRequest, ModelError) as error:
            raise ModelError(f"{WORDS} {name}: {error.message}") from error
        # Compilers have errors of their own: no compiler, too little memory, what they cannot compile.
        except RuntimeError as error:
            text = describe_failure(error)
            raise ModelError(f"{WORDS} {name}: the model cannot be compiled here: {text}") from error
        sys.stderr.write(f"{name} is warm after {time.monotonic() - started:.0f} s\n")
