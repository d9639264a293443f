"""Specs from model files, and whether the engine serves them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.vllm_omni.tests.engine import FakeEngine
from videoapi import ConfigurationError, ModelFile, ModelSpec
from videoapi_vllm_omni.plugin import build_spec, check_model

T2V = "Wan-AI/Wan2.2-T2V-A14B-Diffusers"


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    made = FakeEngine()
    yield made
    made.close()


def make(model: str = T2V, url: str = "http://gpu:8000", **keys: Any) -> ModelSpec:
    section = {"url": url, **keys.pop("vllm_omni", {})}
    data = {"name": "wan", "backend": "vllm-omni", "parameters": {"model": model}, "vllm_omni": section, **keys}
    return build_spec(ModelFile(Path("wan.yaml"), data))


@pytest.mark.parametrize(
    ("model", "modes", "multiple", "fps"),
    [
        (T2V, {"text"}, 16, 16),
        ("Wan-AI/Wan2.2-I2V-A14B-Diffusers", {"first_frame"}, 16, 16),
        ("Wan-AI/Wan2.2-TI2V-5B-Diffusers", {"text", "first_frame"}, 32, 24),
    ],
)
def test_a_hub_id_tells_what_the_model_takes(model: str, modes: set[str], multiple: int, fps: int) -> None:
    spec = make(model)
    assert (spec.modes, spec.size_multiple, spec.defaults.fps) == (modes, multiple, fps)
    assert spec.frame_grid.next_up(16) == 17
    assert (spec.limits.max_steps, spec.limits.max_guidance_scale) == (200, 20.0)


def test_a_folder_tells_it_by_its_index(tmp_path: Path) -> None:
    index = tmp_path / "model_index.json"
    index.write_text(json.dumps({"_class_name": "WanImageToVideoPipeline"}))
    assert make(str(tmp_path)).modes == {"first_frame"}
    index.write_text(json.dumps({"_class_name": "WanPipeline", "expand_timesteps": True}))
    assert make(str(tmp_path)).modes == {"text", "first_frame"}


def test_the_class_in_the_file_comes_first() -> None:
    assert make("own", diffusers={"pipeline_type": "WanPipeline"}).modes == {"text"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "own"}, "'diffusers.pipeline_type' is needed, for the engine does not say it; one of: WanPipeline"),
        ({"diffusers": {"pipeline_type": "Other"}}, "'diffusers.pipeline_type' is needed, for the engine does not"),
        ({"url": ""}, "'vllm_omni.url' must be the address of a vLLM-Omni server, such as http://gpu:8000"),
        ({"url": "file:///etc/passwd"}, "'vllm_omni.url' must be the address"),
        ({"vllm_omni": {"api_key_env": "NO_SUCH_KEY"}}, "'vllm_omni.api_key_env' names NO_SUCH_KEY, which is not set"),
        ({"vllm_omni": {"loras": ["a"]}}, "'vllm_omni.loras' must be a list of {name: ..., path: ...}"),
    ],
)
def test_what_is_wrong_is_named_by_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        make(**changes)
    assert error.value.message.startswith(f"wan.yaml: {message}")


def test_the_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_KEY", "secret")
    assert make(vllm_omni={"api_key_env": "ENGINE_KEY"}).settings["api_key"] == "secret"


def test_loras_are_chosen_by_the_operators_names() -> None:
    spec = make(vllm_omni={"loras": [{"name": "style", "path": "/on/the/engine"}]})
    assert spec.params["lora"]["properties"]["name"] == {"enum": ["style"]}
    assert "lora" not in make().params


def test_an_engine_that_serves_the_model_is_available(engine: FakeEngine) -> None:
    assert check_model(make(url=engine.url)) == ""
    assert check_model(make(url=engine.url + "/v1/", vllm_omni={"model": "wan"})) == ""


def test_why_an_engine_is_not_available(engine: FakeEngine) -> None:
    assert check_model(make(url=engine.url, vllm_omni={"model": "ltx"})) == "The engine serves wan, not ltx."
    engine.api_key = "secret"
    assert check_model(make(url=engine.url)) == "The engine does not accept the api_key."
    assert check_model(make(url=engine.url, vllm_omni={"api_key": "secret"})) == ""
    engine.close()
    assert check_model(make(url=engine.url)) == "The engine does not answer."
