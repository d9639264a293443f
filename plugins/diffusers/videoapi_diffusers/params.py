"""The options of a pipeline that a request may set in `params`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from videoapi_diffusers.signature import Signature

SHARE = {"type": "number", "minimum": 0, "maximum": 1}
SCALE = {"type": "number", "minimum": 0, "maximum": 50}
SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "audio_guidance_scale": SCALE,
    "augment_sigma": SHARE,
    "clip_skip": {"type": "integer", "minimum": 0, "maximum": 12},
    "conditioning_scale": {"type": "number", "minimum": 0, "maximum": 10},
    "decode_noise_scale": SHARE,
    "decode_timestep": SHARE,
    "denoise_strength": SHARE,
    "enable_sound": {"type": "boolean"},
    "eta": SHARE,
    "guidance_rescale": SHARE,
    "guidance_scale_2": SCALE,
    "image_cond_noise_scale": SHARE,
    "latent_window_size": {"type": "integer", "minimum": 2, "maximum": 64},
    "max_sequence_length": {"type": "integer", "minimum": 1, "maximum": 1024},
    "min_guidance_scale": SCALE,
    "modality_scale": SCALE,
    "motion_bucket_id": {"type": "integer", "minimum": 0, "maximum": 255},
    "motion_speed": {"type": "number", "minimum": 0, "maximum": 10},
    "noise_aug_strength": {"type": "number", "minimum": 0, "maximum": 10},
    "pag_scale": SCALE,
    "sigma_conditioning": SHARE,
    "stg_scale": SCALE,
    "strength": SHARE,
    "true_cfg_scale": SCALE,
    "use_dynamic_cfg": {"type": "boolean"},
}
"""Numbers and switches that change what is made and nothing else. Not offered: what costs memory without a limit, what
names files, and what the request's own fields say."""


def find_params(signatures: Iterable[Signature], without: Container[str] = ()) -> dict[str, Mapping[str, Any]]:
    """The schema of each option that one of the pipelines has, and that is not in `without`, with its default there."""
    found: dict[str, Mapping[str, Any]] = {}
    for signature in signatures:
        for name in sorted(SCHEMAS.keys() & signature.parameters.keys() - found.keys()):
            if name in without:
                continue
            default = signature.parameters[name]
            is_known = isinstance(default, (bool, int, float))
            found[name] = {**SCHEMAS[name], "default": default} if is_known else SCHEMAS[name]
    return found
