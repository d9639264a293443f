"""Attention backends and compiled blocks: what works here makes the same, what does not is an error of the load."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.diffusers.tests.tiny import TINY
from plugins.diffusers.tests.tiny.wan import make_components, make_transformer
from videoapi import ConfigurationError, InvalidRequest, ModelError, ModelFile
from videoapi_diffusers.changes import read_changes
from videoapi_diffusers.plugin import build_spec, load_model
from videoapi_diffusers.signature import known_attention_backends

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
SMALL = {"width": 48, "height": 32, "num_frames": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from diffusers import WanPipeline

    folder = tmp_path_factory.mktemp("wan")
    torch.manual_seed(0)
    WanPipeline(**make_components(transformer=make_transformer(num_layers=3))).save_pretrained(folder)
    return folder


def file(folder: Path, **diffusers: Any) -> ModelFile:
    data = {"name": "wan", "backend": "diffusers", "parameters": {"model": str(folder)}, "diffusers": diffusers}
    return ModelFile(folder / "wan.yaml", data)


def open_model(folder: Path, **diffusers: Any) -> Any:
    """With the file's default size as the kernel overlays it."""
    from dataclasses import replace

    spec = build_spec(file(folder, **diffusers))
    return load_model(replace(spec, defaults=replace(spec.defaults, **SMALL)))


@pytest.fixture
def make(make_request: Any, progress: Any) -> Any:
    def make(model: Any, **fields: Any) -> Any:
        return np.stack(list(model.generate(make_request(**fields), progress()).frames)).astype(int)

    return make


def test_the_backends_are_those_of_the_installed_diffusers() -> None:
    from diffusers.models.attention_dispatch import AttentionBackendName

    assert known_attention_backends() == sorted(backend.value for backend in AttentionBackendName)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"attention_backend": "nativ"},
            "is no attention backend of the installed diffusers: nativ; did you mean 'nat",
        ),
        (
            {"attention_backend": "sage_hub"},
            "is refused: sage_hub downloads a program and runs it; install its package",
        ),
        ({"compile": True, "warm_up": ["832x480"]}, r'a list of texts like "832x480x81": width, height, frames; not'),
        ({"compile": True, "warm_up": [81]}, r"'diffusers\.warm_up' must be a list of texts"),
        ({"compile": "yes"}, r"'diffusers\.compile' must be of type bool, not 'yes'"),
    ],
)
def test_what_cannot_be_read_is_an_error_by_its_key(folder: Path, keys: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_changes(file(folder, **keys))


def test_sizes_to_warm_up_have_no_effect_without_compilation(folder: Path) -> None:
    model_file = file(folder, warm_up=["832x480x81"])
    assert read_changes(model_file) == {}
    assert "diffusers.warm_up" in model_file.unread()


@pytest.mark.parametrize("name", ["native", "_native_math"])
def test_a_backend_that_works_here_makes_nearly_the_same(folder: Path, make: Any, name: str) -> None:
    plain = make(open_model(folder))
    model = open_model(folder, attention_backend=name)
    assert {block.attn1.processor._attention_backend.value for block in model.pipeline.transformer.blocks} == {name}
    assert np.abs(make(model) - plain).max() <= 1


def test_a_backend_is_that_of_one_model(folder: Path, make: Any) -> None:
    other = open_model(folder)
    plain = make(other)
    with pytest.raises(ModelError):
        open_model(folder, attention_backend="_native_cudnn")
    for model in (other, open_model(folder)):
        assert np.array_equal(make(model), plain)


@pytest.mark.parametrize("name", ["flash", "_flash_3", "sage", "xformers", "_native_cudnn"])
def test_a_backend_that_does_not_work_here_is_an_error_of_the_load(folder: Path, name: str) -> None:
    """None of these packages is there, and no GPU."""
    message = f"attention backend '{name}' does not work here: |make a video with the attention backend {name}: "
    with pytest.raises(ModelError, match=message):
        open_model(folder, attention_backend=name)


def test_a_pipeline_without_a_choice_of_attention_says_so(tmp_path: Path) -> None:
    TINY["animatediff"].build().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="AnimateDiffPipeline has no attention that could be calculated by 'native'"):
        open_model(tmp_path, attention_backend="native")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("animatediff", "AnimateDiffPipeline has no transformer to compile"),
        ("latte", "A LatteTransformer3DModel cannot be compiled: diffusers names no blocks of it"),
    ],
)
def test_a_pipeline_that_cannot_be_compiled_says_so(tmp_path: Path, name: str, message: str) -> None:
    TINY[name].build().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=message):
        open_model(tmp_path, compile=True)


