"""Model files and weights of every variant, written here in about a second."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.stablediffusion.tests import weights
from tests.conftest import missing
from videoapi import GenerationRequest, ModelFile, ModelSpec


class RecordingProgress:
    """Keeps what a pipeline reports."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.steps: list[tuple[int, int]] = []
        self.previews: list[Any] = []

    def step(self, done: int, total: int) -> None:
        self.steps.append((done, total))

    def phase(self, name: str) -> None:
        self.phases.append(name)

    def preview(self, make: Callable[[], Any]) -> None:
        self.previews.append(make())


@pytest.fixture
def progress() -> RecordingProgress:
    return RecordingProgress()


def need_library() -> None:
    """Skips the test where the library could not be compiled."""
    if importlib.util.find_spec("stable_diffusion_cpp") is None:
        missing("stable-diffusion.cpp", "g++, and then 'make clean'")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of every kind, named for it."""
    made = tmp_path_factory.mktemp("weights")
    weights.write_all(made)
    return made


@pytest.fixture(scope="session")
def write_file(folder: Path) -> Callable[..., ModelFile]:
    """Makes a model file for those weights. What is named replaces or adds keys; None leaves one out."""

    def write(model: str = "t2v.gguf", **keys: Any) -> ModelFile:
        section = {"taesd_path": "tiny_vae.gguf", "without_text_encoder": True, "n_threads": 1} | keys
        data = {
            "name": "wan",
            "backend": "stablediffusion",
            "parameters": {"model": model},
            "stablediffusion": {key: value for key, value in section.items() if value is not None},
        }
        return ModelFile(folder / "wan.yaml", data)

    return write


@pytest.fixture(scope="session")
def load_file(write_file: Callable[..., ModelFile]) -> Callable[..., tuple[ModelSpec, Any]]:
    """Loads a model of those keys with the real library."""
    from videoapi_stablediffusion.plugin import build_spec, load_model

    need_library()

    def load(*arguments: Any, **keys: Any) -> tuple[ModelSpec, Any]:
        spec = build_spec(write_file(*arguments, **keys))
        return spec, load_model(spec)

    return load


@pytest.fixture
def load(load_file: Callable[..., tuple[ModelSpec, Any]]) -> Iterator[Callable[..., tuple[ModelSpec, Any]]]:
    """The same; what it has loaded is closed after the test."""
    opened = []

    def load(*arguments: Any, **keys: Any) -> tuple[ModelSpec, Any]:
        spec, model = load_file(*arguments, **keys)
        opened.append(model)
        return spec, model

    yield load
    for model in opened:
        model.close()


@pytest.fixture(scope="module")
def t2v(load_file: Callable[..., tuple[ModelSpec, Any]]) -> Iterator[tuple[ModelSpec, Any]]:
    """The plain model, loaded once for the tests that change nothing about it."""
    spec, model = load_file()
    yield spec, model
    model.close()


@pytest.fixture
def make_request() -> Callable[..., GenerationRequest]:
    """A small request as the kernel would resolve it: with the defaults of the spec's params."""

    def make(spec: ModelSpec, *, params: dict[str, Any] | None = None, **fields: Any) -> GenerationRequest:
        defaults = {name: schema["default"] for name, schema in spec.params.items() if "default" in schema}
        small = {"width": 32, "height": 32, "num_frames": 5, "fps": 8, "num_inference_steps": 1, "seed": 1}
        plain = {"prompt": "a cat", "negative_prompt": "", "guidance_scale": 1.0}
        return GenerationRequest(**{**small, **plain, **fields, "params": defaults | (params or {})})

    return make


def run(spec: Any, model: Any, progress: Any, make_request: Callable[..., GenerationRequest], **fields: Any) -> Any:
    """The frames as one array (frames, height, width, 3)."""
    import numpy as np

    return np.stack(list(model.generate(make_request(spec, **fields), progress).frames))
