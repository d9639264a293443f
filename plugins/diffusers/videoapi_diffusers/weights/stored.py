"""Loads a pipeline the way its model file says that its weights are stored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoapi import ModelError
from videoapi_diffusers.components import DENOISERS
from videoapi_diffusers.source import Source
from videoapi_diffusers.weights.hub import download_model
from videoapi_diffusers.weights.quantization import find_missing, make_configs
from videoapi_diffusers.weights.selection import select_files
from videoapi_diffusers.weights.single_file import load_component

if TYPE_CHECKING:
    import torch


def find_folder(source: str, revision: str | None, weights: Mapping[str, Any]) -> Path:
    """The model's folder, downloaded where it has to be. Raises ModelError where it cannot be loaded from."""
    missing = find_missing(weights)
    if missing:
        raise ModelError(" ".join(missing))
    local, variant, files = Source(source), weights.get("variant", ""), weights.get("files", {})
    if not local.is_local:
        return download_model(source, revision, variant, files)
    folder = Path(source).expanduser()
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    select_files(paths, local.read_index() or {}, variant, files)
    return folder


def load_stored(
    pipeline_class: Any,
    folder: Path,
    weights: Mapping[str, Any],
    precisions: Mapping[str, torch.dtype],
    device: torch.device,
) -> Any:
    """The pipeline of `folder`, with the files, the variant and the quantization of `read_weights`.

    `precisions` are by component, with a default; `device` is where it will go. Raises ModelError, and what diffusers
    raises.
    """
    import diffusers

    index = Source(str(folder)).read_index() or {}
    quantization, precision = weights.get("quantization", {}), precisions["default"]
    wanted = quantization.get("components", ())
    libraries = {name: index[name][0] for name in wanted if (index.get(name) or [None])[0] is not None}
    # Of denoisers, a model has what it has; not all of the names are known before it is downloaded.
    absent = sorted(set(wanted) - libraries.keys() - set(DENOISERS))
    if absent:
        raise ModelError(f"The model has no {', '.join(absent)} to quantise.")
    configs = make_configs(quantization["scheme"], libraries, precision, device) if quantization else {}
    loaded = {
        name: load_component(file, name, _find_class(index, name), folder, precision)
        for name, file in weights.get("files", {}).items()
    }
    options = {"quantization_config": diffusers.PipelineQuantizationConfig(quant_mapping=configs)} if configs else {}
    return pipeline_class.from_pretrained(
        str(folder),
        dtype=dict(precisions),
        use_safetensors=True,
        local_files_only=True,
        variant=weights.get("variant"),
        **loaded,
        **options,
    )


def _find_class(index: Mapping[str, Any], name: str) -> str:
    entry = index.get(name)
    if not isinstance(entry, list) or entry[0] is None:
        raise ModelError(f"The model has no {name}; leave 'diffusers.{name}' out.")
    return str(entry[1])
