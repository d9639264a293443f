"""The plugin: a model for each model file with `backend: diffusers`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from videoapi import ModelFile, ModelSpec, Pipeline, hookimpl
from videoapi_diffusers.families import FAMILIES
from videoapi_diffusers.source import Source

DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}


@hookimpl
def register_models(register: Callable[[ModelSpec], None], configs: Sequence[ModelFile]) -> None:
    for config in configs:
        register(build_spec(config))


@hookimpl
def load_model(spec: ModelSpec) -> Pipeline:
    from videoapi_diffusers.loading import load

    return load(**spec.settings)


def build_spec(config: ModelFile) -> ModelSpec:
    """The spec of one model file, from the pipeline's class and the components' configurations.

    Raises ConfigurationError for a file that names no model, or a pipeline that this plugin does not know.
    """
    name = config.get("parameters.model", str, "")
    if not name:
        raise config.error("parameters.model", "must be a diffusers folder or a hub id")
    source = Source(name)
    if Path(name).is_absolute() and not source.is_local:
        raise config.error("parameters.model", f"is not a folder: {name}")
    index = source.read_index()
    if source.is_local and index is None:
        raise config.error("parameters.model", "is a folder without a readable model_index.json")
    pipeline_class = config.get("diffusers.pipeline_type", str, str((index or {}).get("_class_name", "")))
    if not pipeline_class:
        known = ", ".join(FAMILIES)
        raise config.error("diffusers.pipeline_type", f"is needed until the model is downloaded; one of: {known}")
    family = FAMILIES.get(pipeline_class)
    if family is None:
        raise config.error("diffusers.pipeline_type", f"'{pipeline_class}' is not one of: {', '.join(FAMILIES)}")
    configs = source.read_configs()
    path = str(source.folder) if source.is_local else name
    return ModelSpec(
        name=config.name,
        modes=family.find_modes(configs),
        defaults=family.defaults,
        size_multiple=family.find_size_multiple(configs),
        frame_grid=family.frame_grid,
        settings={"source": path, "pipeline_class": pipeline_class, "dtype": _find_dtype(config)},
    )


def _find_dtype(config: ModelFile) -> str | None:
    """torch's name of the precision that the file asks for; None leaves it to the device."""
    half = config.get("f16", bool, False)
    option = config.option("torch_dtype", "fp16" if half else "")
    if not option:
        return None
    if option not in DTYPES:
        raise config.error("options.torch_dtype", f"must be one of {', '.join(DTYPES)}, not {option!r}")
    return DTYPES[option]
