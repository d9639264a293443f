"""The plugin: a model for each model file with `backend: diffusers`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from videoapi import ModelFile, ModelSpec, Pipeline, hookimpl
from videoapi_diffusers import embeddings, placement
from videoapi_diffusers.batching import check_scheduler, read_batch_size
from videoapi_diffusers.changes import read_changes
from videoapi_diffusers.changes.lora import make_params
from videoapi_diffusers.components import SOUND
from videoapi_diffusers.families import find_family
from videoapi_diffusers.inputs import find_modes, find_problem
from videoapi_diffusers.parallel import asked
from videoapi_diffusers.params import find_params
from videoapi_diffusers.quality import find_profiles, find_quality
from videoapi_diffusers.shape import find_frame_grid, find_size_multiple
from videoapi_diffusers.signature import Signature, known_pipelines, read_signature
from videoapi_diffusers.source import Source
from videoapi_diffusers.spec import (
    describe,
    find_defaults,
    find_limits,
    find_native_sizes,
    find_options,
    find_unsupported,
    is_guided_twice,
)
from videoapi_diffusers.weights.asked import read_revision, read_weights
from videoapi_diffusers.weights.quantization import find_missing
from videoapi_diffusers.words import did_you_mean

NEGATIVE = "defaults.negative_prompt"
DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}


TO_BE_TRIED: Mapping[str, Callable[[Any], str]] = {
    "scheduler": lambda wanted: f"the scheduler {wanted['name'] or 'options'}",
    "attention": lambda wanted: f"the attention backend {wanted}",
    "cache": lambda wanted: f"the cache {wanted['name']}",
}


@hookimpl
def register_models(register: Callable[[ModelSpec], None], configs: Sequence[ModelFile]) -> None:
    for config in configs:
        register(build_spec(config))


@hookimpl
def load_model(spec: ModelSpec) -> Pipeline:
    from videoapi_diffusers.loading import load
    from videoapi_diffusers.parallel.leader import load_parallel
    from videoapi_diffusers.running.trying import try_out
    from videoapi_diffusers.running.warming import warm_up

    settings = dict(spec.settings)
    if parallel := settings.pop("parallel", None):
        shared = load_parallel(settings, parallel)
        try:
            try_out(shared, spec, _find_departures(spec))
        except BaseException:
            shared.close()
            raise
        return shared
    pipeline = load(**settings)
    if spec.limits.max_batch_size > 1:
        check_scheduler(pipeline.pipeline.scheduler)
    if compiled := settings["changes"].get("compile"):
        warm_up(pipeline, spec, compiled["warm_up"])
    else:
        try_out(pipeline, spec, _find_departures(spec))
    return pipeline


def _find_departures(spec: ModelSpec) -> list[str]:
    """What the model file has in another way than the folder, which is here: its authors have not tried it."""
    settings, changes = spec.settings, spec.settings["changes"]
    index = Source(settings["source"], settings["revision"]).read_index() or {}
    own, given = index.get("_class_name"), settings["pipeline_class"]
    found = [say(changes[name]) for name, say in TO_BE_TRIED.items() if name in changes]
    return [*([f"the pipeline_type {given} in place of {own}"] if own != given else []), *found]


@hookimpl
def inspect_model(spec: ModelSpec) -> Sequence[str]:
    return find_missing(spec.settings["weights"])


def build_spec(config: ModelFile) -> ModelSpec:
    """The spec of one model file, from the pipeline's signature and the components' configurations.

    Raises ConfigurationError for a file that names no model, or a pipeline that cannot make a video.
    """
    name = config.get("parameters.model", str, "")
    if not name:
        raise config.error("parameters.model", "must be a diffusers folder or a hub id")
    beside = config.path.parent / Path(name).expanduser()
    if beside.is_dir():
        name = str(beside.resolve())
    revision = read_revision(config, "diffusers.revision", is_local=Source(name).is_local)
    source = Source(name, revision)
    if Path(name).is_absolute() and not source.is_local:
        raise config.error("parameters.model", f"is not a folder: {name}")
    signature = _find_signature(config, source)
    configs = source.read_configs()
    changes, placed = read_changes(config), placement.read(config)
    parallel = asked.read(config, changes, placed)
    modes = find_modes(signature, configs)
    if config.get(NEGATIVE, str, "") and is_guided_twice(configs) and "true_cfg_scale" in signature.parameters:
        raise config.error(NEGATIVE, "has no effect on this model unless a request's true_cfg_scale is more than 1")
    if parallel:
        modes = asked.select_modes(config, modes)
    batch_size = read_batch_size(config, modes, is_parallel=bool(parallel))
    classes = dict.fromkeys([signature.name, *modes.values()])
    # A cache would be another one in each of several processes.
    cacheable = () if parallel else classes
    profiles = find_profiles(cacheable, is_batched=batch_size > 1)
    signatures = [each for each in map(read_signature, classes) if each is not None]
    scales = find_family(signature.name).scales
    multiple = math.lcm(
        find_family(signature.name).size_multiple,
        *(find_size_multiple(each, configs, scales) for each in signatures),
    )
    return ModelSpec(
        name=config.name,
        description=describe(signature),
        modes=frozenset(modes),
        defaults=find_defaults(signature, configs, multiple),
        size_multiple=multiple,
        native_sizes=find_native_sizes(signature, configs, multiple),
        audio=not configs.keys().isdisjoint(SOUND),
        limits=find_limits(signature, configs),
        frame_grid=find_family(signature.name).frame_grid or find_frame_grid(configs, scales),
        unsupported=find_unsupported(signatures, configs),
        params={
            **find_params(signatures, find_options(signature, configs)),
            **(make_params(changes["loras"]) if "loras" in changes else {}),
            **find_quality(config, changes, cacheable, profiles, is_batched=batch_size > 1),
        },
        settings={
            "source": str(source.folder) if source.is_local else name,
            "pipeline_class": signature.name,
            "dtype": _find_dtype(config),
            "modes": dict(modes),
            "changes": changes,
            "profiles": profiles,
            "revision": revision,
            "weights": read_weights(config, signature, configs),
            "placement": placed,
            "embeddings": embeddings.read(config),
            **({"parallel": parallel} if parallel else {}),
        },
    )


def _find_signature(config: ModelFile, source: Source) -> Signature:
    """Of the class that the file or the folder names. Raises ConfigurationError when it cannot be served."""
    index = source.read_index()
    if source.is_local and index is None:
        raise config.error("parameters.model", "is a folder without a readable model_index.json")
    key = "diffusers.pipeline_type"
    named = (index or {}).get("_class_name", "")
    if isinstance(named, list):
        raise config.error("parameters.model", "names a pipeline of its own code, which is not run")
    pipeline_class = config.get(key, str, str(named))
    if not pipeline_class:
        raise config.error(key, "is needed until the model is downloaded: the class in its model_index.json")
    signature = read_signature(pipeline_class)
    if signature is None:
        hint = did_you_mean(pipeline_class, known_pipelines())
        raise config.error(key, f"is no pipeline of diffusers {version('diffusers')}: {pipeline_class}{hint}")
    problem = find_problem(signature)
    if problem:
        raise config.error(key, f"cannot be served: {pipeline_class} {problem}")
    missing = [name for name in find_family(pipeline_class).needed if index and not (index.get(name) or [None])[0]]
    if missing:
        raise config.error("parameters.model", f"lacks what a {pipeline_class} needs: {', '.join(missing)}")
    return signature


def _find_dtype(config: ModelFile) -> str | None:
    """torch's name of the precision that the file asks for; None leaves it to the device."""
    half = config.get("f16", bool, False)
    option = config.option("torch_dtype", "fp16" if half else "")
    if not option:
        return None
    if option not in DTYPES:
        raise config.error("options.torch_dtype", f"must be one of {', '.join(DTYPES)}, not {option!r}")
    return DTYPES[option]
