"""Runs the packaged model as the kernel does, and keeps the time."""

from __future__ import annotations

import io
import time
from collections import defaultdict
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from videoapi import GenerationRequest, Pipeline
from videoapi_starter.plugin import SPEC


class Stopwatch:
    """A `progress` that books the seconds of each phase and keeps the warnings."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.warnings: list[str] = []
        self._phase, self._since = "", time.monotonic()

    def step(self, done: int, total: int) -> None: ...

    def phase(self, name: str) -> None:
        now = time.monotonic()
        if self._phase:
            self.seconds[self._phase] += now - self._since
        self._phase, self._since = name, now

    def preview(self, make: object) -> None: ...

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def make_request(prompt: str, **values: Any) -> GenerationRequest:
    """What the kernel makes of a request that says nothing else, for `values` in diffusers' words."""
    defaults = SPEC.defaults
    resolved = {
        "negative_prompt": "",
        "width": defaults.width,
        "height": defaults.height,
        "num_frames": SPEC.frame_grid.next_up(defaults.num_frames),
        "fps": defaults.fps,
        "num_inference_steps": defaults.num_inference_steps,
        "guidance_scale": defaults.guidance_scale,
        "seed": 1,
    }
    return GenerationRequest(prompt=prompt, **{**resolved, **values})


def generate(pipeline: Pipeline, prompt: str, **values: Any) -> NDArray[np.uint8]:
    """The frames (frames, height, width, 3) of one generation."""
    frames = pipeline.generate(make_request(prompt, **values), Stopwatch()).frames
    assert frames is not None
    return np.stack(list(frames))


def time_default(pipeline: Pipeline, rounds: int = 3) -> dict[str, float]:
    """Seconds of each phase for a request that says nothing but its prompt, warm: the mean of `rounds`."""
    prompt = "a red circle moving to the right on a white background"
    generate(pipeline, prompt)
    total: defaultdict[str, float] = defaultdict(float)
    for seed in range(rounds):
        watch = Stopwatch()
        frames = pipeline.generate(make_request(prompt, seed=seed), watch).frames
        assert frames is not None
        watch.phase("resizing")
        resized = [frame for frame, _ in zip(frames, range(SPEC.defaults.num_frames), strict=False)]
        watch.phase("encoding")
        _encode(resized)
        watch.phase("")
        for name, seconds in watch.seconds.items():
            total[name] += seconds / rounds
    return total


def _encode(frames: list[NDArray[np.uint8]]) -> None:
    """To H.264, as the kernel does it, into memory."""
    with av.open(io.BytesIO(), "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=SPEC.defaults.fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        output.mux(stream.encode())
