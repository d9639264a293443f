"""Which files of a repository are loaded."""

from __future__ import annotations

import pytest

from videoapi import ModelError
from videoapi_diffusers.weights.selection import select_files

INDEX = {
    "_class_name": "WanPipeline",
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "transformer_2": [None, None],
    "tokenizer": ["transformers", "T5TokenizerFast"],
}
SHARDS = [f"transformer/diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
VARIANT = [f"transformer/diffusion_pytorch_model.fp16-0000{number}-of-00002.safetensors" for number in (1, 2)]
OLD_VARIANT = [f"transformer/diffusion_pytorch_model-0000{number}-of-00002.fp16.safetensors" for number in (1, 2)]


def test_shards_come_with_the_list_of_them() -> None:
    table = "transformer/diffusion_pytorch_model.safetensors.index.json"
    assert select_files([*SHARDS, table, "README.md"], INDEX) == sorted([*SHARDS, table])


@pytest.mark.parametrize("files", [VARIANT, OLD_VARIANT], ids=["today's names", "older names"])
def test_a_variant_in_shards(files: list[str]) -> None:
    assert select_files([*files, *SHARDS], INDEX, "fp16") == files
    assert select_files([*files, *SHARDS], INDEX) == SHARDS


def test_vocabularies_are_loaded_and_other_things_are_not() -> None:
    texts = [f"tokenizer/{name}" for name in ("merges.txt", "spiece.model", "tokenizer.json")]
    others = ["tokenizer/tokenizer.py", "transformer_2/config.json", "assets/logo.json", "wan.safetensors", "x.json"]
    assert select_files([*texts, *others, "model_index.json"], INDEX) == ["model_index.json", *texts]


def test_weights_under_another_name_are_not_the_models() -> None:
    assert select_files(["transformer/lightning.safetensors", *SHARDS], INDEX) == SHARDS


def test_pickle_beside_safetensors_is_left_alone() -> None:
    assert select_files(["transformer/diffusion_pytorch_model.bin", *SHARDS], INDEX) == SHARDS


def test_pickle_alone_is_refused() -> None:
    with pytest.raises(ModelError, match="The weights of transformer are there as pickle alone"):
        select_files(["transformer/diffusion_pytorch_model.bin"], INDEX)
    assert select_files(["transformer/diffusion_pytorch_model.bin"], INDEX, without=["transformer"]) == []


def test_a_variant_that_nothing_has_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no variant 'bf16' of its weights; it has fp16\.$"):
        select_files([*VARIANT, *SHARDS], INDEX, "bf16")
