"""Specs from model files: what a model can do is read from its weights, and what is wrong is said by key."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugins.stablediffusion.tests.entries import Entry, write_gguf
from plugins.stablediffusion.tests.weights import SHAPES, lora, text_encoder, wan
from videoapi import ConfigurationError, ModelFile
from videoapi_stablediffusion import ggml, plugin
from videoapi_stablediffusion.headers import Tensor
from videoapi_stablediffusion.memory import weigh
from videoapi_stablediffusion.plugin import build_spec

Write = Callable[..., ModelFile]
FRAMES = {"first_frame", "first_and_last_frame"}
VACE = {"text", "first_frame", "clip"}


@pytest.mark.parametrize(
    ("model", "keys", "name", "modes", "multiple"),
    [
        ("t2v", {}, "Wan2.1-T2V-1.3B", {"text"}, 16),
        ("i2v", {"clip_vision_path": "clip_vision.gguf"}, "Wan2.1-I2V-1.3B", FRAMES, 16),
        ("vace", {}, "Wan2.1-VACE-1.3B", VACE, 16),
        ("ti2v", {"taesd_path": "tiny_vae_48.gguf"}, "Wan2.2-TI2V-5B", {"text", "first_frame"}, 32),
        ("t2v-14b", {}, "Wan2.x-T2V-14B", {"text"}, 16),
        ("t2v-14b", {"high_noise_diffusion_model_path": "t2v-14b.gguf"}, "Wan2.x-T2V-14B", {"text"}, 16),
        ("i2v-14b", {"clip_vision_path": "clip_vision.gguf"}, "Wan2.1-I2V-14B", FRAMES, 16),
        (
            "flf2v-14b",
            {"clip_vision_path": "clip_vision.gguf"},
            "Wan2.1-FLF2V-14B",
            {"first_and_last_frame"},
            16,
        ),
        ("i2v-a14b", {"high_noise_diffusion_model_path": "i2v-a14b.gguf"}, "Wan2.2-I2V-14B", FRAMES, 16),
        ("vace-14b", {}, "Wan2.x-VACE-14B", VACE, 16),
    ],
)
def test_the_variant_decides_what_the_model_takes(
    write_file: Write, model: str, keys: dict[str, Any], name: str, modes: set[str], multiple: int
) -> None:
    spec = build_spec(write_file(f"{model}.gguf", **keys))
    assert (spec.settings["variant"], spec.modes, spec.size_multiple) == (name, modes, multiple)
    assert name in spec.description
    assert spec.frame_grid.next_up(16) == 17
    assert not spec.interruptible
    assert ("moe_boundary" in spec.params) == ("high_noise_diffusion_model_path" in keys)
    assert ("vace_strength" in spec.params) == ("clip" in modes)


@pytest.mark.parametrize(
    ("model", "keys", "key", "problem"),
    [
        ("nothing.gguf", {}, "parameters.model", "nothing.gguf does not exist"),
        ("ten-blocks.gguf", {}, "parameters.model", "has 10 blocks; a Wan model has 30 (1.3B, 5B) or 40 (14B)"),
        ("tiny_vae.gguf", {}, "parameters.model", "is no Wan diffusion model, which is all that this library makes"),
        ("t2v.gguf", {"taesd_path": None}, "vae_path", "is needed: the autoencoder, or a tiny one under taesd_path"),
        ("t2v.gguf", {"taesd_path": "t2v.gguf"}, "taesd_path", "is no tiny video autoencoder, such as taew2_1"),
        ("t2v.gguf", {"vae_path": "tiny_vae.gguf"}, "vae_path", "is no Wan autoencoder; a tiny one belongs under"),
        ("t2v.gguf", {"taesd_path": "tiny_vae_48.gguf"}, "taesd_path", "is an autoencoder of 48 channels; Wan2.1-T2V"),
        ("ti2v.gguf", {}, "taesd_path", "is an autoencoder of 16 channels; Wan2.2-TI2V-5B has 48 and needs Wan 2.2's"),
        ("t2v.gguf", {"without_text_encoder": None}, "t5xxl_path", "is needed: without umt5-xxl the library ignores"),
        ("t2v.gguf", {"t5xxl_path": "gone.gguf"}, "t5xxl_path", "gone.gguf does not exist"),
        ("t2v.gguf", {"t5xxl_path": "t2v.gguf"}, "t5xxl_path", "is no T5 text encoder; Wan needs umt5-xxl"),
        ("i2v.gguf", {}, "clip_vision_path", "is needed: Wan2.1-I2V-1.3B sees its images through clip_vision_h"),
        ("i2v.gguf", {"clip_vision_path": "t2v.gguf"}, "clip_vision_path", "is no CLIP image encoder; Wan needs"),
        (
            "t2v.gguf",
            {"high_noise_diffusion_model_path": "vace.gguf"},
            "high_noise_diffusion_model_path",
            "is Wan2.1-VACE-1.3B, and the other half is Wan2.1-T2V-1.3B",
        ),
        (
            "t2v.gguf",
            {"high_noise_diffusion_model_path": "gone.gguf"},
            "high_noise_diffusion_model_path",
            "gone.gguf does not exist",
        ),
        ("t2v.gguf", {"lora_dir": "loras"}, "lora_dir", "is not a folder: loras"),
        ("t2v.gguf", {"lora_apply_mode": "immediately"}, "lora_apply_mode", "cannot be immediately for quantised"),
        ("t2v.gguf", {"wtype": "q9"}, "wtype", "must be one of f32, f16, bf16, q4_0"),
        ("t2v.gguf", {"n_threads": "two"}, "n_threads", "must be of type int, not 'two'"),
        ("", {}, "parameters.model", "must name the diffusion model's file"),
    ],
)
def test_what_the_library_would_choke_on_or_ignore_is_an_error_by_key(
    write_file: Write, model: str, keys: dict[str, Any], key: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        build_spec(write_file(model, **keys))
    named = key if "." in key else f"stablediffusion.{key}"
    assert error.value.message.startswith(f"wan.yaml: '{named}' {problem}")
    assert error.value.file == "wan.yaml"


@pytest.mark.parametrize("length", [0, 10, 1000, 3_000_000])
def test_a_download_that_was_cut_off_is_noticed_wherever_it_ends(
    write_file: Write, folder: Path, tmp_path: Path, length: int
) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes((folder / "t2v.gguf").read_bytes()[:length])
    with pytest.raises(ConfigurationError, match=r"'parameters.model' cut.gguf is (cut off|empty|neither)"):
        build_spec(write_file(str(cut)))


def test_a_text_encoder_of_another_vocabulary_is_refused(write_file: Write, tmp_path: Path) -> None:
    """Such as t5-v1_1-xxl, which belongs to other models."""
    path = write_gguf(tmp_path / "t5.gguf", text_encoder(vocabulary=32128))
    with pytest.raises(ConfigurationError, match=r"is a T5 of another vocabulary \(32128 words\); Wan needs umt5-xxl"):
        build_spec(write_file(t5xxl_path=str(path)))


def test_a_full_autoencoder_is_known_by_its_channels(write_file: Write, tmp_path: Path) -> None:
    def vae(channels: int) -> Path:
        entries = [
            Entry("conv2.weight", (1, 1, channels, channels)),
            Entry("decoder.conv1.weight", (3, 3, 3, channels)),
            Entry("decoder.head.conv2.weight", (3, 3)),
        ]
        return write_gguf(tmp_path / f"vae{channels}.gguf", iter(entries))

    assert build_spec(write_file(taesd_path=None, vae_path=str(vae(16)))).settings["weights"]["vae_path"]
    with pytest.raises(ConfigurationError, match="is an autoencoder of 48 channels"):
        build_spec(write_file(taesd_path=None, vae_path=str(vae(48))))


def test_localais_file_is_understood_as_it_is(folder: Path) -> None:
    data = {
        "name": "wan-ggml",
        "backend": "stablediffusion-ggml",
        "step": 20,
        "cfg_scale": 6.0,
        "threads": 3,
        "known_usecases": ["video"],
        "parameters": {"model": "i2v.gguf"},
        "options": [
            "diffusion_model",
            "clip_vision_path:clip_vision.gguf",
            "taesd_path:tiny_vae.gguf",
            "without_text_encoder:true",
            "sampler:heun",
            "scheduler:karras",
            "flow_shift:4.5",
            "offload_params_to_cpu:true",
            "diffusion_flash_attn:false",
            "wtype:q8_0",
            "max_vram:8",
            "stream_layers:true",
        ],
    }
    config = ModelFile(folder / "wan.yaml", data)
    spec = build_spec(config)
    assert spec.settings["context"] == {
        "n_threads": 3,
        "wtype": "q8_0",
        "offload_params_to_cpu": True,
        "diffusion_flash_attn": False,
        "lora_apply_mode": "at_runtime",
        "max_vram": 8.0,
    }
    assert [spec.params[name]["default"] for name in ("sampler", "scheduler", "flow_shift")] == ["heun", "karras", 4.5]
    assert config.unread() == ["cfg_scale", "known_usecases", "options.stream_layers", "step"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("n_threads:many", "'options.n_threads' must be of type int, not 'many'"),
        ("keep_vae_on_cpu:maybe", "'options.keep_vae_on_cpu' must be of type bool, not 'maybe'"),
        ("wtype:q9", "'options.wtype' must be one of f32"),
        ("vae_path:gone.gguf", "'options.vae_path' gone.gguf does not exist"),
    ],
)
def test_a_wrong_option_is_named_as_the_file_spells_it(folder: Path, option: str, message: str) -> None:
    options = ["taesd_path:tiny_vae.gguf", "without_text_encoder:1", option]
    data = {"name": "w", "backend": "stablediffusion", "parameters": {"model": "t2v.gguf"}, "options": options}
    with pytest.raises(ConfigurationError) as error:
        build_spec(ModelFile(folder / "wan.yaml", data))
    assert error.value.message.startswith(f"wan.yaml: {message}")


def test_loras_are_named_for_the_operators_files(write_file: Write, folder: Path, tmp_path: Path) -> None:
    for name in ("fast.safetensors", "style.gguf", "old.pt", "notes.txt"):
        shutil.copy(folder / "tiny_vae.gguf", tmp_path / name)
    spec = build_spec(write_file(lora_dir=str(tmp_path)))
    assert spec.params["loras"]["items"]["properties"]["name"] == {"enum": ["fast", "style"]}
    assert "high_noise" not in spec.params["loras"]["items"]["properties"]
    assert "loras" not in build_spec(write_file()).params


def test_a_lora_for_the_high_noise_half_needs_weights_that_it_can_be_applied_into(
    write_file: Write, folder: Path, tmp_path: Path
) -> None:
    """At run time the library leaves it out in silence."""
    write_gguf(tmp_path / "style.gguf", lora())
    two = {"high_noise_diffusion_model_path": "t2v.gguf", "lora_dir": str(tmp_path)}
    applied = build_spec(write_file(**two, wtype="f16", lora_apply_mode="immediately"))
    assert "high_noise" in applied.params["loras"]["items"]["properties"]
    assert "high_noise" not in build_spec(write_file(**two)).params["loras"]["items"]["properties"]


def test_scaled_weights_are_refused(write_file: Write, tmp_path: Path) -> None:
    """The most common ones of eight bits; the library would take the unscaled numbers."""
    entries = [*wan(SHAPES["t2v"]), Entry("blocks.0.ffn.0.scale_weight", (1,))]
    path = write_gguf(tmp_path / "scaled.gguf", iter(entries))
    with pytest.raises(ConfigurationError, match="has scaled weights, whose scales the library ignores"):
        build_spec(write_file(str(path)))


def test_the_order_of_tensors_does_not_matter(write_file: Write, tmp_path: Path) -> None:
    """The patches of VACE's control frames have as many values as those of the 5B model."""
    entries = sorted(wan(SHAPES["vace"]), key=lambda entry: entry.name, reverse=True)
    spec = build_spec(write_file(str(write_gguf(tmp_path / "vace.gguf", iter(entries)))))
    assert spec.settings["variant"] == "Wan2.1-VACE-1.3B"


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (wan(dataclasses.replace(SHAPES["t2v"], inputs=32)), "has 32 input channels where Wan2.1-T2V-1.3B has 16"),
        (iter([Entry("blocks.0.attn1.to_q.weight", (8, 8))]), "has diffusers' names; the library knows those of"),
    ],
)
def test_a_model_that_the_library_does_not_know_is_refused(
    write_file: Write, tmp_path: Path, entries: Any, problem: str
) -> None:
    path = write_gguf(tmp_path / "other.gguf", entries)
    with pytest.raises(ConfigurationError, match=problem):
        build_spec(write_file(str(path)))


