"""`POST /video` with a real vLLM-Omni behind it, on a CPU and with tiny random models.

Run with `make test-engines`, which makes the environment first; not part of `make test`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from plugins.diffusers.tests.conftest import make_components
from tests.engines.engine import ENVIRONMENT, Engine
from tests.images import base64_of, plain
from tests.server import Server, find_free_port
from tests.videos import read

KEY = {"model": "wan", "api_key": "secret"}
REQUEST = {"prompt": "a b c", "size": "64x64", "num_frames": 8, "fps": 8, "step": 2, "seed": 3}

pytestmark = pytest.mark.skipif(not ENVIRONMENT, reason="needs an environment with vLLM-Omni: make test-engines")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def text_engine(folder: Path) -> Iterator[Engine]:
    from diffusers import WanPipeline

    WanPipeline(**make_components(16)).save_pretrained(folder / "tiny-wan-t2v")
    engine = Engine(folder / "tiny-wan-t2v", folder / "text.log")
    engine.start()
    yield engine
    engine.kill()


@pytest.fixture(scope="module")
def image_model(folder: Path) -> Path:
    """Wan 2.2's kind of image to video: two experts, the frame in the latents, no image encoder."""
    from diffusers import WanImageToVideoPipeline

    path = folder / "tiny-wan-i2v"
    experts = {"transformer_2": make_components(36)["transformer"], "boundary_ratio": 0.9}
    pipeline = WanImageToVideoPipeline(**make_components(36), **experts, image_encoder=None, image_processor=None)
    pipeline.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def server(folder: Path, text_engine: Engine) -> Iterator[Server]:
    models = folder / "models"
    models.mkdir()
    write = writer(models)
    write("text", url=text_engine.url, **KEY)
    write("stranger", url=text_engine.url, **{**KEY, "model": "another"})
    write("keyless", url=text_engine.url, **{**KEY, "api_key": "wrong"})
    write("absent", url=f"http://127.0.0.1:{find_free_port()}")
    settings = {"VIDEOAPI_MODELS_DIR": str(models), "VIDEOAPI_PRELOAD": "", "VIDEOAPI_CHECK_SECONDS": "0.5"}
    with Server(folder, **settings) as server:
        server.wait_until(lambda: model(server, "text")["available"], "the engine to be seen")
        yield server


def writer(models: Path) -> Callable[..., None]:
    def write(name: str, weights: Path | None = None, **section: Any) -> None:
        data = {"name": name, "backend": "vllm-omni", "vllm_omni": section}
        if weights is not None:
            data["parameters"] = {"model": str(weights)}
        if weights is None or not weights.is_dir():
            data["diffusers"] = {"pipeline_type": "WanPipeline"}
        (models / f"{name}.yaml").write_text(yaml.safe_dump(data))

    return write


def model(server: Server, name: str) -> Any:
    return next(entry for entry in server.get("/v1/models").json["data"] if entry["id"] == name)


def test_text_makes_the_video_that_was_asked_for(server: Server) -> None:
    first, again, other = (server.post({**REQUEST, "model": "text", "seed": seed}) for seed in (3, 3, 4))
    assert first.status == 200, first.body
    videos = [read(server.get(answer.json["data"][0]["url"]).body) for answer in (first, again, other)]
    assert (len(videos[0].frames), videos[0].width, videos[0].rate) == (8, 64, 8)
    assert (videos[0].frames == videos[1].frames).all()
    assert not (videos[0].frames == videos[2].frames).all()


def test_its_params_and_limits(server: Server) -> None:
    assert server.post({**REQUEST, "model": "text", "params": {"flow_shift": 5.0}}).status == 200
    for field, value in (("step", 201), ("cfg_scale", 20.5), ("start_image", base64_of(plain("red")))):
        answer = server.post({**REQUEST, "model": "text", field: value})
        assert (answer.status, answer.error["param"]) == (400, field)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stranger", "The engine serves wan, not another."),
        ("keyless", "The engine does not accept the api_key."),
        ("absent", "The engine does not answer."),
    ],
)
def test_an_engine_that_cannot_serve_the_model_is_a_503_that_says_why(server: Server, name: str, reason: str) -> None:
    server.wait_until(lambda: "reason" in model(server, name), "the check")
    answer = server.post({**REQUEST, "model": name})
    assert (answer.status, answer.error["code"]) == (503, "model_unavailable")
    assert reason in answer.error["message"]


def test_a_cancel_ends_the_generation_and_the_next_one_is_made(server: Server) -> None:
    path = server.post({**REQUEST, "model": "text", "step": 200}, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(path).json["phase"] == "denoising", "the engine to work")
    server.delete(path)
    assert server.wait_for(path, "cancelled", "completed", "failed")["status"] == "cancelled"
    assert server.post({**REQUEST, "model": "text"}).status == 200


