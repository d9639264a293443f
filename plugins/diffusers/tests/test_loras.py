"""LoRAs: read from a model file, weighed by each request, the same as weights that are merged by hand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.diffusers.tests.loras import RANK, make_weights, merge, write_lora
from plugins.diffusers.tests.tiny import TINY
from videoapi import Cancelled, ConfigurationError, ModelError, ModelFile
from videoapi_diffusers.changes import read_changes
from videoapi_diffusers.plugin import build_spec, load_model

KINDS = ("wan_text", "wan_experts")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of two kinds, and LoRAs for them: `style` and `motion`, and `alpha`, which is `style` with an alpha."""
    import torch

    folder = tmp_path_factory.mktemp("loras")
    for kind in KINDS:
        torch.manual_seed(0)
        pipeline = TINY[kind].build()
        pipeline.save_pretrained(folder / kind)
    write_lora(folder, "style", make_weights(pipeline.transformer, 1))
    write_lora(folder, "motion", make_weights(pipeline.transformer, 2))
    write_lora(folder, "alpha", make_weights(pipeline.transformer, 1), alpha=1.0)
    return folder


def file(folder: Path, kind: str = "wan_text", **keys: Any) -> ModelFile:
    data = {"name": "wan", "backend": "diffusers", "parameters": {"model": str(folder / kind)}, **keys}
    return ModelFile(folder / "wan.yaml", data)


def named(**loras: Any) -> dict[str, Any]:
    return {"diffusers": {"loras": loras}}


BOTH = named(style={"model": "style.safetensors"}, motion={"model": "motion.safetensors", "scale": 0.5})


def open_model(folder: Path, kind: str = "wan_text", **keys: Any) -> Any:
    return load_model(build_spec(file(folder, kind, **keys)))


@pytest.fixture
def make(make_request: Any, progress: Any) -> Any:
    def make(model: Any, weights: dict[str, float] | None = None, **fields: Any) -> Any:
        params = {} if weights is None else {"loras": weights}
        return np.stack(list(model.generate(make_request(params=params, **fields), progress()).frames))

    return make


def test_a_request_weighs_the_loras_of_the_file_by_their_names(folder: Path) -> None:
    schema = build_spec(file(folder, **BOTH)).params["loras"]
    weight = {"type": "number", "minimum": -4, "maximum": 4}
    assert schema == {
        "type": "object",
        "properties": {"style": weight, "motion": weight},
        "additionalProperties": False,
        "default": {"style": 1.0, "motion": 0.5},
        "description": "The weight of each LoRA; 0 is off.",
    }


def test_localais_keys_name_files_and_scales(folder: Path) -> None:
    single = build_spec(file(folder, lora_adapter="style.safetensors", lora_scale=0.7))
    several = build_spec(file(folder, lora_adapters=["style.safetensors", "motion.safetensors"], lora_scales=[1, 0.2]))
    assert single.params["loras"]["default"] == {"style": 0.7}
    assert several.params["loras"]["default"] == {"style": 1.0, "motion": 0.2}


def test_a_folder_with_one_file_says_which_it_is(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "style.safetensors", tmp_path)
    read = read_changes(file(folder, **named(style={"model": str(tmp_path)})))["loras"]["style"]
    assert (read["folder"], read["file"]) == (str(tmp_path), "style.safetensors")


