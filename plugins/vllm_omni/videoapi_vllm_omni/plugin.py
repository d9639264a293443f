"""The plugin: a model for each model file with `backend: vllm-omni`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from videoapi import ModelError, ModelFile, ModelSpec, Pipeline, hookimpl
from videoapi_vllm_omni.engine import TESTED_VERSION, Engine
from videoapi_vllm_omni.served import find_command, find_version
from videoapi_vllm_omni.spec import build_spec


@hookimpl
def register_models(register: Callable[[ModelSpec], None], configs: Sequence[ModelFile]) -> None:
    for config in configs:
        register(build_spec(config))


@hookimpl
def load_model(spec: ModelSpec) -> Pipeline:
    from videoapi_vllm_omni.loading import load

    return load(**spec.settings)


@hookimpl
def check_model(spec: ModelSpec) -> str:
    settings = spec.settings
    if "serve" in settings:
        # It is started by the first request; what can be known before is that it is there.
        try:
            find_command(settings["serve"])
        except ModelError as error:
            return error.message
        return ""
    with contextlib.closing(Engine(settings["url"], settings["api_key"])) as engine:
        return engine.why_unavailable(settings["model"])


@hookimpl
def inspect_model(spec: ModelSpec) -> Sequence[str]:
    settings = spec.settings
    if "serve" in settings:
        version = find_version(settings["serve"])
    else:
        with contextlib.closing(Engine(settings["url"], settings["api_key"])) as engine:
            version = engine.version()
    if version in ("", TESTED_VERSION):
        return ()
    return [f"its engine is vllm-omni {version}; {TESTED_VERSION} is the one that was tested."]
