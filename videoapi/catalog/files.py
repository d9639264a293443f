"""Reads the folder of model files and lays a file's values over a plugin's spec."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from videoapi.exceptions import ConfigurationError
from videoapi.modelfile import ModelFile
from videoapi.types import Defaults, Limits, ModelSpec

D = TypeVar("D", Defaults, Limits)

# LocalAI's own word for what a model is for. This server makes videos only, so there is nothing to choose.
WITHOUT_EFFECT = ("known_usecases",)


def read_model_files(folder: Path) -> tuple[list[ModelFile], list[ConfigurationError]]:
    """Every `*.yaml` and `*.yml` of the folder in order of name, and what is wrong with those that cannot be read."""
    files: list[ModelFile] = []
    errors: list[ConfigurationError] = []
    paths = [path for path in sorted(folder.glob("*.y*ml")) if path.suffix in (".yaml", ".yml")]
    for path in paths:
        try:
            file = _read(path)
            other = next((other for other in files if other.name == file.name), None)
            if other is not None:
                raise file.error("name", f"is '{file.name}', like that of {other.path.name}")
            files.append(file)
        except ConfigurationError as error:
            errors.append(error)
    return files, errors


def overlay(spec: ModelSpec, file: ModelFile) -> ModelSpec:
    """The spec with the file's values in place of the plugin's."""
    for key in WITHOUT_EFFECT:
        file.get(key, list, [])
    defaults = _replace(spec.defaults, "defaults", file)
    return dataclasses.replace(
        spec,
        aliases=(*spec.aliases, *_names(file)),
        description=file.get("description", str, spec.description),
        defaults=dataclasses.replace(
            defaults,
            num_inference_steps=file.get("step", int, defaults.num_inference_steps),
            guidance_scale=file.get("cfg_scale", float, defaults.guidance_scale),
        ),
        limits=_replace(spec.limits, "limits", file),
    )


def _read(path: Path) -> ModelFile:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path.name}: not readable as YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path.name}: must hold keys and values, such as 'name: wan'.")
    return ModelFile(path, data)


def _names(file: ModelFile) -> list[str]:
    names = file.get("aliases", list, [])
    if not all(isinstance(name, str) and name for name in names):
        raise file.error("aliases", "must be a list of names")
    return names


def _replace(values: D, key: str, file: ModelFile) -> D:
    kinds: dict[str, Any] = get_type_hints(type(values))
    changes = {name: file.get(f"{key}.{name}", kind, getattr(values, name)) for name, kind in kinds.items()}
    try:
        return dataclasses.replace(values, **changes)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file.path.name}: {error.message}", file=file.path.name) from error
