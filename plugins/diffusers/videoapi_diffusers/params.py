"""The options of a pipeline that a request may set in `params`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from videoapi_diffusers.signature import Signature

Schema = dict[str, Any]


def _number(description: str, maximum: float = 1) -> Schema:
    return {"type": "number", "minimum": 0, "maximum": maximum, "description": description}


def _positive(description: str, maximum: float) -> Schema:
    return {"type": "number", "exclusiveMinimum": 0, "maximum": maximum, "description": description}


def _integer(description: str, minimum: int, maximum: int) -> Schema:
    return {"type": "integer", "minimum": minimum, "maximum": maximum, "description": description}


def _switch(description: str) -> Schema:
    return {"type": "boolean", "description": description}


SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "audio_guidance_scale": _number("Guidance of the sound.", 50),
    "augment_sigma": _number("Noise that is added to what is given, so that it is followed less closely."),
    "clip_skip": _integer("Layers that are left out at the end of the text encoder.", 0, 11),
    "conditioning_scale": _number("How much the control frames count.", 10),
    "decode_noise_scale": _number("Noise that is added before the video is decoded."),
    "decode_timestep": _number("How noisy the autoencoder takes the latents for when it decodes them."),
    "denoise_strength": _number("How much of the clip is made anew: 0 keeps it, 1 keeps nothing."),
    "enable_sound": _switch("Make sound too."),
    "eta": _number("New noise in each step, with the DDIM scheduler alone."),
    "guidance_rescale": _number("How far guidance is kept from making colours too strong."),
    "guidance_scale_2": _number("Guidance of the expert for low noise; by default cfg_scale.", 50),
    "image_cond_noise_scale": _number("Noise that is added to a given frame, for more motion."),
    "latent_window_size": _integer("Latents that are made at a time, of four frames each.", 2, 64),
    "max_sequence_length": _integer("Tokens of the prompt that are read.", 1, 1024),
    "min_guidance_scale": _number("Guidance of the first frame; it rises from there.", 50),
    "modality_scale": _number("How closely picture and sound follow each other.", 50),
    "motion_bucket_id": _integer("How much moves.", 0, 255),
    "motion_speed": _positive("How fast things move; under 1 is slow motion.", 10),
    "noise_aug_strength": _number("Noise that is added to the start image: more of it, more motion.", 10),
    "pag_scale": _number("Strength of perturbed-attention guidance.", 50),
    "sigma_conditioning": _number("How noisy the given frames are taken for."),
    "stg_scale": _number("Strength of spatio-temporal guidance.", 50),
    "strength": _number("How much of the clip is made anew: 0 keeps it, 1 keeps nothing."),
    "true_cfg_scale": _number("Guidance by the negative prompt; it needs more than 1.", 50),
    "use_dynamic_cfg": _switch("Guidance grows from step to step."),
}
"""Numbers and switches that change what is made and nothing else. Not offered: what costs memory without a limit, what
names files, and what the request's own fields say."""


def find_params(signatures: Iterable[Signature], known: Mapping[str, Any] | None = None) -> dict[str, Schema]:
    """The schema of each option that one of the pipelines has, with its default there.

    `known` are the defaults of these weights; what is None there is not offered.
    """
    known = known or {}
    absent = {name for name, default in known.items() if default is None}
    found: dict[str, Schema] = {}
    for signature in signatures:
        for name in sorted(SCHEMAS.keys() & signature.parameters.keys() - found.keys() - absent):
            default = known.get(name, signature.parameters[name])
            is_known = isinstance(default, (bool, int, float))
            found[name] = {**SCHEMAS[name], "default": default} if is_known else {**SCHEMAS[name]}
    return found
