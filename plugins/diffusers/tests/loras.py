"""LoRAs with random weights for the tiny Wan pipelines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

RANK = 4
LAYERS = re.compile(r"blocks\.\d+\.attn[12]\.(to_q|to_v|to_out\.0)$")


def make_weights(model: Any, seed: int, prefix: str = "transformer.") -> dict[str, Any]:
    """Pairs A (rank, in) and B (out, rank) for the layers of attention."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, layer in model.named_modules():
        if LAYERS.search(name):
            out_features, in_features = layer.weight.shape
            made[f"{prefix}{name}.lora_A.weight"] = torch.randn(RANK, in_features, generator=generator)
            made[f"{prefix}{name}.lora_B.weight"] = torch.randn(out_features, RANK, generator=generator)
    return made


def write_lora(folder: Path, name: str, weights: dict[str, Any], alpha: float | None = None) -> Path:
    """A file as Wan's own trainers write them where it has an alpha, else one as diffusers writes them."""
    import torch
    from safetensors.torch import save_file

    path = folder / f"{name}.safetensors"
    if alpha is None:
        save_file(weights, path)
        return path
    renamed = {
        key.replace("transformer.blocks", "diffusion_model.blocks")
        .replace("attn1", "self_attn")
        .replace("attn2", "cross_attn")
        .replace("to_out.0", "o")
        .replace("to_", ""): value
        for key, value in weights.items()
    }
    alphas = {key.replace("lora_A.weight", "alpha"): torch.tensor(alpha) for key in renamed if "lora_A" in key}
    save_file({**renamed, **alphas}, path)
    return path


def merge(model: Any, weights: dict[str, Any], factor: float) -> None:
    """W + factor * B @ A, by hand."""
    import torch

    with torch.no_grad():
        for key, down in weights.items():
            if key.endswith("lora_A.weight"):
                up = weights[key.replace("lora_A", "lora_B")]
                layer = model.get_submodule(key.removeprefix("transformer.").removesuffix(".lora_A.weight"))
                layer.weight += factor * up @ down
