"""LoRAs: small weights beside a model's own, each under a name that requests weigh it by."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from videoapi import ModelError, ModelFile
from videoapi_diffusers.weights.asked import read_revision
from videoapi_diffusers.weights.hub import download_file
from videoapi_diffusers.words import describe_failure

KEY = "diffusers.loras"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
SUFFIX = ".safetensors"
MAX_SCALE = 4
COMPONENTS = {
    "transformer": ["transformer"],
    "transformer_2": ["transformer_2"],
    "both": ["transformer", "transformer_2"],
}
# The first half of each layer's pair, in the formats that diffusers converts to.
PAIR = re.compile(r"lora_A\b|lora[._]down|lokr_w1")
NO_LAYER = "LoRA '{name}' fits no layer of this model; it was made for another one."
FAILURES = (OSError, ValueError, RuntimeError, LookupError, AttributeError, TypeError)


def read(config: ModelFile) -> dict[str, dict[str, Any]]:
    """The LoRAs by name: where each is, its scale and the components that it goes into."""
    found: dict[str, dict[str, Any]] = {}
    for key, name, lora in [*_read_named(config), *_read_localai(config)]:
        if not NAME.fullmatch(name):
            raise config.error(key, f"has a name that is not of letters, digits, '-' and '_': {name!r}")
        if name in found:
            raise config.error(key, f"is the second LoRA with the name '{name}'")
        if not -MAX_SCALE <= lora["scale"] <= MAX_SCALE:
            raise config.error(key, f"must be scaled by -{MAX_SCALE} to {MAX_SCALE}, not {lora['scale']:g}")
        found[name] = lora
    if found and find_spec("peft") is None:
        raise config.error(KEY, "needs what is not installed here: pip install peft")
    return found


def make_params(wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The schema of a request's weights: by name, 0 for off."""
    weight = {"type": "number", "minimum": -MAX_SCALE, "maximum": MAX_SCALE}
    return {
        "loras": {
            "type": "object",
            "properties": dict.fromkeys(wanted, weight),
            "additionalProperties": False,
            "default": find_scales(wanted),
            "description": "The weight of each LoRA; 0 is off.",
        }
    }


def find_scales(wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The file's scale of each."""
    return {name: lora["scale"] for name, lora in wanted.items()}


def apply(pipeline: Any, wanted: Mapping[str, Mapping[str, Any]]) -> None:
    if not takes_loras(pipeline):
        raise ModelError(f"{type(pipeline).__name__} takes no LoRA in the installed diffusers.")
    for name, lora in wanted.items():
        for component in lora["components"]:
            _load(pipeline, name, lora, component)


def takes_loras(pipeline: Any) -> bool:
    """Some pipelines have the method, and a denoiser without."""
    parts = [getattr(pipeline, part, None) for part in getattr(pipeline, "_lora_loadable_modules", ())]
    return any(hasattr(part, "load_lora_adapter") for part in parts)


def _read_named(config: ModelFile) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(key, name, LoRA) for each of `diffusers.loras`."""
    for name in config.names(KEY):
        key = f"{KEY}.{name}"
        model = config.get(f"{key}.model", str, "")
        file = config.get(f"{key}.file", str, "")
        if not model:
            raise config.error(f"{key}.model", "must be a file, a folder or a hub id")
        component = config.get(f"{key}.component", str, "transformer")
        if component not in COMPONENTS:
            raise config.error(f"{key}.component", f"must be one of {', '.join(COMPONENTS)}, not {component!r}")
        is_local = _is_path(config, model)
        if not is_local and not file:
            raise config.error(f"{key}.file", f"is needed: the {SUFFIX} file in {model}")
        if file and (Path(file).is_absolute() or ".." in Path(file).parts):
            raise config.error(f"{key}.file", f"must be inside of the model's folder: {file}")
        revision = read_revision(config, f"{key}.revision", is_local=is_local)
        place: Mapping[str, Any] = {"repo": model, "file": file, "revision": revision}
        if is_local:
            place = _find_local(config, f"{key}.model", model, file)
        _check_suffix(config, f"{key}.file" if file else f"{key}.model", place["file"])
        lora = {
            **place,
            "scale": config.get(f"{key}.scale", float, 1.0),
            "components": COMPONENTS[component],
        }
        yield key, name, lora


def _read_localai(config: ModelFile) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(key, name, LoRA) for LocalAI's own keys; a name is that of the file."""
    single = config.get("lora_adapter", str, "")
    if single:
        yield _make_localai(config, "lora_adapter", single, config.get("lora_scale", float, 1.0))
    models: list[Any] = config.get("lora_adapters", list, [])
    scales: list[Any] = config.get("lora_scales", list, [])
    if scales and len(scales) != len(models):
        raise config.error("lora_scales", f"must be as many as lora_adapters: {len(models)}, not {len(scales)}")
    for model, scale in zip(models, scales or [1.0] * len(models), strict=True):
        if not isinstance(model, str) or isinstance(scale, bool) or not isinstance(scale, (int, float)):
            raise config.error("lora_adapters", "must be a list of files, and lora_scales one of numbers")
        yield _make_localai(config, "lora_adapters", model, float(scale))


def _make_localai(config: ModelFile, key: str, model: str, scale: float) -> tuple[str, str, dict[str, Any]]:
    place = _find_local(config, key, model, "")
    _check_suffix(config, key, place["file"])
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(model).name.removesuffix(SUFFIX))
    return key, name, {**place, "scale": scale, "components": COMPONENTS["transformer"]}