def test_two_halves_have_the_guidance_of_a14b(write_file: Write) -> None:
    both = write_file("t2v-14b.gguf", high_noise_diffusion_model_path="t2v-14b.gguf")
    assert build_spec(both).defaults.guidance_scale == 3.5
    assert build_spec(write_file("t2v-14b.gguf")).defaults.guidance_scale == 6.0


def test_a_default_that_the_variant_has_no_use_for_is_reported(write_file: Write) -> None:
    config = write_file(moe_boundary=0.9, vace_strength=1.0, sampler="heun")
    assert build_spec(config).params["sampler"]["default"] == "heun"
    assert {"stablediffusion.moe_boundary", "stablediffusion.vace_strength"} <= set(config.unread())


def test_a_table_of_words_is_weighed_as_the_library_keeps_it() -> None:
    table = Tensor(shape=(256384, 4096), memory=2 * 256384 * 4096, kind="bf16")
    assert weigh({"shared.weight": table}, None) == 4 * 256384 * 4096
    assert weigh({"shared.weight": table}, "q8_0") == pytest.approx(256384 * 4096 * 34 / 32)
    assert weigh({"other.weight": table}, None) == 2 * 256384 * 4096


def test_the_weights_are_weighed_as_they_will_be_loaded(write_file: Write) -> None:
    as_they_are = build_spec(write_file()).settings["weights"]["diffusion_model_path"]
    as_q8 = build_spec(write_file(wtype="q8_0")).settings["weights"]["diffusion_model_path"]
    # 1.42 thousand million weights: at 2 bits and a bit, and at 8.5 bits.
    assert as_they_are == pytest.approx(371e6, rel=0.01)
    assert as_q8 == pytest.approx(1.51e9, rel=0.01)


def test_localais_newer_name_is_the_same_backend() -> None:
    assert ggml.register_models is plugin.register_models
    assert ggml.load_model is plugin.load_model


def test_registering_does_not_load_the_library(write_file: Write) -> None:
    code = (
        "import sys, videoapi_stablediffusion.plugin\n"
        "print('stable_diffusion_cpp' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
