"""Weights that take less memory: fp8, torchao, and what bitsandbytes needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.diffusers.tests.wide import load_as, make, read
from videoapi import ModelError
from videoapi_diffusers import load
from videoapi_diffusers.plugin import inspect_model

# Grey values of 255, on average over the frames of a random model, whose standard deviation is 32.
QUANTIZED = {"fp8": 0.1, "torchao_int8wo": 0.1, "torchao_int8dq": 0.2, "torchao_float8wo": 0.5}


@pytest.mark.parametrize(("scheme", "dtype"), [(s, d) for s in QUANTIZED for d in (None, "bfloat16")])
def test_quantised_weights_make_nearly_the_same_video(
    wide_folder: Path, make_request: Any, progress: Any, scheme: str, dtype: str | None
) -> None:
    pipeline = load_as(wide_folder, dtype, quantization=scheme, quantized_components=["transformer", "text_encoder"])
    expected = make(load_as(wide_folder), make_request, progress)
    assert 0 < np.abs(make(pipeline, make_request, progress) - expected).mean() <= QUANTIZED[scheme]


def test_fp8_stores_eight_bits_and_computes_in_the_models_precision(wide_folder: Path) -> None:
    import torch

    pipeline = load_as(wide_folder, "bfloat16", quantization="fp8")
    block = pipeline.transformer.blocks[0]
    assert block.ffn.net[2].weight.dtype == torch.float8_e4m3fn
    assert (pipeline.transformer.dtype, pipeline.text_encoder.dtype) == (torch.bfloat16, torch.bfloat16)
    assert block.norm2.weight.dtype.itemsize > 1
    assert block.ffn.net[2](torch.ones(1, 128, dtype=torch.bfloat16)).dtype == torch.bfloat16
    whole = load_as(wide_folder, "bfloat16").transformer
    assert pipeline.transformer.get_memory_footprint() < 0.8 * whole.get_memory_footprint()


def test_fp8_of_a_text_encoder_leaves_what_t5_asks_for(wide_folder: Path) -> None:
    import torch

    encoder = load_as(wide_folder, quantization="fp8", quantized_components=["text_encoder"]).text_encoder
    block = encoder.encoder.block[0]
    assert block.layer[0].SelfAttention.q.weight.dtype == torch.float8_e4m3fn
    assert {block.layer[1].DenseReluDense.wo.weight.dtype, encoder.shared.weight.dtype} == {torch.float32}


def test_fp8_of_a_single_file(wide_folder: Path, file: Any) -> None:
    import torch

    pipeline = load_as(wide_folder, transformer=str(file("safetensors")), quantization="fp8")
    assert pipeline.transformer.blocks[0].ffn.net[2].weight.dtype == torch.float8_e4m3fn


def test_torchao_stores_integers(wide_folder: Path) -> None:
    import torch

    pipeline = load_as(wide_folder, quantization="torchao_int8wo")
    weight = pipeline.transformer.blocks[0].ffn.net[2].weight
    assert (weight.qdata.dtype, weight.qdata.nbytes) == (torch.int8, weight.numel())
    assert type(pipeline.text_encoder.encoder.block[0].layer[0].SelfAttention.q.weight) is torch.nn.Parameter


def test_both_experts_are_quantised(two_experts: Path) -> None:
    import torch

    pipeline = load_as(two_experts, quantization="fp8")
    for expert in (pipeline.transformer, pipeline.transformer_2):
        assert expert.blocks[0].ffn.net[2].weight.dtype == torch.float8_e4m3fn


@pytest.mark.parametrize(
    ("keys", "key", "package"),
    [
        ({"quantization": "torchao_int8wo"}, "quantization", "torchao"),
        ({"quantization": "bitsandbytes_4bit"}, "quantization", "bitsandbytes"),
        ({"transformer": "owner/name/a.gguf"}, "transformer", "gguf"),
    ],
)
def test_a_missing_package_is_a_finding_and_an_error_of_the_load(
    wide_folder: Path, monkeypatch: pytest.MonkeyPatch, keys: Any, key: str, package: str
) -> None:
    monkeypatch.setattr("videoapi_diffusers.weights.quantization.find_spec", lambda name: None)
    spec = read(wide_folder, **keys)
    sentence = f"'diffusers.{key}' needs a package that is not installed here: pip install {package}."
    assert inspect_model(spec) == [sentence]
    with pytest.raises(ModelError) as error:
        load(**spec.settings)
    assert error.value.message == sentence


def test_what_needs_no_package_has_no_finding(wide_folder: Path) -> None:
    assert inspect_model(read(wide_folder, quantization="fp8")) == []


@pytest.mark.parametrize("scheme", ["bitsandbytes_4bit", "bitsandbytes_8bit"])
def test_what_needs_a_gpu_says_so_where_there_is_none(
    wide_folder: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr("videoapi_diffusers.weights.quantization.find_spec", lambda name: True)
    with pytest.raises(ModelError, match=f"The quantization {scheme} needs a GPU, and this machine has none"):
        load_as(wide_folder, quantization=scheme)