def test_a_size_to_warm_up_that_the_model_cannot_make_is_an_error_of_the_load(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("torch.nn.Module.compile", lambda *_, **__: None)
    with pytest.raises(ModelError, match="Warming up 50x32x5: width and height must be multiples of 16"):
        open_model(folder, compile=True, warm_up=["50x32x5"])


def test_what_a_warm_up_may_not_ask_for_is_no_fault_of_a_client(folder: Path, monkeypatch: Any) -> None:
    def refuse(*_: Any) -> Any:
        raise InvalidRequest("size", "Other tiles are needed.")

    monkeypatch.setattr("torch.nn.Module.compile", lambda *_, **__: None)
    monkeypatch.setattr("videoapi_diffusers.running.pipeline.DiffusersPipeline.generate", refuse)
    with pytest.raises(ModelError, match=r"Warming up \d+x\d+x\d+: Other tiles are needed"):
        open_model(folder, compile=True)


@pytest.mark.slow
def test_a_machine_without_a_compiler_says_so(folder: Path) -> None:
    import torch._inductor.config

    message = r"Warming up 48x32x5: the model cannot be compiled here: .*compiler"
    without = {"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}
    with torch._inductor.config.patch(without), pytest.raises(ModelError, match=message):
        open_model(folder, compile=True)


def test_what_is_warmed_up_is_printed(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr("torch.nn.Module.compile", lambda *_, **__: None)
    open_model(folder, compile=True, warm_up=["32x32x5", "48x32x5"])
    lines = [line for line in capsys.readouterr().err.splitlines() if "x32x5" in line]
    assert lines[0::2] == ["Warming up 48x32x5 (1 of 2)", "Warming up 32x32x5 (2 of 2)"]
    assert [line.split(" after ")[0] for line in lines[1::2]] == ["48x32x5 is warm", "32x32x5 is warm"]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("wan_image", {}),
        ("wan_first_and_last", {}),
        ("lucy_edit", {}),
        ("wan_text", {"pipeline_type": "WanVideoToVideoPipeline"}),
    ],
)
def test_every_mode_can_be_warmed_up(tmp_path: Path, monkeypatch: Any, name: str, keys: Any) -> None:
    monkeypatch.setattr("torch.nn.Module.compile", lambda *_, **__: None)
    TINY[name].build().save_pretrained(tmp_path)
    open_model(tmp_path, compile=True, **keys)


@pytest.mark.slow
def test_compiled_blocks_make_nearly_the_same_and_the_first_request_is_warm(folder: Path, make: Any) -> None:
    plain = make(open_model(folder))
    bold = {"cache": "first_block", "cache_options": {"threshold": 1e9}}
    cached = make(open_model(folder, **bold), params={"quality": "first_block"})
    model = open_model(folder, compile=True, **bold, quality="lossless")
    started = time.monotonic()
    assert np.abs(make(model, params={"quality": "lossless"}) - plain).max() <= 1
    assert time.monotonic() - started < 5
    for _ in range(2):
        assert np.abs(make(model, params={"quality": "first_block"}) - cached).max() <= 1
        assert np.abs(make(model, params={"quality": "lossless"}) - plain).max() <= 1
