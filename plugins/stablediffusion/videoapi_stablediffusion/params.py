"""The request's `params` for a model of this backend, as JSON Schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from videoapi_stablediffusion.variants import Variant

SAMPLERS = (
    "euler",
    "euler_a",
    "heun",
    "dpm2",
    "dpm++2s_a",
    "dpm++2m",
    "dpm++2mv2",
    "ipndm",
    "ipndm_v",
    "lcm",
    "ddim_trailing",
    "tcd",
    "res_multistep",
    "res_2s",
    "er_sde",
)
# Those that divide by the steps but one.
NEED_TWO_STEPS = ("karras", "exponential")
NOISY_SAMPLERS = ("euler_a", "dpm++2s_a", "ddim_trailing", "tcd", "res_multistep", "res_2s", "er_sde")
"""Those that `eta` has an effect with."""
# Without the library's ays and gits, whose tables are other models': they make black frames, or end the process.
SCHEDULERS = (
    "discrete",
    "karras",
    "exponential",
    "sgm_uniform",
    "simple",
    "smoothstep",
    "kl_optimal",
    "lcm",
    "bong_tangent",
)
# Without the library's ucache, which it leaves out for Wan in silence.
CACHES = ("disabled", "easycache", "dbcache", "taylorseer", "cache-dit", "spectrum")
CACHE_PARAMS = {
    "cache_threshold": ("easycache", "dbcache", "cache-dit"),
    "cache_start": ("easycache",),
    "cache_end": ("easycache",),
}
"""Which modes each of the cache's params has an effect with."""
MAX_LORAS = 16

Schema = dict[str, Any]


def build_params(variant: Variant, loras: Sequence[str], *, two_models: bool, high_noise_loras: bool) -> Schema:
    """The schema of every param that this model honours."""
    params = {**_sampling(), **_caching(), **_tiling()}
    if two_models:
        params |= _two_models()
    if variant.takes_control_frames:
        params["vace_strength"] = _number("How much the control frames count.", 0, 2, default=1.0)
    if loras:
        params["loras"] = _loras(loras, high_noise=two_models and high_noise_loras)
    return params


def with_defaults(params: Schema, defaults: Mapping[str, Any]) -> Schema:
    """The same with the operator's defaults in place of ours."""
    return {
        name: {**schema, "default": defaults[name]} if name in defaults else schema for name, schema in params.items()
    }


def _sampling() -> Schema:
    return {
        "sampler": {"enum": [*SAMPLERS], "default": "euler", "description": "How each step is taken."},
        "scheduler": {"enum": [*SCHEDULERS], "default": "discrete", "description": "Where the steps lie."},
        "flow_shift": _number(
            "Moves steps to the noisy end; by default 3 up to 832x480 pixels, 5 above.", 0, 100, above=True
        ),
        "eta": _number("New noise in each step, for the samplers that add some; by default their own.", 0, 1),
    }


def _caching() -> Schema:
    return {
        "cache_mode": {
            "enum": [*CACHES],
            "default": "disabled",
            "description": "Leave out work whose result has hardly changed: faster, less exact.",
        },
        "cache_threshold": _number(
            "For easycache, dbcache and cache-dit: how much change is too much; by default the mode's own.", 0, 100
        ),
        "cache_start": _number("For easycache: the part of the steps after which it works; by default 0.15.", 0, 1),
        "cache_end": _number("For easycache: the part of the steps after which it ends; by default 0.95.", 0, 1),
    }


def _tiling() -> Schema:
    return {
        "vae_tiling": {
            "type": ["boolean", "string"],
            "enum": [True, False, "auto"],
            "default": "auto",
            "description": "Decode in tiles: less memory, more time. By default where the whole would take over 4 GiB.",
        },
        "vae_tile_size": {
            "type": "integer",
            "minimum": 4,
            "maximum": 512,
            "description": "A tile's side in latent pixels (8 pixels each); by default 32.",
        },
    }


def _two_models() -> Schema:
    return {
        "high_noise_step": {
            "type": "integer",
            "minimum": 1,
            "maximum": 200,
            "description": "How many of the steps the high noise half makes; by default as moe_boundary says.",
        },
        "high_noise_cfg_scale": _number("Guidance of the high noise half; by default cfg_scale.", 0, 50),
        "high_noise_sampler": {"enum": [*SAMPLERS], "description": "Its sampler; by default the other one's."},
        "moe_boundary": _number("The noise at which the halves change over.", 0, 1, above=True, default=0.875),
    }


def _loras(names: Sequence[str], *, high_noise: bool) -> Schema:
    properties: Schema = {
        "name": {"enum": [*names]},
        "scale": _number("Its strength.", -5, 5, default=1.0),
    }
    if high_noise:
        properties["high_noise"] = {"type": "boolean", "default": False, "description": "For the high noise half."}
    return {
        "type": "array",
        "maxItems": MAX_LORAS,
        "items": {
            "type": "object",
            "properties": properties,
            "required": ["name"],
            "additionalProperties": False,
        },
        "description": "Those of the operator's LoRA folder to apply, several at once.",
    }


def _number(
    description: str, minimum: float, maximum: float, *, above: bool = False, default: float | None = None
) -> Schema:
    schema: Schema = {"type": "number", "maximum": maximum, "description": description}
    schema["exclusiveMinimum" if above else "minimum"] = minimum
    return schema if default is None else {**schema, "default": default}
