"""`POST /video` with a vLLM-Omni engine behind it: one that answers as the real one was seen to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.vllm_omni.tests.engine import FakeEngine
from tests.clips import encode_clip, greys
from tests.images import base64_of, plain
from tests.server import Server
from tests.videos import read

REQUEST = {"model": "omni", "prompt": "a cat", "size": "64x48", "num_frames": 8, "fps": 8, "step": 2, "seed": 5}


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngine]:
    """Its videos have nine frames, as Wan's grid makes of eight."""
    made = FakeEngine(encode_clip(greys(9), 8))
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine: FakeEngine) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("vllm-omni")
    models = folder / "models"
    models.mkdir()
    model = {
        "name": "omni",
        "backend": "vllm-omni",
        "parameters": {"model": "Wan-AI/Wan2.2-TI2V-5B-Diffusers"},
        "diffusers": {"pipeline_type": "WanPipeline"},
        "vllm_omni": {"url": engine.url},
    }
    (models / "omni.yaml").write_text(yaml.safe_dump(model))
    settings = {"VIDEOAPI_MODELS_DIR": str(models), "VIDEOAPI_PRELOAD": "", "VIDEOAPI_CHECK_SECONDS": "0.3"}
    with Server(folder, **settings) as server:
        server.wait_until(lambda: available(server)["available"], "the engine to be seen")
        yield server


def available(server: Server) -> Any:
    return next(model for model in server.get("/v1/models").json["data"] if model["id"] == "omni")


def test_the_engines_video_is_made_what_was_asked_for(server: Server, engine: FakeEngine) -> None:
    answer = server.post(REQUEST)
    assert answer.status == 200, answer.body
    video = read(server.get(answer.json["data"][0]["url"]).body)
    assert (len(video.frames), video.width, video.height, video.rate) == (8, 64, 48, 8)
    assert '"seed": 5' in video.metadata["comment"]
    assert engine.orders[-1]["num_frames"] == "9"
    assert server.get(f"/thumbnails/{answer.json['id']}.jpg").status == 200


def test_an_image_for_a_model_that_takes_none_is_refused_here(server: Server, engine: FakeEngine) -> None:
    orders = len(engine.orders)
    answer = server.post({**REQUEST, "start_image": base64_of(plain("red"))})
    assert (answer.status, answer.error["param"]) == (400, "start_image")
    for field, value in (("step", 201), ("cfg_scale", 21)):
        assert server.post({**REQUEST, field: value}).error["param"] == field
    assert len(engine.orders) == orders


def test_a_failure_of_the_engine_is_a_500_with_its_words(server: Server, engine: FakeEngine) -> None:
    engine.failure = "CUDA out of memory at /root/engine/model.py"
    answer = server.post(REQUEST)
    engine.failure = ""
    assert (answer.status, answer.error["code"]) == (500, "model_error")
    assert answer.error["message"] == "The engine failed: CUDA out of memory at model.py"
    assert server.post(REQUEST).status == 200


def test_a_cancel_reaches_the_engine(server: Server, engine: FakeEngine) -> None:
    engine.looks_until_done, deleted = 10_000, len(engine.deleted)
    path = server.post(REQUEST, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(path).json["phase"] == "denoising", "the engine to work")
    server.delete(path)
    assert server.wait_for(path, "cancelled", "failed")["status"] == "cancelled"
    engine.looks_until_done = 2
    assert len(engine.deleted) == deleted + 1


def test_an_engine_that_is_down_makes_its_model_unavailable_and_comes_back_by_itself(
    server: Server, engine: FakeEngine
) -> None:
    engine.served = "another"
    model = Path(server.folder / "models" / "omni.yaml")
    assert model.is_file()
    engine.close()
    server.wait_until(lambda: not available(server)["available"], "the loss to be noticed")
    answer = server.post(REQUEST)
    assert (answer.status, answer.error["code"]) == (503, "model_unavailable")
    assert "The engine does not answer." in answer.error["message"]
    assert answer.headers["Retry-After"]
    again = FakeEngine(encode_clip(greys(9), 8), engine.port)
    server.wait_until(lambda: available(server)["available"], "its return to be noticed")
    assert server.post(REQUEST).status == 200
    again.close()
