"""What a model file says of a vLLM-Omni model, as a spec."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args
from urllib.parse import urlsplit

from videoapi import FrameGrid, Limits, Mode, ModelFile, ModelSpec
from videoapi_vllm_omni.families import FAMILIES, Family, find_boundary_ratio, find_family

# The engine's own.
LIMITS = Limits(max_steps=200, max_guidance_scale=20.0, max_frames=1000)
PARAMS: Mapping[str, Mapping[str, Any]] = {
    "flow_shift": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 100,
        "description": "Moves steps to the noisy end.",
    },
    "boundary_ratio": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "The noise at which the expert for high noise hands over to the other.",
    },
    "guidance_scale_2": {
        "type": "number",
        "minimum": 0,
        "maximum": 20,
        "description": "Guidance of the expert for low noise; by default cfg_scale.",
    },
}
# Of the server's options, those that are chosen here.
OURS = ("--host", "--port", "--api-key", "--served-model-name", "--omni", "--uds")
GRID = re.compile(r"(\d+)k(?:\+(\d+))?")


def build_spec(config: ModelFile) -> ModelSpec:
    """The spec of one model file. Raises ConfigurationError for one that names no server or no known pipeline."""
    model = config.get("parameters.model", str, "")
    family = _find_family(config, model)
    loras = _find_loras(config)
    extra = _find_extra(config)
    return ModelSpec(
        name=config.name,
        modes=family.modes,
        defaults=family.defaults,
        limits=LIMITS,
        size_multiple=family.size_multiple,
        frame_grid=family.frame_grid,
        params={**_params(family, model), **({"lora": _lora_schema(loras)} if loras else {}), **extra},
        settings={"loras": loras, "extra": sorted(extra), **_find_engine(config, model)},
    )


def _find_engine(config: ModelFile, model: str) -> dict[str, Any]:
    """A running server's address, or how to start one."""
    name, serve = config.get("vllm_omni.model", str, ""), config.get("vllm_omni.serve", str, "")
    if not serve:
        return {"url": _find_url(config), "api_key": _find_key(config), "model": name}
    if config.get("vllm_omni.url", str, ""):
        raise config.error("vllm_omni.serve", "starts a server, and 'vllm_omni.url' is one that runs; choose one")
    if not model:
        raise config.error("parameters.model", "must be the folder or the hub id of the model to serve")
    arguments = _texts(config, "vllm_omni.arguments")
    if taken := [word for word in arguments if word.partition("=")[0].replace("_", "-") in OURS]:
        raise config.error("vllm_omni.arguments", f"cannot have {taken[0]}, which is chosen here")
    variables = _texts(config, "vllm_omni.environment")
    if wrong := [word for word in variables if "=" not in word or word.startswith("VLLM_API_KEY=")]:
        raise config.error("vllm_omni.environment", f"must be a list of NAME=value, without the key; not {wrong[0]}")
    return {
        "serve": serve,
        "arguments": [model, "--omni", "--served-model-name", name or config.name, *arguments],
        "environment": dict(word.partition("=")[::2] for word in variables),
        "kill_on_cancel": config.get("vllm_omni.kill_on_cancel", bool, False),
        "model": name or config.name,
    }


def _texts(config: ModelFile, key: str) -> list[str]:
    words = config.get(key, list, [])
    if not all(isinstance(word, str) for word in words):
        raise config.error(key, 'must be a list of texts; numbers too are written as "2"')
    return words


def _find_url(config: ModelFile) -> str:
    url = config.get("vllm_omni.url", str, "")
    if not _is_address(url):
        raise config.error(
            "vllm_omni.url",
            "must be the address of a vLLM-Omni server, such as http://gpu:8000, unless 'vllm_omni.serve' starts one",
        )
    return url.removesuffix("/").removesuffix("/v1")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _find_key(config: ModelFile) -> str:
    """From the file, or from the environment's variable that the file names."""
    variable = config.get("vllm_omni.api_key_env", str, "")
    if variable and variable not in os.environ:
        raise config.error("vllm_omni.api_key_env", f"names {variable}, which is not set")
    return os.environ[variable] if variable else config.get("vllm_omni.api_key", str, "")


def _find_family(config: ModelFile, model: str) -> Family:
    """By the pipeline's class where the file names it, else by what the engine serves; the file has the last word."""
    name = config.get("diffusers.pipeline_type", str, "")
    family = FAMILIES.get(name) if name else find_family(model)
    modes = _texts(config, "vllm_omni.modes")
    if wrong := sorted({*modes} - {*get_args(Mode)} | {*modes} & {"clip"}):
        raise config.error("vllm_omni.modes", f"has '{wrong[0]}'; there are text, first_frame, first_and_last_frame")
    if family is None and not modes:
        problem = "is needed, for the engine does not say what it takes"
        raise config.error(
            "diffusers.pipeline_type", f"{problem}; one of: {', '.join(FAMILIES)}; or say it with 'vllm_omni.modes'"
        )
    family = family or Family(modes=frozenset())
    grid = config.get("vllm_omni.frame_grid", str, "")
    match = GRID.fullmatch(grid)
    if grid and match is None:
        raise config.error("vllm_omni.frame_grid", f"must be like 4k+1, not {grid}")
    return replace(
        family,
        modes=frozenset(mode for mode in get_args(Mode) if mode in modes) or family.modes,
        size_multiple=config.get("vllm_omni.size_multiple", int, family.size_multiple),
        frame_grid=FrameGrid(step=int(match[1]), offset=int(match[2] or 0)) if match else family.frame_grid,
    )


def _params(family: Family, model: str) -> dict[str, Mapping[str, Any]]:
    """Those that the family reads. The engine does not know a model's own boundary between its experts: it is told."""
    params = {name: schema for name, schema in PARAMS.items() if name in family.params}
    if "boundary_ratio" in params and (ratio := find_boundary_ratio(model)) is not None:
        params["boundary_ratio"] = {**params["boundary_ratio"], "default": ratio}
    return params


def _find_extra(config: ModelFile) -> dict[str, dict[str, Any]]:
    """What the operator lets clients send among the engine's `extra_params`: a JSON Schema by name."""
    extra = {}
    for entry in config.get("vllm_omni.extra_params", list, []):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise config.error("vllm_omni.extra_params", "must be a list of {name: ..., and a JSON Schema}")
        if entry["name"] in (*PARAMS, "lora"):
            raise config.error("vllm_omni.extra_params", f"cannot have {entry['name']}, which is a field of its own")
        extra[entry["name"]] = {key: value for key, value in entry.items() if key != "name"}
    return extra


def _find_loras(config: ModelFile) -> dict[str, str]:
    """The operator's LoRAs by name: paths on the engine's machine."""
    loras = {}
    for entry in config.get("vllm_omni.loras", list, []):
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("name", "path")):
            raise config.error("vllm_omni.loras", "must be a list of {name: ..., path: ...}")
        if entry["name"] in loras:
            raise config.error("vllm_omni.loras", f"has two of the name {entry['name']}")
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
        "description": "One of the operator's LoRAs to apply.",
    }
