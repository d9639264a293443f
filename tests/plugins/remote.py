"""A backend of a remote engine. The file that REMOTE_STATE names says what the engine does: without it, it serves."""

import os
import time
from pathlib import Path

import videoapi


@videoapi.hookimpl
def register_models(register, configs):
    register(
        videoapi.ModelSpec(
            name="remote",
            aliases=("far-away",),
            defaults=videoapi.Defaults(width=64, height=48, num_frames=5, fps=5, num_inference_steps=4),
        )
    )


@videoapi.hookimpl
def check_model(spec):
    path = Path(os.environ["REMOTE_STATE"])
    try:
        state = path.read_text()
    except FileNotFoundError:
        return ""
    if state == "RAISE":
        raise ConnectionError("no route to /secret/path")
    if state == "NUMBER":
        return 503
    while state == "HANG" and path.exists():
        time.sleep(0.05)
    return "" if state == "HANG" else state


@videoapi.hookimpl
def inspect_model(spec):
    state = os.environ.get("REMOTE_WARNS", "")
    if state == "RAISE":
        raise ConnectionError("no route")
    return state if state == "A TEXT" else state.splitlines()


@videoapi.hookimpl
def load_model(spec):
    return RemotePipeline()


class RemotePipeline:
    def generate(self, request, progress):
        import numpy as np

        for step in range(request.num_inference_steps):
            progress.step(step + 1, request.num_inference_steps)
        shape = (request.height, request.width, 3)
        return videoapi.Clip(frames=(np.full(shape, 40 * index + 20, np.uint8) for index in range(request.num_frames)))
