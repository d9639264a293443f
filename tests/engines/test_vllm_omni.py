"""`POST /video` with a real vLLM-Omni behind it, on a CPU and with tiny random models.

Run with `make test-engines`, which makes the environment first; not part of `make test`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.diffusers.tests.conftest import make_components
from tests.images import base64_of, plain
from tests.server import Server, find_free_port, send
from tests.videos import read

ENVIRONMENT = os.environ.get("VIDEOAPI_TEST_VLLM_OMNI", "")
START_SECONDS = 180
REQUEST = {"prompt": "a b c", "size": "64x64", "num_frames": 8, "fps": 8, "step": 2, "seed": 3}

pytestmark = pytest.mark.skipif(not ENVIRONMENT, reason="needs an environment with vLLM-Omni: make test-engines")


class Engine:
    """A vLLM-Omni server of a model's folder, with a key."""

    def __init__(self, model: Path, log: Path, served: str = "wan") -> None:
        self.port, self.served = find_free_port(), served
        self.url = f"http://127.0.0.1:{self.port}"
        self._model, self._log = model, log

    def start(self) -> None:
        command = [f"{ENVIRONMENT}/bin/vllm-omni", "serve", str(self._model), "--omni", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--served-model-name", self.served, "--api-key", "secret"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        end = time.monotonic() + START_SECONDS
        while not self.is_up():
            assert self.process.poll() is None, self._log.read_text()[-4000:]
            assert time.monotonic() < end, self._log.read_text()[-4000:]
            time.sleep(0.5)

    def is_up(self) -> bool:
        try:
            return send(urllib.request.Request(f"{self.url}/health"), timeout=2).status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """With whatever it has started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


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
def server(folder: Path, text_engine: Engine) -> Iterator[Server]:
    models = folder / "models"
    models.mkdir()
    write = writer(models)
    write("text", text_engine.url)
    write("stranger", text_engine.url, model="another")
    write("keyless", text_engine.url, api_key="wrong")
    write("absent", f"http://127.0.0.1:{find_free_port()}")
    settings = {"VIDEOAPI_MODELS_DIR": str(models), "VIDEOAPI_PRELOAD": "", "VIDEOAPI_CHECK_SECONDS": "0.5"}
    with Server(folder, **settings) as server:
        server.wait_until(lambda: model(server, "text")["available"], "the engine to be seen")
        yield server


def writer(models: Path) -> Callable[..., None]:
    def write(name: str, url: str, **keys: str) -> None:
        section = {"url": url, "model": "wan", "api_key": "secret", **keys}
        data = {
            "name": name,
            "backend": "vllm-omni",
            "diffusers": {"pipeline_type": "WanPipeline"},
            "vllm_omni": section,
        }
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