def test_a_lora_of_the_hub_is_named_by_its_id_and_file(folder: Path) -> None:
    read = read_changes(file(folder, **named(style={"model": "someone/style", "file": "style.safetensors"})))
    assert read["loras"]["style"] == {
        "repo": "someone/style",
        "file": "style.safetensors",
        "revision": None,
        "scale": 1.0,
        "components": ["transformer"],
    }


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (named(style={"scale": 1.0}), r"'diffusers\.loras\.style\.model' must be a file, a folder or a hub id"),
        (named(style={"model": "gone.safetensors"}), "is not there: gone.safetensors"),
        (named(style={"model": ".", "file": "gone.safetensors"}), "is not there: ./gone.safetensors"),
        (named(style={"model": "."}), "is a folder with 3 .safetensors files; 'file' says which"),
        (named(style={"model": "style.bin"}), "must be a .safetensors file, not style.bin: other formats can run code"),
        (named(style={"model": "a/b", "file": "style.pt"}), "must be a .safetensors file, not style.pt"),
        (named(style={"model": "a/b"}), r"style\.file' is needed: the .safetensors file in a/b"),
        (named(style={"model": "a/b", "file": "../x.safetensors"}), "must be inside of the model's folder"),
        (named(**{"my style": {"model": "style.safetensors"}}), "not of letters, digits, '-' and '_': 'my style'"),
        (named(style={"model": "style.safetensors", "scale": 5.0}), "must be scaled by -4 to 4, not 5"),
        (
            named(style={"model": "style.safetensors", "component": "vae"}),
            "must be one of transformer, transformer_2, both, not 'vae'",
        ),
        ({"lora_adapter": "gone.safetensors"}, "'lora_adapter' is not there: gone.safetensors"),
        ({"lora_adapters": ["style.safetensors"], "lora_scales": [1, 2]}, "must be as many as lora_adapters: 1, not 2"),
        ({"lora_adapters": [1]}, "'lora_adapters' must be a list of files, and lora_scales one of numbers"),
        (
            {"lora_adapter": "style.safetensors", "lora_adapters": ["style.safetensors"]},
            "is the second LoRA with the name 'style'",
        ),
    ],
)
def test_a_lora_that_cannot_be_read_is_an_error_by_its_key(folder: Path, keys: Any, message: str) -> None:
    (folder / "style.bin").touch()
    with pytest.raises(ConfigurationError, match=message):
        read_changes(file(folder, **keys))


