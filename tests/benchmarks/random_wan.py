"""A folder of Wan 2.1 with random weights at a released model's true shapes, or at tiny ones for a CPU.

The blocks are set up so that the denoiser behaves a little like a trained one: what each adds to the tokens is small
beside them and changes smoothly with the time, and what it predicts has the size of the noise. It makes no pictures:
how much two videos differ, and how much a cache leaves out, is another thing with trained weights.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from safetensors.torch import save_file
from transformers import UMT5Config, UMT5EncoderModel

from plugins.diffusers.tests.tiny.parts import VOCABULARY, make_tokenizer, make_wan_vae
from plugins.diffusers.tests.tiny.wan import make_scheduler

SHARD_BYTES = 4 * 2**30
# Of the part of a block's scales, shifts and gates that comes from the time.
MODULATION = 0.1
# Of the columns of an embedding of the time, from the fastest wave on, those that turn more than once in all steps: a
# trained network passes them over where it denoises.
FAST = 0.55
GATES = [2, 5]
"""Of the six rows of a block's table; the others are shifts and scales."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A model's configuration, where it is not diffusers' own default, and the video that it is asked for."""

    transformer: Mapping[str, Any] = field(default_factory=dict)
    text: Mapping[str, Any] = field(
        default_factory=lambda: {"d_model": 4096, "d_kv": 64, "d_ff": 1024, "num_layers": 2, "num_heads": 8}
    )
    """Of a text encoder as wide as the true one, whose 11 GB would be random numbers for nothing."""
    has_true_vae: bool = True
    width: int = 832
    height: int = 480
    num_frames: int = 81
    steps: int = 20


SHAPES: Mapping[str, Shape] = {
    "tiny": Shape(
        transformer={
            "num_attention_heads": 2,
            "attention_head_dim": 24,
            "text_dim": 64,
            "freq_dim": 32,
            "ffn_dim": 128,
            "num_layers": 4,
            "rope_max_seq_len": 64,
        },
        text={"d_model": 64, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 4},
        has_true_vae=False,
        width=96,
        height=64,
        num_frames=9,
    ),
    "wan-1.3b": Shape(transformer={"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}),
    "wan-14b": Shape(steps=8),
}


def write(folder: Path, name: str, device: str) -> None:
    """Made on the device, in bfloat16, which is slow on a CPU and float32 there; a folder that is there is kept."""
    index = folder / "model_index.json"
    if index.exists():
        return
    shape, dtype = SHAPES[name], torch.float32 if device == "cpu" else torch.bfloat16
    torch.manual_seed(0)
    with torch.device("meta"):
        transformer = WanTransformer3DModel(**shape.transformer)
    _write_transformer(transformer, folder / "transformer", torch.device(device), dtype)
    parts = {
        "tokenizer": make_tokenizer(),
        "text_encoder": UMT5EncoderModel(UMT5Config(vocab_size=VOCABULARY, **shape.text)).to(dtype),
        "vae": AutoencoderKLWan() if shape.has_true_vae else make_wan_vae(),
        "scheduler": make_scheduler(),
    }
    for part, made in parts.items():
        made.save_pretrained(folder / part)
    # The last file to be there.
    WanPipeline(**parts, transformer=transformer).save_config(folder)


def _write_transformer(transformer: Any, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
    """In files of a few GiB, one in memory at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    transformer.save_config(folder)
    shards: list[dict[str, torch.Size]] = [{}]
    size = 0
    for name, tensor in transformer.state_dict().items():
        if size > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = tensor.shape
        size += tensor.numel() * dtype.itemsize
    stem, layers = "diffusion_pytorch_model", transformer.config.num_layers
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        part = f"-{number:05}-of-{len(shards):05}" if len(shards) > 1 else ""
        file = f"{stem}{part}.safetensors"
        made = {name: _draw(name, shape, layers, device).to(dtype).cpu() for name, shape in shard.items()}
        save_file(made, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(made, file)
    if len(shards) > 1:
        index = {"metadata": {}, "weight_map": places}
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index))


def _draw(name: str, shape: torch.Size, layers: int, device: torch.device) -> torch.Tensor:
    """A layer's output has the variance of its input; what the blocks add to the tokens, together about theirs."""
    share = 1 / math.sqrt(layers)
    if name.endswith("scale_shift_table"):
        table = torch.zeros(shape, device=device)
        if shape[1] == 6:
            table[:, GATES] = torch.randn(shape, device=device)[:, GATES] * share
        return table
    if len(shape) < 2:
        return torch.full(shape, 1.0 if name.endswith(".weight") else 0.0, device=device)
    drawn = torch.randn(shape, device=device) / math.sqrt(math.prod(shape[1:]))
    if "time_embedder.linear_1" in name:
        half = shape[1] // 2
        return drawn * (torch.arange(shape[1], device=device) % half >= FAST * half) / math.sqrt(1 - FAST)
    scale = MODULATION if "time_proj" in name else share if "attn2.to_out" in name else 1.0
    return drawn * scale
