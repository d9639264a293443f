"""The plugin: a model for each model file with `backend: vllm-omni`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from videoapi import Limits, ModelFile, ModelSpec, Pipeline, hookimpl
from videoapi_vllm_omni.engine import Engine
from videoapi_vllm_omni.families import FAMILIES, Family, find_family

# The engine's own.
LIMITS = Limits(max_steps=200, max_guidance_scale=20.0, max_frames=1000)
PARAMS: Mapping[str, Mapping[str, Any]] = {
    "flow_shift": {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
    "boundary_ratio": {"type": "number", "minimum": 0, "maximum": 1},
    "guidance_scale_2": {"type": "number", "minimum": 0, "maximum": 20},
}


@hookimpl
def register_models(register: Callable[[ModelSpec], None], configs: Sequence[ModelFile]) -> None:
    for config in configs:
        register(build_spec(config))


@hookimpl
def load_model(spec: ModelSpec) -> Pipeline:
    from videoapi_vllm_omni.pipeline import load

    return load(**spec.settings)


@hookimpl
def check_model(spec: ModelSpec) -> str:
    engine = Engine(spec.settings["url"], spec.settings["api_key"])
    try:
        return engine.why_unavailable(spec.settings["model"])
    finally:
        engine.close()


def build_spec(config: ModelFile) -> ModelSpec:
    """The spec of one model file. Raises ConfigurationError for one that names no server or no known pipeline."""
    family = _find_family(config)
    loras = _find_loras(config)
    return ModelSpec(
        name=config.name,
        modes=family.modes,
        defaults=family.defaults,
        limits=LIMITS,
        size_multiple=family.size_multiple,
        frame_grid=family.frame_grid,
        params={**PARAMS, **({"lora": _lora_schema(loras)} if loras else {})},
        settings={
            "url": _find_url(config),
            "api_key": _find_key(config),
            "model": config.get("vllm_omni.model", str, ""),
            "loras": loras,
        },
    )


def _find_url(config: ModelFile) -> str:
    url = config.get("vllm_omni.url", str, "")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise config.error("vllm_omni.url", "must be the address of a vLLM-Omni server, such as http://gpu:8000")
    return url.removesuffix("/").removesuffix("/v1")


def _find_key(config: ModelFile) -> str:
    """From the file, or from the environment's variable that the file names."""
    variable = config.get("vllm_omni.api_key_env", str, "")
    if variable and variable not in os.environ:
        raise config.error("vllm_omni.api_key_env", f"names {variable}, which is not set")
    return os.environ[variable] if variable else config.get("vllm_omni.api_key", str, "")


def _find_family(config: ModelFile) -> Family:
    """By the pipeline's class where the file names it, else by what the engine serves."""
    name = config.get("diffusers.pipeline_type", str, "")
    family = FAMILIES.get(name) if name else find_family(config.get("parameters.model", str, ""))
    if family is None:
        known = ", ".join(FAMILIES)
        raise config.error("diffusers.pipeline_type", f"is needed, for the engine does not say it; one of: {known}")
    return family


def _find_loras(config: ModelFile) -> dict[str, str]:
    """The operator's LoRAs by name: paths on the engine's machine."""
    loras = {}
    for entry in config.get("vllm_omni.loras", list, []):
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("name", "path")):
            raise config.error("vllm_omni.loras", "must be a list of {name: ..., path: ...}")
        loras[entry["name"]] = entry["path"]
    return loras


def _lora_schema(loras: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"enum": sorted(loras)},
            "scale": {"type": "number", "minimum": -5, "maximum": 5, "default": 1.0},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
