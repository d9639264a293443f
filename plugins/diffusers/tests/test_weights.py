"""How weights are stored and where they come from: what a model file may say, and what is loaded then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.diffusers.tests.wide import read_transformer, save_wide, write_gguf, write_safetensors
from videoapi import ConfigurationError, ModelError, ModelFile
from videoapi_diffusers import load
from videoapi_diffusers.plugin import build_spec, inspect_model

# Grey values out of 255, on average over the frames of a random model, whose standard deviation is 32.
CLOSE = {"safetensors": 0.0, "Q8_0": 0.1, "Q5_1": 0.5, "Q4_0": 1.0, "F16": 0.01, "BF16": 0.1}
QUANTIZED = {"fp8": 0.1, "torchao_int8wo": 0.1, "torchao_int8dq": 0.2, "torchao_float8wo": 0.5}


@pytest.fixture(scope="session")
def wide_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_wide(tmp_path_factory.mktemp("wide"))


@pytest.fixture(scope="session")
def two_experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from diffusers import WanPipeline

    from plugins.diffusers.tests.tiny import wan

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("experts")
    experts = wan.make_transformer(), wan.make_transformer()
    made = WanPipeline(**wan.make_components(transformer=experts[0]), transformer_2=experts[1], boundary_ratio=0.9)
    made.save_pretrained(folder)
    return folder


def read(folder: Path | str, **keys: Any) -> Any:
    """The settings of a model file in that folder's place."""
    beside = Path(folder).parent if Path(folder).is_dir() else Path()
    data = {"parameters": {"model": str(folder)}, "diffusers": keys}
    return build_spec(ModelFile(beside / "wan.yaml", {"name": "wan", "backend": "diffusers", **data}))


def load_as(folder: Path, dtype: str | None = None, **keys: Any) -> Any:
    return load(**{**read(folder, **keys).settings, "dtype": dtype}).pipeline


def make(pipeline: Any, make_request: Any, progress: Any) -> Any:
    from videoapi_diffusers.pipeline import DiffusersPipeline

    return np.stack(list(DiffusersPipeline(pipeline).generate(make_request(), progress()).frames)).astype(float)


@pytest.fixture(scope="session")
def file(wide_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Writes the transformer of the wide folder as one file of a kind."""
    folder, tensors = tmp_path_factory.mktemp("files"), read_transformer(wide_folder)

    def write(kind: str) -> Path:
        if kind == "safetensors":
            return write_safetensors(tensors, folder / "transformer.safetensors")
        return write_gguf(tensors, folder / f"{kind}.gguf", kind)

    return write


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
    monkeypatch.setattr("videoapi_diffusers.quantization.find_spec", lambda name: None)
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
    monkeypatch.setattr("videoapi_diffusers.quantization.find_spec", lambda name: True)
    with pytest.raises(ModelError, match=f"The quantization {scheme} needs a GPU, and this machine has none"):
        load_as(wide_folder, quantization=scheme)


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
