"""Weights that take less memory than they were trained with, by diffusers' own backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from videoapi import ModelError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """One value of `diffusers.quantization`."""

    package: str = ""
    """What it needs installed, by the name that pip knows it by; empty for torch alone."""
    needs_gpu: bool = False
    torchao_class: str = ""
    """Its configuration in torchao."""


CASTING = "fp8"
SCHEMES: Mapping[str, Scheme] = {
    CASTING: Scheme(),
    "bitsandbytes_4bit": Scheme(package="bitsandbytes", needs_gpu=True),
    "bitsandbytes_8bit": Scheme(package="bitsandbytes", needs_gpu=True),
    "torchao_float8wo": Scheme(package="torchao", torchao_class="Float8WeightOnlyConfig"),
    "torchao_int8dq": Scheme(package="torchao", torchao_class="Int8DynamicActivationInt8WeightConfig"),
    "torchao_int8wo": Scheme(package="torchao", torchao_class="Int8WeightOnlyConfig"),
}
"""torchao's are named as it abbreviates them: wo for weights only, dq for activations quantised as they come."""


def find_missing(weights: Mapping[str, Any]) -> list[str]:
    """What the settings of a model's weights need and what is not installed here, a sentence each."""
    needs = {f"diffusers.{name}": "gguf" for name, file in weights.get("files", {}).items() if is_gguf(file)}
    if "quantization" in weights:
        needs["diffusers.quantization"] = SCHEMES[weights["quantization"]["scheme"]].package
    return [
        f"'{key}' needs a package that is not installed here: pip install {package}."
        for key, package in needs.items()
        if package and find_spec(package) is None
    ]


def is_gguf(file: Mapping[str, Any]) -> bool:
    """Of a component's own file, as in the settings."""
    return str(file.get("path") or file["name"]).lower().endswith(".gguf")


def make_configs(
    scheme: str, libraries: Mapping[str, str], precision: torch.dtype, device: torch.device
) -> dict[str, Any]:
    """The quantization config of each component, given each one's library: diffusers or transformers.

    Empty for what is cast after the load. Raises ModelError for a scheme that this machine cannot do.
    """
    if scheme == CASTING:
        return {}
    if SCHEMES[scheme].needs_gpu and device.type == "cpu":
        raise ModelError(
            f"The quantization {scheme} needs a GPU, and this machine has none; fp8 and torchao_int8wo need none."
        )
    return {name: _make_config(scheme, library, precision) for name, library in libraries.items()}


def _make_config(scheme: str, library: str, precision: torch.dtype) -> Any:
    import diffusers
    import transformers

    configs = transformers if library == "transformers" else diffusers
    torchao_class = SCHEMES[scheme].torchao_class
    if torchao_class:
        import torchao.quantization

        return configs.TorchAoConfig(getattr(torchao.quantization, torchao_class)())
    if scheme == "bitsandbytes_8bit":
        return configs.BitsAndBytesConfig(load_in_8bit=True)
    return configs.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=precision)
