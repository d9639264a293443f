"""Whether a LoRA fits a model. The library aborts on one of another size, and leaves out what it does not know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from videoapi_stablediffusion.headers import BadWeights, Tensor, read_header

PREFIX = re.compile(
    r"^(?:lora_unet_|lora_transformer_|model\.diffusion_model\.|diffusion_model\.|transformer\.|unet\.)"
)
# The half of a LoRA that meets the layer's input, and the kinds of file that have others.
DOWN = re.compile(r"[._]lora[._](?:A|down)(?:\.default)?\.weight$")
OTHER = re.compile(r"\.(?:diff|diff_b|hada_w1_a|lokr_w1(?:_a)?)$")

Layers = Mapping[str, int]
"""The inputs of each of a model's layers."""


def find_layers(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """The inputs of each linear layer, by its name with underscores for dots, as some LoRAs have it."""
    return {
        _plain(name.removesuffix(".weight")): tensor.shape[-1]
        for name, tensor in tensors.items()
        if name.endswith(".weight") and len(tensor.shape) == 2
    }


def check_lora(path: Path, layers: Layers) -> str:
    """Why a LoRA's file cannot be used with a model of those layers; empty when it can."""
    try:
        tensors = read_header(path)
    except BadWeights as error:
        return str(error)
    inputs = {
        _plain(DOWN.sub("", name)): tensor.shape[-1]
        for name, tensor in tensors.items()
        if DOWN.search(name) and len(tensor.shape) == 2
    }
    if not inputs:
        return "" if any(OTHER.search(name) for name in tensors) else "is no LoRA"
    known = {name: width for name, width in inputs.items() if name in layers}
    if not known:
        return "is a LoRA for another kind of model: none of its layers is in this one"
    wrong = next((name for name, width in known.items() if width != layers[name]), None)
    if wrong is not None:
        return (
            f"is a LoRA for a model of another size: {wrong} has {layers[wrong]} inputs here, and {known[wrong]} there"
        )
    return ""


def _plain(name: str) -> str:
    return PREFIX.sub("", name).replace(".", "_")
