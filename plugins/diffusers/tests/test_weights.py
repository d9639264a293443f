"""Where weights come from and how they are stored: what a model file may say about it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from plugins.diffusers.tests.wide import load_as, read, read_transformer, write_safetensors
from videoapi import ConfigurationError, ModelError, ModelFile
from videoapi_diffusers import load
from videoapi_diffusers.plugin import build_spec


def test_a_file_beside_the_model_file_needs_no_folder(wide_folder: Path, file: Any) -> None:
    shutil.copy(file("safetensors"), wide_folder.parent / "beside.safetensors")
    settings = read(wide_folder, transformer="beside.safetensors").settings
    assert settings["weights"]["files"] == {
        "transformer": {"path": str((wide_folder.parent / "beside.safetensors").resolve())}
    }
    json.dumps(settings)


def test_a_file_of_the_hub_has_its_own_revision(wide_folder: Path) -> None:
    settings = read(wide_folder, transformer="owner/name/sub/a.gguf", transformer_revision="v2").settings
    expected = {"repo": "owner/name", "name": "sub/a.gguf", "revision": "v2"}
    assert settings["weights"]["files"] == {"transformer": expected}


def test_a_variant_is_loaded_where_a_component_has_it(wide_folder: Path, tmp_path: Path) -> None:
    import torch

    folder = tmp_path / "variants"
    shutil.copytree(wide_folder, folder)
    tensors = {name: tensor + 1 for name, tensor in read_transformer(folder).items()}
    write_safetensors(tensors, folder / "transformer" / "diffusion_pytorch_model.fp16.safetensors")
    pipeline = load_as(folder, variant="fp16")
    assert torch.equal(pipeline.transformer.proj_out.bias, tensors["proj_out.bias"])


HUB = "owner/name"


@pytest.mark.parametrize(
    ("model", "keys", "message"),
    [
        ("local", {"revision": "v1"}, r"'diffusers\.revision' is for what is on the hub"),
        (HUB, {"transformer": "a.ckpt"}, r"'diffusers\.transformer' must be safetensors or GGUF, and nothing else"),
        (HUB, {"transformer": "a.pth"}, "must be safetensors or GGUF"),
        (HUB, {"transformer": "/nonexistent/a.gguf"}, "is neither a file on this machine nor owner/repository/file"),
        (HUB, {"transformer": "owner/a.gguf"}, "is neither a file on this machine"),
        (HUB, {"transformer": "https://hub/owner/name/a.gguf"}, "is neither a file on this machine"),
        (HUB, {"transformer": "owner/name/../a.gguf"}, "is neither a file on this machine"),
        ("local", {"transformer_2": "a/b/c.gguf"}, "is given, and the model has no transformer_2"),
        (HUB, {"quantization": "bitsandbytes4bit"}, "is not known: bitsandbytes4bit; did you mean 'bitsandbytes_4bit'"),
        (HUB, {"quantization": "zip"}, "is not known: zip; there are fp8, bitsandbytes_4bit"),
        (HUB, {"quantization": "fp8", "quantized_components": ["vae"]}, "may name image_encoder, .*, not 'vae'"),
        (HUB, {"quantization": "fp8", "quantized_components": [1]}, "may name image_encoder, .*, not 1"),
        (HUB, {"quantization": "fp8", "quantized_components": "vae"}, "must be of type list"),
        (HUB, {"quantization": "torchao_int8wo", "transformer": "a/b/c.safetensors"}, "safetensors take fp8"),
        (HUB, {"quantization": "fp8", "transformer": "a/b/c.gguf"}, "cannot be fp8 for a single file: GGUF"),
    ],
)
def test_what_cannot_be_is_an_error_by_its_key(wide_folder: Path, model: str, keys: Any, message: str) -> None:
    if keys.get("quantization") and "quantized_components" not in keys and "transformer" in keys:
        keys = {**keys, "quantized_components": ["transformer"]}
    with pytest.raises(ConfigurationError, match=message):
        read(
            wide_folder if model == "local" else model,
            pipeline_type="WanImageToVideoPipeline" if model == HUB else "WanPipeline",
            **keys,
        )


def test_a_file_on_this_machine_has_no_revision(wide_folder: Path, file: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"'diffusers\.transformer_revision' is for what is on the hub"):
        read(wide_folder, transformer=str(file("safetensors")), transformer_revision="v1")


def test_only_gguf_leaves_nothing_to_quantise(wide_folder: Path, file: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot be fp8 for a single file: GGUF is quantised already"):
        read(wide_folder, transformer=str(file("Q8_0")), quantization="fp8")


def test_components_without_a_quantization_are_keys_without_effect(wide_folder: Path) -> None:
    data = {"parameters": {"model": str(wide_folder)}, "diffusers": {"quantized_components": ["transformer"]}}
    config = ModelFile(Path("wan.yaml"), {"name": "wan", "backend": "diffusers", **data})
    build_spec(config)
    assert config.unread() == ["diffusers.quantized_components"]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {"files": {"transformer_2": {"path": "x.safetensors"}}},
            "The model has no transformer_2; leave 'diffusers.tr",
        ),
        (
            {"quantization": {"scheme": "fp8", "components": ["image_encoder"]}},
            "The model has no image_encoder to quantise",
        ),
    ],
)
def test_what_a_downloaded_model_turns_out_not_to_have_is_a_model_error(
    wide_folder: Path, weights: Any, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load(str(wide_folder), "WanPipeline", weights=weights)


def test_a_variant_that_the_folder_does_not_have_is_a_model_error(wide_folder: Path) -> None:
    with pytest.raises(ModelError, match="The model has no variant 'fp16' of its weights; it has none"):
        load_as(wide_folder, variant="fp16")
