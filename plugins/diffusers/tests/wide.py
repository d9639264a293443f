"""A Wan whose transformer is wide enough for blocks of 32 weights, and its weights as single files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from videoapi import ModelFile
from videoapi_diffusers import load
from videoapi_diffusers.plugin import build_spec

WIDE = {"attention_head_dim": 32, "ffn_dim": 128, "freq_dim": 32}


def save_wide(folder: Path, **others: Any) -> Path:
    """A WanPipeline's folder; `others` are further arguments of its constructor."""
    import torch
    from diffusers import WanPipeline

    from plugins.diffusers.tests.tiny import wan

    torch.manual_seed(0)
    WanPipeline(**wan.make_components(transformer=wan.make_transformer(**WIDE)), **others).save_pretrained(folder)
    return folder


def read_transformer(folder: Path, name: str = "transformer") -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / name / "diffusion_pytorch_model.safetensors")


def write_safetensors(tensors: dict[str, Any], path: Path) -> Path:
    from safetensors.torch import save_file

    save_file(tensors, path)
    return path


def write_gguf(tensors: dict[str, Any], path: Path, kind: str = "Q8_0") -> Path:
    """Matrices whose rows are whole blocks in `kind`, the rest in float32, as such files are made."""
    import gguf

    writer = gguf.GGUFWriter(path, "wan")
    quantized = gguf.GGMLQuantizationType[kind]
    for name, tensor in tensors.items():
        array = tensor.float().numpy()
        is_quantized = array.ndim == 2 and array.shape[1] % 32 == 0
        data = gguf.quants.quantize(array, quantized) if is_quantized else array
        writer.add_tensor(name, data, raw_dtype=quantized if is_quantized else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read(folder: Path | str, **keys: Any) -> Any:
    """The settings of a model file in that folder's place."""
    beside = Path(folder).parent if Path(folder).is_dir() else Path()
    data = {"parameters": {"model": str(folder)}, "diffusers": keys}
    return build_spec(ModelFile(beside / "wan.yaml", {"name": "wan", "backend": "diffusers", **data}))


def load_as(folder: Path, dtype: str | None = None, **keys: Any) -> Any:
    """diffusers' pipeline, as a model file with these keys has it loaded."""
    return load(**{**read(folder, **keys).settings, "dtype": dtype}).pipeline


def make(pipeline: Any, make_request: Any, progress: Any) -> Any:
    """The frames of a video, as numbers from 0 to 255."""
    from videoapi_diffusers.running.pipeline import DiffusersPipeline

    return np.stack(list(DiffusersPipeline(pipeline).generate(make_request(), progress()).frames)).astype(float)