def _is_path(config: ModelFile, model: str) -> bool:
    path = Path(model).expanduser()
    return not HUB_ID.fullmatch(model) or path.suffix == SUFFIX or (config.path.parent / path).exists()


def _find_local(config: ModelFile, key: str, model: str, file: str) -> dict[str, str]:
    """The folder and the file in it, relative to the model file. Raises ConfigurationError where they are not there."""
    path = config.path.parent.resolve() / Path(model).expanduser()
    if file:
        path = path / file
    elif path.is_dir():
        files = sorted(path.glob(f"*{SUFFIX}"))
        if len(files) != 1:
            raise config.error(key, f"is a folder with {len(files)} {SUFFIX} files; 'file' says which: {model}")
        path = files[0]
    if not path.is_file():
        raise config.error(key, f"is not there: {model if not file else f'{model}/{file}'}")
    return {"folder": str(path.parent), "file": path.name}


def _check_suffix(config: ModelFile, key: str, file: str) -> None:
    if not file.endswith(SUFFIX):
        raise config.error(key, f"must be a {SUFFIX} file, not {Path(file).name}: other formats can run code")


def _load(pipeline: Any, name: str, lora: Mapping[str, Any], component: str) -> None:
    """Load one into one component. Raises ModelError where a layer of it has none in the model to go with."""
    from safetensors import SafetensorError

    path = _find_file(lora)
    place = {"weight_name": path.name, "use_safetensors": True, "local_files_only": True}
    options = {"load_into_transformer_2": True} if component == "transformer_2" else {}
    if options and getattr(pipeline, component, None) is None:
        raise ModelError(f"LoRA '{name}' is for transformer_2, which this model does not have.")
    before = count_layers(pipeline, name)
    try:
        # What peft says of layers that it leaves out is counted below.
        with warnings.catch_warnings(action="ignore"):
            weights = pipeline.lora_state_dict(str(path.parent), **place)
            pipeline.load_lora_weights(str(path.parent), adapter_name=name, **place, **options)
    except (*FAILURES, SafetensorError) as error:
        if str(error).startswith("Target modules"):
            raise ModelError(NO_LAYER.format(name=name)) from error
        raise ModelError(f"LoRA '{name}' cannot be loaded: {describe_failure(error, str(path.parent))}") from error
    # Some bring the scales of their layers too.
    names = weights[0] if isinstance(weights, tuple) else weights
    expected = sum(1 for key in names if PAIR.search(key))
    loaded = count_layers(pipeline, name) - before
    if not loaded:
        raise ModelError(NO_LAYER.format(name=name))
    if loaded < expected:
        absent = f"{expected - loaded} of its {expected} layers are not in this one"
        raise ModelError(f"LoRA '{name}' was made for another model: {absent}.")


def _find_file(lora: Mapping[str, Any]) -> Path:
    """On this machine, downloaded where it has to be. Raises ModelError."""
    if "repo" in lora:
        return download_file(lora["repo"], lora["file"], lora["revision"])
    return Path(lora["folder"], lora["file"])


def count_layers(pipeline: Any, name: str) -> int:
    """The layers of the pipeline that have a LoRA of that name."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    parts = [getattr(pipeline, part, None) for part in pipeline._lora_loadable_modules]
    layers = [layer for part in parts if part is not None for layer in part.modules()]
    return sum(
        1
        for layer in layers
        if isinstance(layer, BaseTunerLayer)
        and any(name in getattr(layer, group, {}) for group in layer.adapter_layer_names)
    )
