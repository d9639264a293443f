"""A component whose weights are one file of their own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoapi import ModelError
from videoapi_diffusers.weights.hub import download_file
from videoapi_diffusers.weights.quantization import is_gguf

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

# What the files of other programs call the factors of weights that are scaled into 8 bits.
SCALES = ("scaled_fp8", ".scale_weight", ".weight_scale")


def load_component(file: Mapping[str, Any], name: str, class_name: str, folder: Path, precision: torch.dtype) -> Any:
    """The component `name` of the model in `folder`, which has its configuration, with the weights of `file`.

    Raises ModelError, and what diffusers raises.
    """
    import diffusers

    component_class: Any = getattr(diffusers, class_name, None)
    convert = _find_conversion(component_class)
    if convert is None:
        raise ModelError(f"diffusers cannot load a {class_name} from a single file; leave 'diffusers.{name}' out.")
    path = find_file(file)
    if not is_gguf(file):
        return _load_plain(component_class, convert, path, folder, name, precision)
    try:
        return component_class.from_single_file(
            str(path),
            config=str(folder),
            subfolder=name,
            dtype=precision,
            local_files_only=True,
            quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=precision),
        )
    except NotImplementedError as error:
        # torch's, for weights that were never filled.
        raise ModelError(f"{path.name} is not the whole {name}: it lacks weights.") from error


def find_file(file: Mapping[str, Any]) -> Path:
    """The file of `read_weights` on this machine, downloaded where it has to be. Raises ModelError."""
    if "repo" in file:
        return download_file(file["repo"], file["name"], file["revision"])
    path = Path(file["path"])
    if not path.is_file():
        raise ModelError(f"{path.name} is no longer there.")
    return path


def _find_conversion(component_class: Any) -> Any:
    """diffusers' function from the names in the authors' own files to its own; None for a class without one."""
    import diffusers
    from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

    known = SINGLE_FILE_LOADABLE_CLASSES.items()
    fitting = (entry for name, entry in known if issubclass(component_class or object, getattr(diffusers, name)))
    found: Mapping[str, Any] = next(fitting, {})
    return found.get("checkpoint_mapping_fn")


def _load_plain(component_class: Any, convert: Any, path: Path, folder: Path, name: str, precision: torch.dtype) -> Any:
    """As `from_pretrained` does for a folder.

    `from_single_file` casts everything to the precision, also the norms and the positions that have to stay in float32.
    """
    from accelerate import init_empty_weights
    from safetensors.torch import load_file

    config = component_class.load_config(str(folder), subfolder=name, local_files_only=True)
    with init_empty_weights():
        component = component_class.from_config(config)
    tensors = load_file(path)
    if any(key.endswith(SCALES) for key in tensors):
        raise ModelError(f"{path.name} holds weights scaled into 8 bits, which diffusers does not read.")
    ours = component.state_dict().keys()
    if len(ours & tensors.keys()) < len(ours) / 2:
        tensors = convert(checkpoint=tensors, config=config)
    _cast(tensors, component._keep_in_fp32_modules or (), precision)
    try:
        absent, unexpected = component.load_state_dict(tensors, strict=False, assign=True)
    except RuntimeError as error:
        problem = str(error).strip().splitlines()[-1].strip()
        raise ModelError(f"{path.name} does not fit the model's {name}: {problem}") from error
    if absent:
        raise ModelError(f"{path.name} is not the whole {name}: it lacks {len(absent)} weights, such as {absent[0]}.")
    if unexpected:
        logger.warning("%s: %d weights have no place in the model", path.name, len(unexpected))
    return component.eval()


def _cast(tensors: dict[str, torch.Tensor], kept: Iterable[str], precision: torch.dtype) -> None:
    import torch

    for key, tensor in tensors.items():
        is_kept = not set(kept).isdisjoint(key.split("."))
        tensors[key] = tensor.to(torch.float32 if is_kept else precision)
