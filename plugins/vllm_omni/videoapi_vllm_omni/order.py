"""A request in the words of vLLM-Omni's POST /v1/videos, and its refusals in those of our clients."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from PIL.Image import Image

from videoapi import GenerationRequest, InvalidRequest, ModelError
from videoapi_vllm_omni.engine import EngineRefusal, Upload

# Our clients' words for the engine's fields.
FIELDS = {
    "num_inference_steps": "step",
    "guidance_scale": "cfg_scale",
    "num_frames": "num_frames",
    "fps": "fps",
    "size": "size",
    "seed": "seed",
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    **dict.fromkeys(("flow_shift", "boundary_ratio", "guidance_scale_2", "lora", "extra_params"), "params"),
}


class Orders:
    """What one model's orders have in common."""

    def __init__(self, model: str, loras: Mapping[str, str], extra: Sequence[str] = ()) -> None:
        """`model` is the served name, `loras` are paths on the engine's machine by name, `extra` are the keys of
        `params` that are sent among `extra_params`.
        """
        self._model, self._loras, self._extra = model, loras, frozenset(extra)

    def fields(self, request: GenerationRequest) -> dict[str, str]:
        fields = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "size": f"{request.width}x{request.height}",
            # Without it the engine makes one frame.
            "num_frames": str(request.num_frames),
            "fps": str(request.fps),
            "num_inference_steps": str(request.num_inference_steps),
            "guidance_scale": str(request.guidance_scale),
            "seed": str(request.seed),
        }
        if self._model:
            fields["model"] = self._model
        params = dict(request.params)
        if (choice := params.pop("lora", None)) is not None:
            fields["lora"] = json.dumps(self._lora(choice))
        if extra := {name: params.pop(name) for name in self._extra & params.keys()}:
            fields["extra_params"] = json.dumps(extra)
        return fields | {name: str(value) for name, value in params.items()}

    def _lora(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        number = sorted(self._loras).index(choice["name"]) + 1
        path = self._loras[choice["name"]]
        return {"name": choice["name"], "path": path, "scale": choice.get("scale", 1.0), "int_id": number}


def files_of(request: GenerationRequest) -> list[Upload]:
    """One image as `input_reference`; a first and a last frame as two `input_references`, in this order."""
    if request.start_image is None:
        return []
    start = _to_png(request.start_image)
    if request.end_image is None:
        return [("input_reference", ("start.png", start, "image/png"))]
    end = _to_png(request.end_image)
    return [("input_references", (f"{name}.png", data, "image/png")) for name, data in (("start", start), ("end", end))]


def explain(refusal: EngineRefusal) -> Exception:
    """The engine's own check names a field in its second line; what it says otherwise is about this server."""
    lines = refusal.message.splitlines()
    field = lines[1].strip() if len(lines) > 2 else ""
    if refusal.status == 400 and field in FIELDS:
        return InvalidRequest(FIELDS[field], f"The engine refuses it: {lines[2].strip().partition(' [')[0]}.")
    return ModelError(f"The engine refuses the order: {' '.join(lines)}")


def _to_png(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