def test_without_peft_the_check_names_the_command(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("videoapi_diffusers.changes.lora.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="needs what is not installed here: pip install peft"):
        read_changes(file(folder, lora_adapter="style.safetensors"))


@pytest.mark.parametrize(("name", "factor"), [("style", 1.0), ("alpha", 1 / RANK)])
def test_it_is_the_same_as_weights_that_are_merged_by_hand(folder: Path, make: Any, name: str, factor: float) -> None:
    """W + weight * alpha / rank * B @ A; without an alpha it is the rank."""
    ours = make(open_model(folder, lora_adapter=f"{name}.safetensors"), {name: 0.5})
    merged, plain = open_model(folder), open_model(folder)
    transformer = merged.pipeline.transformer
    merge(transformer, make_weights(transformer, 1), 0.5 * factor)
    expected = make(merged)
    assert np.abs(ours.astype(int) - expected).max() <= 1
    assert np.abs(make(plain).astype(int) - expected).max() > 10


def test_several_are_added_to_each_other(folder: Path, make: Any) -> None:
    ours = make(open_model(folder, **BOTH), {"style": 0.3, "motion": -0.4})
    merged = open_model(folder)
    for seed, weight in ((1, 0.3), (2, -0.4)):
        merge(merged.pipeline.transformer, make_weights(merged.pipeline.transformer, seed), weight)
    assert np.abs(ours.astype(int) - make(merged)).max() <= 1


def test_one_that_is_off_leaves_no_trace_and_requests_are_kept_apart(folder: Path, make: Any, progress: Any) -> None:
    model, plain = open_model(folder, **BOTH), make(open_model(folder))
    off = {"style": 0, "motion": 0}
    assert np.array_equal(make(model, off), plain)
    style, both = make(model, {"style": 1, "motion": 0}), make(model)
    assert len({frames.tobytes() for frames in (plain, style, both)}) == 3
    assert np.array_equal(make(model, {"style": 1.0, "motion": 0.5}), both)
    assert np.array_equal(make(model, {"style": 1, "motion": 0}), style)
    assert np.array_equal(make(model, off), plain)


def test_a_cancelled_request_leaves_its_weights_to_no_other(
    folder: Path, make: Any, make_request: Any, progress: Any
) -> None:
    model = open_model(folder, **BOTH)
    before = make(model)
    with pytest.raises(Cancelled):
        model.generate(make_request(params={"loras": {"style": 4}}), progress(cancel_at=1))
    assert np.array_equal(make(model), before)


def test_the_sibling_for_clips_has_them_too(folder: Path, make: Any) -> None:
    from PIL import Image

    model = open_model(folder, **BOTH)
    clip = [Image.new("RGB", (48, 32), "red")] * 5
    on, off = make(model, clip=clip), make(model, {"style": 0, "motion": 0}, clip=clip)
    assert not np.array_equal(on, off)


@pytest.mark.parametrize("component", ["transformer", "transformer_2", "both"])
def test_the_file_says_which_expert_a_lora_is_for(folder: Path, make: Any, component: str) -> None:
    lora = {"model": "style.safetensors", "component": component}
    ours = make(open_model(folder, "wan_experts", **named(style=lora)))
    merged = open_model(folder, "wan_experts")
    for each in ("transformer", "transformer_2"):
        if component in (each, "both"):
            expert = getattr(merged.pipeline, each)
            merge(expert, make_weights(expert, 1), 1.0)
    assert np.abs(ours.astype(int) - make(merged)).max() <= 1
    assert np.abs(ours.astype(int) - make(open_model(folder, "wan_experts"))).max() > 1


def test_a_lora_for_a_second_expert_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(ModelError, match="LoRA 'style' is for transformer_2, which this model does not have"):
        open_model(folder, **named(style={"model": "style.safetensors", "component": "transformer_2"}))


@pytest.mark.parametrize("prefix", ["transformer.transformer_blocks", "unet.mid_block"])
def test_a_lora_for_another_architecture_is_an_error(folder: Path, tmp_path: Path, prefix: str) -> None:
    """diffusers itself loads nothing of the second one, and says so in its log."""
    import torch

    weights = {
        f"{prefix}.0.attn1.to_q.lora_{half}.weight": torch.zeros(shape)
        for half, shape in (("A", (4, 24)), ("B", (24, 4)))
    }
    write_lora(tmp_path, "other", weights)
    with pytest.raises(ModelError, match="LoRA 'other' fits no layer of this model; it was made for another one"):
        open_model(folder, lora_adapter=str(tmp_path / "other.safetensors"))


def test_a_lora_with_layers_that_the_model_lacks_is_an_error(folder: Path, tmp_path: Path) -> None:
    weights = make_weights(TINY["wan_text"].build().transformer, 1)
    deeper = {key.replace("blocks.0", "blocks.7"): value.clone() for key, value in weights.items()}
    write_lora(tmp_path, "deep", {**weights, **deeper})
    with pytest.raises(ModelError, match="'deep' was made for another model: 6 of its 12 layers are not in this one"):
        open_model(folder, lora_adapter=str(tmp_path / "deep.safetensors"))


def test_a_lora_of_another_size_is_an_error_without_the_path(folder: Path, tmp_path: Path) -> None:
    weights = make_weights(TINY["wan_text"].build().transformer, 1)
    wider = {key: value.repeat_interleave(2, dim=int("lora_A" in key)) for key, value in weights.items()}
    write_lora(tmp_path, "wide", wider)
    with pytest.raises(ModelError, match=r"LoRA 'wide' cannot be loaded: .*size mismatch") as error:
        open_model(folder, lora_adapter=str(tmp_path / "wide.safetensors"))
    assert str(tmp_path) not in error.value.message


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_file_that_went_bad_since_the_check_is_an_error_without_the_path(
    folder: Path, tmp_path: Path, damage: str
) -> None:
    path = Path(shutil.copy(folder / "style.safetensors", tmp_path))
    spec = build_spec(file(folder, lora_adapter=str(path)))
    path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match="LoRA 'style' cannot be loaded: ") as error:
        load_model(spec)
    assert str(tmp_path) not in error.value.message


@pytest.mark.parametrize("kind", ["allegro", "modelscope"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_pipeline_without_loras_says_so(folder: Path, tmp_path: Path, kind: str) -> None:
    """ModelScope's has the method, and a denoiser that has not."""
    TINY[kind].build().save_pretrained(tmp_path / kind)
    keys = {"parameters": {"model": str(tmp_path / kind)}, "lora_adapter": "style.safetensors"}
    with pytest.raises(ModelError, match="Pipeline takes no LoRA in the installed diffusers"):
        open_model(folder, **keys)
