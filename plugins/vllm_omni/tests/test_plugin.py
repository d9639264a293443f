"""Specs from model files, and whether the engine serves them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.vllm_omni.tests.engine import FakeEngine
from videoapi import ConfigurationError, ModelFile, ModelSpec
from videoapi_vllm_omni.families import FAMILIES
from videoapi_vllm_omni.plugin import check_model, inspect_model
from videoapi_vllm_omni.spec import build_spec

T2V = "Wan-AI/Wan2.2-T2V-A14B-Diffusers"


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    made = FakeEngine()
    yield made
    made.close()


def make(model: str = T2V, url: str = "http://gpu:8000", **keys: Any) -> ModelSpec:
    section = {**({"url": url} if url else {}), **keys.pop("vllm_omni", {})}
    data = {"name": "wan", "backend": "vllm-omni", "parameters": {"model": model}, "vllm_omni": section, **keys}
    return build_spec(ModelFile(Path("wan.yaml"), data))


@pytest.mark.parametrize(
    ("model", "modes", "multiple", "fps"),
    [
        (T2V, {"text"}, 16, 16),
        ("Wan-AI/Wan2.2-I2V-A14B-Diffusers", {"first_frame"}, 16, 16),
        ("Wan-AI/Wan2.2-TI2V-5B-Diffusers", {"text", "first_frame"}, 32, 24),
        ("hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-480p_t2v", {"text"}, 16, 24),
        ("Lightricks/LTX-2", {"text", "first_frame"}, 32, 24),
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


@pytest.mark.parametrize("family", FAMILIES)
def test_the_defaults_of_every_family_are_its_own_sizes(family: str) -> None:
    spec = make("own", diffusers={"pipeline_type": family})
    assert spec.defaults.width % spec.size_multiple == spec.defaults.height % spec.size_multiple == 0
    assert spec.frame_grid.next_up(spec.defaults.num_frames) == spec.defaults.num_frames


def test_the_boundary_between_two_experts_is_the_models_own(tmp_path: Path) -> None:
    index = {"_class_name": "WanPipeline", "boundary_ratio": 0.9}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert make(str(tmp_path)).params["boundary_ratio"]["default"] == 0.9
    assert "default" not in make().params["boundary_ratio"]
    assert make("Wan-AI/Wan2.2-I2V-A14B-Diffusers").params["boundary_ratio"]["default"] == 0.9


def test_only_the_params_that_a_family_reads_are_offered() -> None:
    assert {"flow_shift", "boundary_ratio", "guidance_scale_2"} == make().params.keys()
    assert not make("Lightricks/LTX-2").params


def test_an_image_models_index_stays_one_with_expand_timesteps(tmp_path: Path) -> None:
    index = {"_class_name": "WanImageToVideoPipeline", "expand_timesteps": True}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert make(str(tmp_path)).modes == {"first_frame"}


def test_the_file_may_say_what_a_model_takes_that_is_not_known() -> None:
    spec = make("own", vllm_omni={"modes": ["text", "first_frame"], "size_multiple": 64, "frame_grid": "8k+1"})
    assert (spec.modes, spec.size_multiple) == ({"text", "first_frame"}, 64)
    assert (spec.frame_grid.step, spec.frame_grid.offset) == (8, 1)
    assert make(vllm_omni={"frame_grid": "33k"}).frame_grid.next_up(34) == 66


def test_an_engine_of_our_own_is_started_with_the_model_and_the_operators_arguments() -> None:
    section = {"serve": "/opt/omni", "arguments": ["--usp", "2"], "environment": ["OMP_NUM_THREADS=1"]}
    settings = make(url="", vllm_omni=section).settings
    assert settings["arguments"] == [T2V, "--omni", "--served-model-name", "wan", "--usp", "2"]
    assert settings["environment"] == {"OMP_NUM_THREADS": "1"}
    assert (settings["model"], settings["kill_on_cancel"], "url" in settings) == ("wan", False, False)


def test_the_operator_lets_clients_send_some_extra_params() -> None:
    spec = make(vllm_omni={"extra_params": [{"name": "eta", "type": "number", "default": 0.1}]})
    assert spec.params["eta"] == {"type": "number", "default": 0.1}
    assert spec.settings["extra"] == ["eta"]


def test_the_class_in_the_file_comes_first() -> None:
    assert make("own", diffusers={"pipeline_type": "WanPipeline"}).modes == {"text"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "own"}, "'diffusers.pipeline_type' is needed, for the engine does not say what it takes; one"),
        ({"diffusers": {"pipeline_type": "Other"}}, "'diffusers.pipeline_type' is needed, for the engine does not"),
        ({"url": ""}, "'vllm_omni.url' must be the address of a vLLM-Omni server, such as http://gpu:8000"),
        ({"url": "file:///etc/passwd"}, "'vllm_omni.url' must be the address"),
        ({"vllm_omni": {"api_key_env": "NO_SUCH_KEY"}}, "'vllm_omni.api_key_env' names NO_SUCH_KEY, which is not set"),
        ({"vllm_omni": {"serve": "/opt/omni"}}, "'vllm_omni.serve' starts a server, and 'vllm_omni.url' is one that"),
        (
            {"url": "", "model": "", "diffusers": {"pipeline_type": "WanPipeline"}, "vllm_omni": {"serve": "/opt"}},
            "'parameters.model' must be the folder or the hub id of the model to serve",
        ),
        (
            {"url": "", "vllm_omni": {"serve": "/opt", "arguments": ["--port=1"]}},
            "'vllm_omni.arguments' cannot have --port=1, which is chosen here",
        ),
        (
            {"url": "", "vllm_omni": {"serve": "/opt", "arguments": [2]}},
            "'vllm_omni.arguments' must be a list of texts",
        ),
        (
            {"url": "", "vllm_omni": {"serve": "/opt", "arguments": ["--served_model_name", "b"]}},
            "'vllm_omni.arguments' cannot have --served_model_name, which is chosen here",
        ),
        (
            {"url": "", "vllm_omni": {"serve": "/opt", "environment": ["A=1", "VLLM_API_KEY=x"]}},
            "'vllm_omni.environment' must be a list of NAME=value, without the key; not VLLM_API_KEY=x",
        ),
        ({"url": "http://[bad"}, "'vllm_omni.url' must be the address"),
        ({"url": "http://gpu:999999"}, "'vllm_omni.url' must be the address"),
        (
            {"vllm_omni": {"loras": [{"name": "a", "path": "b"}, {"name": "a", "path": "c"}]}},
            "'vllm_omni.loras' has two of the name a",
        ),
        (
            {"vllm_omni": {"extra_params": [{"name": "lora"}]}},
            "'vllm_omni.extra_params' cannot have lora, which is a field of its own",
        ),
        ({"vllm_omni": {"modes": ["clip"]}}, "'vllm_omni.modes' has 'clip'; there are text, first_frame"),
        ({"vllm_omni": {"frame_grid": "4n+1"}}, "'vllm_omni.frame_grid' must be like 4k+1, not 4n+1"),
        ({"vllm_omni": {"extra_params": ["eta"]}}, "'vllm_omni.extra_params' must be a list of {name: ..., and a JSON"),
        (
            {"vllm_omni": {"extra_params": [{"name": "flow_shift"}]}},
            "'vllm_omni.extra_params' cannot have flow_shift, which is a field of its own",
        ),
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
    engine.api_key, engine.health = "", 503
    assert check_model(make(url=engine.url)) == "The engine answers with HTTP 503."
    engine.close()
    assert check_model(make(url=engine.url)) == "The engine does not answer."


def test_an_engine_of_our_own_is_available_where_its_program_is(tmp_path: Path) -> None:
    spec = make(url="", vllm_omni={"serve": str(tmp_path)})
    assert check_model(spec).startswith("The vLLM-Omni that 'vllm_omni.serve' of the model file names is not on this")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "vllm-omni").touch(mode=0o755)
    assert check_model(spec) == ""


def test_another_version_than_the_tested_one_is_a_warning(engine: FakeEngine, tmp_path: Path) -> None:
    spec = make(url=engine.url)
    assert inspect_model(spec) == ()
    engine.version = "0.31.0"
    assert inspect_model(spec) == ["its engine is vllm-omni 0.31.0; 0.30.0 is the one that was tested."]
    engine.close()
    assert inspect_model(spec) == ()
    (tmp_path / "lib/python3.12/site-packages/vllm_omni-0.29.1.dist-info").mkdir(parents=True)
    assert inspect_model(make(url="", vllm_omni={"serve": str(tmp_path)})) == [
        "its engine is vllm-omni 0.29.1; 0.30.0 is the one that was tested."
    ]
