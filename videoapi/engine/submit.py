"""Accepts a validated request: from here on it is in the database and will not be lost."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from videoapi.engine.storage import delete_inputs, store_input
from videoapi.engine.tasks import deliver
from videoapi.models import Generation
from videoapi.types import GenerationRequest


def submit(model: str, request: GenerationRequest, num_frames: int, warnings: Sequence[str]) -> Generation:
    """Store the request and queue it, both or neither.

    `num_frames` is what the client asked for; `request.num_frames` is what the model will make.
    """
    generation = Generation(
        model=model,
        prompt=request.prompt,
        parameters={
            "negative_prompt": request.negative_prompt,
            "num_inference_steps": request.num_inference_steps,
            "guidance_scale": request.guidance_scale,
            "generated_frames": request.num_frames,
        },
        seed=request.seed,
        width=request.width,
        height=request.height,
        num_frames=num_frames,
        fps=request.fps,
        warnings=list(warnings),
    )
    try:
        for field, image in (
            (generation.start_image, request.start_image),
            (generation.end_image, request.end_image),
        ):
            if image is not None:
                store_input(field, image)
        with transaction.atomic():
            generation.save(force_insert=True)
            deliver(generation)
    except BaseException:
        delete_inputs(generation)
        raise
    return generation
