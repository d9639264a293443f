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
SCHEDULERS = (
    "discrete",
    "karras",
    "exponential",
    "ays",
    "gits",
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


def build_params(variant: Variant, defaults: Mapping[str, Any], loras: Sequence[str], *, two_models: bool) -> Schema:
    """The schema of every param that this model honours, with the operator's defaults in place of ours."""
    params = {**_sampling(), **_skip_layers(variant), **_caching(), **_tiling()}
    if two_models:
        params |= _two_models()
    if variant.takes_control_frames:
        params["vace_strength"] = _number("How much the control frames count.", 0, 2, default=1.0)
    if loras:
        params["loras"] = _loras(loras, two_models=two_models)
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
        "eta": _number("New noise in each step; by default the sampler's own.", 0, 1),
    }


def _skip_layers(variant: Variant) -> Schema:
    return {
        "slg_scale": _number("Skip-layer guidance; 0 is off.", 0, 20, default=0.0),
        "skip_layers": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": variant.blocks - 1},
            "maxItems": variant.blocks,
            "default": [7, 8, 9],
            "description": "The blocks that skip-layer guidance leaves out.",
        },
        "skip_layer_start": _number("The part of the steps after which it begins.", 0, 1, default=0.01),
        "skip_layer_end": _number("The part of the steps after which it ends.", 0, 1, default=0.2),
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


def _loras(names: Sequence[str], *, two_models: bool) -> Schema:
    properties: Schema = {
        "name": {"enum": [*names]},
        "scale": _number("Its strength.", -5, 5, default=1.0),
    }
    if two_models:
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
