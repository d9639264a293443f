"""The whole request that a generation stands for, so that it can be made again."""

from __future__ import annotations

from typing import Any

from videoapi.engine.registry import get_catalog
from videoapi.exceptions import InvalidRequest
from videoapi.models import Generation


def whole_request(generation: Generation, n: int = 1) -> dict[str, Any]:
    """Every field that decides what the video is, by the name that clients send, with the value that it had.

    `n` is how many videos its request asked for. In the place of each image and clip is what is known of it, for the
    file itself is not kept.
    """
    parameters = generation.parameters
    files = parameters.get("inputs", {})
    values = {
        "model": generation.model,
        "prompt": generation.prompt,
        "negative_prompt": parameters["negative_prompt"],
        "width": generation.width,
        "height": generation.height,
        "num_frames": generation.num_frames,
        "fps": generation.fps,
        "seed": generation.seed,
        "step": parameters["num_inference_steps"],
        "cfg_scale": parameters["guidance_scale"],
        "params": parameters["params"],
        **({"n": n} if n > 1 else {}),
        # Of older rows the names alone.
        **(files if isinstance(files, dict) else {name: {} for name in files}),
    }
    unsupported = _find_unsupported(generation.model)
    return {name: value for name, value in values.items() if name not in unsupported}


def _find_unsupported(model: str) -> frozenset[str]:
    """The fields that may not be sent to the model, which may have been uninstalled since."""
    try:
        return get_catalog().find(model).spec.unsupported
    except InvalidRequest:
        return frozenset()