def test_an_engine_that_is_killed_fails_its_job_and_comes_back_by_itself(server: Server, text_engine: Engine) -> None:
    path = server.post({**REQUEST, "model": "text", "step": 200}, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(path).json["phase"] == "denoising", "the engine to work")
    text_engine.kill()
    error = server.wait_for(path, "failed", "completed")["error"]
    assert error["message"] == "The engine stopped answering while it made the video."
    server.wait_until(lambda: not model(server, "text")["available"], "the loss to be noticed")
    assert server.post({**REQUEST, "model": "text"}).status == 503
    text_engine.start()
    server.wait_until(lambda: model(server, "text")["available"], "its return to be noticed")
    assert server.post({**REQUEST, "model": "text"}).status == 200


def test_an_engine_that_is_down_at_the_start_is_found_when_it_comes(folder: Path, text_engine: Engine) -> None:
    place = folder / "later"
    (place / "models").mkdir(parents=True)
    text_engine.kill()
    writer(place / "models")("text", url=text_engine.url, **KEY)
    settings = {"VIDEOAPI_MODELS_DIR": str(place / "models"), "VIDEOAPI_PRELOAD": "", "VIDEOAPI_CHECK_SECONDS": "0.5"}
    with Server(place, **settings) as server:
        server.wait_until(lambda: "reason" in model(server, "text"), "the check")
        assert server.post({**REQUEST, "model": "text"}).status == 503
        text_engine.start()
        server.wait_until(lambda: model(server, "text")["available"], "the engine to be seen")
        assert server.post({**REQUEST, "model": "text"}).status == 200


@pytest.fixture
def own(folder: Path, image_model: Path) -> Iterator[Server]:
    """It starts the engine itself."""
    models = folder / "own" / "models"
    models.mkdir(parents=True, exist_ok=True)
    section = {"serve": ENVIRONMENT, "environment": ["OMP_NUM_THREADS=1"]}
    writer(models)("ours", image_model, kill_on_cancel=True, **section)
    writer(models)("nothing", folder / "no-such-model", **section)
    with Server(folder / "own", VIDEOAPI_MODELS_DIR=str(models), VIDEOAPI_PRELOAD="") as server:
        yield server


def test_an_engine_of_our_own_makes_videos_from_a_first_frame_comes_back_and_ends_with_the_server(own: Server) -> None:
    server = own
    order = {**REQUEST, "model": "ours", "start_image": base64_of(plain("red"))}
    path = server.post(order, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(path).json["detail"], "the engine's first words")
    assert server.get(path).json["phase"] == "loading"
    body = server.wait_for(path, "completed", "failed")
    assert body["status"] == "completed", body["error"]
    red = read(server.get(body["data"][0]["url"]).body)
    assert (len(red.frames), red.width, red.rate) == (8, 64, 8)
    blue = server.post({**order, "start_image": base64_of(plain("blue"))})
    assert not (read(server.get(blue.json["data"][0]["url"]).body).frames == red.frames).all()

    # Killed while it works, it fails the job and is there again for the next one.
    path = server.post({**order, "step": 200}, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(path).json["phase"] == "denoising", "the engine to work")
    processes = engines(server)
    processes[0].kill()
    message = server.wait_for(path, "failed", "completed")["error"]["message"]
    assert message.startswith("While it made the video, the engine was ended by SIGKILL.")
    assert server.post(order).status == 200
    assert not [process for process in processes if process.is_running()]

    # A cancel kills it, because the model file says so.
    processes = engines(server)
    path = server.post({**order, "step": 200}, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(path).json["phase"] == "denoising", "the engine to work")
    server.delete(path)
    server.wait_for(path, "cancelled")
    server.wait_until(lambda: not processes[0].is_running(), "the engine to be killed")
    assert server.post(order).status == 200

    processes = engines(server)
    assert len(processes) > 1
    server.stop()
    assert not psutil.wait_procs(processes, timeout=5)[1]


def test_a_model_that_the_engine_cannot_serve_is_an_error_with_its_words(own: Server) -> None:
    answer = own.post({**REQUEST, "model": "nothing"})
    assert (answer.status, answer.error["code"]) == (500, "model_error")
    assert answer.error["message"].startswith("While it started, the engine ended with status 1. Its last words: ")
    assert "Repo id must be in the form" in answer.error["message"]


def engines(server: Server) -> list[psutil.Process]:
    """vllm-omni's own process and those below it, of this server's."""
    found = psutil.Process(server.process.pid).children(recursive=True)
    guards = [process for process in found if "guard.py" in " ".join(process.cmdline())]
    assert len(guards) == 1
    return guards[0].children(recursive=True)
