"""Registers the model `starter`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from videoapi import Defaults, FrameGrid, Limits, ModelFile, ModelSpec, Pipeline, hookimpl

# (width, height) in pixels, and the numbers of frames, that the training saw.
NATIVE_SIZES = ((128, 128), (160, 96), (96, 160))
MIN_FRAMES, MAX_FRAMES = 9, 65
SPEC = ModelSpec(
    name="starter",
    aliases=("video-model",),
    description="A coloured shape that moves over a plain background, as the prompt says. Small enough for any CPU: it "
    "works at 128x128, 160x96 or 96x160 and at 9 to 65 frames, and resizes what it makes.",
    modes=frozenset({"text", "first_frame", "first_and_last_frame"}),
    defaults=Defaults(width=512, height=512, num_frames=16, fps=8, num_inference_steps=12, guidance_scale=4.0),
    limits=Limits(max_side=1280, max_pixels=1280 * 1280, max_frames=241, max_fps=60, max_steps=100),
    native_sizes=NATIVE_SIZES,
    frame_grid=FrameGrid(step=4, offset=1),
)


@hookimpl
def register_models(register: Callable[[ModelSpec], None], configs: Sequence[ModelFile]) -> None:
    register(SPEC)


@hookimpl
def load_model(spec: ModelSpec) -> Pipeline:
    from videoapi_starter.pipeline import load

    return load()
