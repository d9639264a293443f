"""Submits generations for tests of the engine."""

from __future__ import annotations

from typing import Any

from PIL.Image import Image

from videoapi.engine.submit import submit
from videoapi.models import Generation
from videoapi.types import GenerationRequest


def make(model: str = "faulty-good", *, frames: int = 5, image: Image | None = None, **values: Any) -> Generation:
    request = GenerationRequest(
        **{
            "prompt": "anything",
            "negative_prompt": "",
            "width": 64,
            "height": 48,
            "num_frames": 5,
            "fps": 5,
            "num_inference_steps": 4,
            "guidance_scale": 5.0,
            "seed": 1,
            "start_image": image,
            **values,
        }
    )
    return submit(model, request, frames, [])
