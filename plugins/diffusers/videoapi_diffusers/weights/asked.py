"""What a model file says about where a model's weights come from and how they are stored."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from videoapi import ModelFile
from videoapi_diffusers.components import DENOISERS, TRANSFORMERS
from videoapi_diffusers.shape import Configs
from videoapi_diffusers.signature import Signature
from videoapi_diffusers.weights.quantization import CASTING, SCHEMES, is_gguf
from videoapi_diffusers.words import did_you_mean

# Those that may come from a file of their own: diffusers has no such loader for the UNets of videos.
FROM_FILES = TRANSFORMERS
ENCODERS = ("text_encoder", "image_encoder")
COMPONENTS = "quantized_components"
FORMATS = (".safetensors", ".gguf")


def read_revision(config: ModelFile, key: str, *, is_local: bool) -> str | None:
    """The branch, tag or commit that a key names; None for the newest. Raises ConfigurationError."""
    revision = config.get(key, str, "")
    if revision and is_local:
        raise config.error(key, "is for what is on the hub; what is on this machine has no revisions")
    return revision or None


def read_weights(config: ModelFile, signature: Signature, configs: Configs) -> dict[str, Any]:
    """What `load` is to do about them, as pure data; empty where the folder's weights are loaded as they are.

    Raises ConfigurationError that names the key.
    """
    variant = config.get("diffusers.variant", str, "")
    files = {name: file for name in FROM_FILES if (file := _read_file(config, name, signature, configs))}
    quantization = _read_quantization(config, _find_components(signature, configs), files)
    settings = {"variant": variant, "files": files, "quantization": quantization}
    return {key: value for key, value in settings.items() if value}


def _read_file(config: ModelFile, component: str, signature: Signature, configs: Configs) -> dict[str, Any]:
    """Where the component's own file is: `path`, or `repo`, `name` and `revision` of the hub."""
    key = f"diffusers.{component}"
    given = config.get(key, str, "")
    if not given:
        return {}
    if component not in _find_components(signature, configs):
        raise config.error(key, f"is given, and the model has no {component}")
    if Path(given).suffix.lower() not in FORMATS:
        raise config.error(key, f"must be safetensors or GGUF, and nothing else is loaded: {given}")
    path = config.path.parent / Path(given).expanduser()
    is_local = path.is_file()
    revision = read_revision(config, f"{key}_revision", is_local=is_local)
    if is_local:
        return {"path": str(path.resolve())}
    parts = given.split("/")
    if len(parts) < 3 or not {"", ".", "..", "~", "https:"}.isdisjoint(parts):
        raise config.error(key, f"is neither a file on this machine nor owner/repository/file on the hub: {given}")
    return {"repo": "/".join(parts[:2]), "name": "/".join(parts[2:]), "revision": revision}


def _read_quantization(config: ModelFile, components: Iterable[str], files: dict[str, Any]) -> dict[str, Any]:
    """The `scheme` and the `components` that it is for; empty where nothing is quantised."""
    key = "diffusers.quantization"
    scheme = config.get(key, str, "")
    if not scheme:
        return {}
    if scheme not in SCHEMES:
        hint = did_you_mean(scheme, SCHEMES) or f"; there are {', '.join(SCHEMES)}"
        raise config.error(key, f"is not known: {scheme}{hint}")
    components = set(components)
    # diffusers quantises what it loads from a folder; fp8 is a cast of what is loaded.
    apart = {name for name, file in files.items() if scheme != CASTING or is_gguf(file)}
    named: list[Any] = config.get(f"diffusers.{COMPONENTS}", list, [])
    chosen = named or [name for name in DENOISERS if name in components - apart]
    if not chosen or not apart.isdisjoint(map(str, chosen)):
        raise config.error(
            key, f"cannot be {scheme} for a single file: GGUF is quantised already, safetensors take fp8"
        )
    possible = sorted(name for name in components if name in DENOISERS or name.startswith(ENCODERS))
    for name in chosen:
        if name not in possible:
            raise config.error(f"diffusers.{COMPONENTS}", f"may name {', '.join(possible)}, not {name!r}")
    return {"scheme": scheme, "components": chosen}


def _find_components(signature: Signature, configs: Configs) -> set[str]:
    """By the folder's index, else what such a pipeline may have."""
    index = configs.get("model_index")
    if index is None:
        return set(signature.components)
    return {name for name, value in index.items() if isinstance(value, list) and value and value[0] is not None}
