"""Components whose weights are one file of their own: safetensors and GGUF."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.diffusers.tests.wide import load_as, make, read, read_transformer, write_gguf, write_safetensors
from videoapi import ModelError
from videoapi_diffusers import load

# Grey values of 255, on average over the frames of a random model, whose standard deviation is 32.
CLOSE = {"safetensors": 0.0, "Q8_0": 0.1, "Q5_1": 0.5, "Q4_0": 1.0, "F16": 0.01, "BF16": 0.1}


@pytest.mark.parametrize("kind", CLOSE)
def test_a_transformer_in_a_file_of_its_own_makes_the_same_video(
    wide_folder: Path, file: Any, make_request: Any, progress: Any, kind: str
) -> None:
    pipeline = load_as(wide_folder, transformer=str(file(kind)))
    expected = make(load_as(wide_folder), make_request, progress)
    difference = np.abs(make(pipeline, make_request, progress) - expected).mean()
    assert difference <= CLOSE[kind]
    if kind not in ("safetensors", "F16"):
        assert difference > 0
        kinds = {str(parameter.dtype) for parameter in pipeline.transformer.parameters()}
        assert "torch.uint8" in kinds


def test_gguf_takes_the_memory_of_its_file(wide_folder: Path, file: Any) -> None:
    whole, small = load_as(wide_folder).transformer, load_as(wide_folder, transformer=str(file("Q4_0"))).transformer
    assert small.get_memory_footprint() < 0.3 * whole.get_memory_footprint()


def test_a_file_in_half_precision_keeps_what_has_to_stay_in_full(wide_folder: Path, file: Any) -> None:
    apart = load_as(wide_folder, "bfloat16", transformer=str(file("safetensors"))).transformer
    together = load_as(wide_folder, "bfloat16").transformer
    types = {name: tensor.dtype for name, tensor in together.state_dict().items()}
    assert {str(dtype) for dtype in types.values()} == {"torch.bfloat16", "torch.float32"}
    assert {name: tensor.dtype for name, tensor in apart.state_dict().items()} == types
    assert [buffer.dtype for buffer in apart.buffers()] == [buffer.dtype for buffer in together.buffers()]


def test_the_authors_own_names_of_the_weights_are_known(wide_folder: Path, tmp_path: Path, file: Any) -> None:
    """Those of Wan's checkpoints, in the folder of ComfyUI's."""
    import torch

    names = {
        "condition_embedder.time_embedder.linear_1": "time_embedding.0",
        "condition_embedder.time_embedder.linear_2": "time_embedding.2",
        "condition_embedder.text_embedder.linear_1": "text_embedding.0",
        "condition_embedder.text_embedder.linear_2": "text_embedding.2",
        "condition_embedder.time_proj": "time_projection.1",
        "proj_out": "head.head",
        "ffn.net.0.proj": "ffn.0",
        "ffn.net.2": "ffn.2",
        "attn1.to_out.0": "self_attn.o",
        "attn2.to_out.0": "cross_attn.o",
        "attn1.to_": "self_attn.",
        "attn2.to_": "cross_attn.",
        "attn1.norm_": "self_attn.norm_",
        "attn2.norm_": "cross_attn.norm_",
        "norm2": "norm3",
    }

    def rename(name: str) -> str:
        if name.endswith("scale_shift_table"):
            return name.replace("scale_shift_table", "modulation" if "blocks" in name else "head.modulation")
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        return f"model.diffusion_model.{name}"

    tensors = read_transformer(wide_folder)
    path = write_safetensors({rename(name): tensor for name, tensor in tensors.items()}, tmp_path / "comfy.safetensors")
    loaded = load_as(wide_folder, transformer=str(path)).transformer.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_both_experts_may_come_from_files(two_experts: Path, tmp_path: Path) -> None:
    import torch

    other = {name: tensor + 1 for name, tensor in read_transformer(two_experts, "transformer_2").items()}
    path = write_safetensors(other, tmp_path / "low_noise.safetensors")
    pipeline = load_as(two_experts, transformer_2=str(path))
    assert torch.equal(pipeline.transformer_2.proj_out.bias, other["proj_out.bias"])
    expected = read_transformer(two_experts)["proj_out.bias"]
    assert torch.equal(pipeline.transformer.proj_out.bias, expected)


def test_a_file_that_is_gone_is_a_model_error(wide_folder: Path, file: Any, tmp_path: Path) -> None:
    path = tmp_path / "gone.safetensors"
    shutil.copy(file("safetensors"), path)
    settings = read(wide_folder, transformer=str(path)).settings
    path.unlink()
    with pytest.raises(ModelError, match=r"^gone\.safetensors is no longer there\.$"):
        load(**settings)


@pytest.mark.parametrize("kind", ["safetensors", "gguf"])
def test_a_file_without_all_weights_is_refused(wide_folder: Path, tmp_path: Path, kind: str) -> None:
    tensors = read_transformer(wide_folder)
    del tensors["proj_out.weight"], tensors["proj_out.bias"]
    write = write_safetensors if kind == "safetensors" else write_gguf
    path = write(tensors, tmp_path / f"part.{kind}")
    with pytest.raises(ModelError, match=rf"part\.{kind} is not the whole transformer: it lacks"):
        load_as(wide_folder, transformer=str(path))


@pytest.mark.parametrize("kind", ["safetensors", "gguf"])
def test_a_file_of_another_model_is_refused(wide_folder: Path, text_folder: Path, tmp_path: Path, kind: str) -> None:
    write = write_safetensors if kind == "safetensors" else write_gguf
    path = write(read_transformer(text_folder), tmp_path / f"other.{kind}")
    with pytest.raises(
        ModelError, match=r"does not fit the model's transformer: size mismatch|expected shape"
    ) as error:
        load_as(wide_folder, transformer=str(path))
    assert str(tmp_path) not in error.value.message


@pytest.mark.parametrize("kind", ["safetensors", "gguf"])
def test_a_file_that_is_cut_off_is_a_model_error(wide_folder: Path, file: Any, tmp_path: Path, kind: str) -> None:
    whole = file("safetensors" if kind == "safetensors" else "Q8_0").read_bytes()
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"^The model cannot be loaded: "):
        load_as(wide_folder, transformer=str(path))


def test_weights_scaled_into_eight_bits_are_refused(wide_folder: Path, tmp_path: Path) -> None:
    import torch

    tensors = {**read_transformer(wide_folder), "blocks.0.ffn.0.scale_weight": torch.ones(1)}
    path = write_safetensors(tensors, tmp_path / "scaled.safetensors")
    with pytest.raises(ModelError, match=r"scaled\.safetensors holds weights scaled into 8 bits"):
        load_as(wide_folder, transformer=str(path))


def test_weights_without_a_place_are_in_the_log(wide_folder: Path, tmp_path: Path, caplog: Any) -> None:
    import torch

    path = write_safetensors({**read_transformer(wide_folder), "more": torch.ones(1)}, tmp_path / "more.safetensors")
    load_as(wide_folder, transformer=str(path))
    assert "more.safetensors: 1 weights have no place in the model" in caplog.text


def test_a_class_without_a_loader_for_files_says_so(tmp_path: Path, wide_folder: Path, file: Any) -> None:
    folder = tmp_path / "latte"
    shutil.copytree(wide_folder, folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["transformer"] = ["diffusers", "LatteTransformer3DModel"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="diffusers cannot load a LatteTransformer3DModel from a single file"):
        load_as(folder, transformer=str(file("safetensors")))
