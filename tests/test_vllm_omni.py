"""`POST /video` with a vLLM-Omni engine behind it: one that answers as the real one was seen to."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from plugins.vllm_omni.tests.engine import FakeEngine
from plugins.vllm_omni.tests.fake_vllm_omni import install
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


def test_a_server_that_stops_takes_its_order_back_and_gives_it_again_when_it_is_back(
    server: Server, engine: FakeEngine
) -> None:
    engine.looks_until_done, deleted = 10_000, len(engine.deleted)
    path = server.post(REQUEST, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(path).json["phase"] == "denoising", "the engine to work")
    server.stop()
    assert len(engine.deleted) == deleted + 1
    engine.looks_until_done = 2
    server.start()
    assert server.wait_for(path, "completed", "failed")["status"] == "completed"


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


@pytest.mark.parametrize("victim", ["the model's process", "the worker", "everything"])
def test_an_engine_of_our_own_ends_with_whoever_wants_it(tmp_path: Path, victim: str) -> None:
    environment = tmp_path / "environment"
    install(environment)
    (environment / "video.mp4").write_bytes(encode_clip(greys(9), 8))
    (tmp_path / "models").mkdir()
    model = {
        "name": "omni",
        "backend": "vllm-omni",
        "parameters": {"model": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"},
        "vllm_omni": {"serve": str(environment), "environment": [f"FAKE_FOLDER={environment}"]},
    }
    (tmp_path / "models" / "omni.yaml").write_text(yaml.safe_dump(model))
    with Server(tmp_path, VIDEOAPI_MODELS_DIR=str(tmp_path / "models"), VIDEOAPI_PRELOAD="") as server:
        assert server.post(REQUEST).status == 200
        facts = json.loads((environment / "started.json").read_text())
        engine = [psutil.Process(facts["pid"]), psutil.Process(facts["child"])]
        if victim == "everything":
            server.process.kill()
            server.process.wait()
        else:
            part = "model_process" if victim == "the model's process" else "videoworker"
            (pid,) = [pid for pid, command in server.processes() if part in command]
            psutil.Process(pid).send_signal(signal.SIGKILL)
        assert not psutil.wait_procs(engine, timeout=10)[1]
        if victim != "everything":
            server.wait_until(lambda: server.post(REQUEST).status == 200, "another engine")
            facts = json.loads((environment / "started.json").read_text())
            engine = [psutil.Process(facts["pid"]), psutil.Process(facts["child"])]
            server.stop()
            assert not psutil.wait_procs(engine, timeout=10)[1]
