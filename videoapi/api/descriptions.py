"""What the answers about a model hold: all that a request for it is checked against, by the request's own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from videoapi.catalog import Entry
from videoapi.conf import Conf
from videoapi.engine.availability import Service
from videoapi.fields import MAX_INTEGER
from videoapi.inputs import FORMATS, MAX_FRAMES, MIN_SIDE
from videoapi.serializers import MIN_PRIORITY
from videoapi.types import Mode, ModelSpec

IMAGE_MODES: frozenset[Mode] = frozenset({"first_frame", "first_and_last_frame"})


def summarize(name: str, entry: Entry, service: Service, created: int) -> dict[str, Any]:
    """OpenAI's entry of a list of models, with what a menu needs besides."""
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": entry.plugin.distribution,
        "modes": [mode for mode in get_args(Mode) if mode in entry.spec.modes],
        "available": not service.reason,
        **({"reason": service.reason} if service.reason else {}),
    }


def describe(entry: Entry, service: Service, created: int, conf: Conf) -> dict[str, Any]:
    """The same and everything else, so that a client can build a form from it."""
    spec = entry.spec
    return {
        **summarize(spec.name, entry, service, created),
        "loaded": service.is_loaded,
        "workers": service.workers,
        "backend": {
            "name": entry.plugin.name,
            "distribution": entry.plugin.distribution,
            "version": entry.plugin.version,
        },
        "aliases": list(spec.aliases),
        "description": spec.description,
        "defaults": _defaults(spec),
        "size_multiple": spec.size_multiple,
        "audio": spec.audio,
        "native_sizes": [f"{width}x{height}" for width, height in spec.native_sizes if _fits(width, height, spec)],
        "frame_grid": {"step": spec.frame_grid.step, "offset": spec.frame_grid.offset},
        "limits": _limits(spec, conf),
        "inputs": _inputs(spec, conf),
        "unsupported": sorted(spec.unsupported),
        "params": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {name: dict(schema) for name, schema in spec.params.items()},
            "additionalProperties": False,
        },
        "interruptible": spec.interruptible,
    }


def describe_capabilities(name: str, entry: Entry, capability: str) -> dict[str, Any]:
    """LocalAI's entry: what goes in and what comes out."""
    modes = entry.spec.modes
    takes = {"text": True, "image": bool(modes & IMAGE_MODES), "video": "clip" in modes}
    return {
        "id": name,
        "object": "model",
        "capabilities": [capability],
        "input_modalities": [kind for kind, is_taken in takes.items() if is_taken],
        "output_modalities": ["video", *(["audio"] if entry.spec.audio else [])],
        "backend": entry.plugin.name,
    }


def _defaults(spec: ModelSpec) -> dict[str, Any]:
    values = spec.defaults
    named = {
        "width": values.width,
        "height": values.height,
        "num_frames": values.num_frames,
        "fps": values.fps,
        "step": values.num_inference_steps,
        "cfg_scale": values.guidance_scale,
        "negative_prompt": values.negative_prompt,
    }
    return {name: value for name, value in named.items() if name not in spec.unsupported}


def _limits(spec: ModelSpec, conf: Conf) -> dict[str, float]:
    limits = spec.limits
    return {
        "max_side": limits.max_side,
        "max_pixels": limits.max_pixels,
        "max_frames": limits.max_frames,
        "max_fps": limits.max_fps,
        "max_step": limits.max_steps,
        "max_cfg_scale": limits.max_guidance_scale,
        "max_prompt_length": limits.max_prompt_length,
        "max_seed": MAX_INTEGER,
        "min_priority": MIN_PRIORITY,
        "max_priority": conf.max_priority,
        "max_runtime": limits.max_runtime or conf.run_seconds,
        "max_body_bytes": conf.max_body_bytes,
    }


def _inputs(spec: ModelSpec, conf: Conf) -> Mapping[str, Any]:
    """What the files that a request brings may be; of clips only where the model takes one."""
    image = {
        "formats": [name.lower() for name in FORMATS],
        "max_bytes": conf.max_image_bytes,
        "max_pixels": conf.max_image_pixels,
        "min_side": MIN_SIDE,
        "max_frames": MAX_FRAMES,
    }
    clip = {
        "formats": ["mp4", "mov", "webm", "mkv"],
        "max_bytes": conf.max_clip_bytes,
        "max_pixels": conf.max_image_pixels,
    }
    taken = {"image": image} if spec.modes & IMAGE_MODES else {}
    if "clip" in spec.modes:
        taken["clip"] = clip
    return {**taken, "urls": conf.fetch} if taken else {}


def _fits(width: int, height: int, spec: ModelSpec) -> bool:
    """A model file can have set narrower limits."""
    return max(width, height) <= spec.limits.max_side and width * height <= spec.limits.max_pixels
