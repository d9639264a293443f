"""The processes of one model: they work, fail and end together, and none of them is left behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugins.diffusers.tests.test_parallel import write
from plugins.diffusers.tests.tiny.wan import make_components, make_transformer
from videoapi import ModelError
from videoapi.engine.process import Message, ModelProcess, Patience
from videoapi.exceptions import Cancelled, InvalidRequest, ModelCrashed
from videoapi_diffusers.parallel.team import GRACE_SECONDS

Folders = Callable[[str], Path]
PATIENCE = Patience(in_all=200, after_cancel=20)
# As every Python process runs it at its start. What fails there fails in one of the model's processes alone.
FAILING = """
import os, sys
if "videoapi_diffusers.parallel.follower" in sys.orig_argv:
    from videoapi import ModelError
    from videoapi_diffusers import loading
    from videoapi_diffusers.parallel import messages
    loaded, made = loading.load, messages.make_request
    def load(**settings):
        if "FAIL_TO_LOAD" in os.environ:
            raise ModelError("There is no room.")
        return loaded(**settings)
    def make_request(message, pictures):
        if message["request"]["prompt"] == "other":
            raise RuntimeError("as was asked for")
        return made(message, pictures)
    loading.load, messages.make_request = load, make_request
elif "videoapi.engine.model_process" in sys.orig_argv:
    from videoapi import ModelError
    from videoapi_diffusers.parallel import leader
    class Progress(leader.LeadingProgress):
        def phase(self, name):
            super().phase(name)
            if self.prompt == "first" and name == "denoising":
                raise ModelError("as was asked for")
        def step(self, done, total):
            if self.prompt == "between":
                raise ModelError("as was asked for")
            super().step(done, total)
    leader.LeadingProgress = Progress
    asked = leader.ParallelPipeline.generate
    def generate(self, request, progress):
        Progress.prompt = request.prompt
        return asked(self, request, progress)
    leader.ParallelPipeline.generate = generate
"""


@pytest.fixture
def start(tmp_path: Path, folders: Folders) -> Iterator[Callable[..., ModelProcess]]:
    """A model's process with a tiny Wan, loaded."""
    started = []

    def start(folder: Path | None = None, **keys: Any) -> ModelProcess:
        write(tmp_path / "wan.yaml", folder or folders("wan_text"), **keys)
        process = ModelProcess("diffusers", "wan", tmp_path)
        started.append(process)
        process.load(lambda message: False, PATIENCE)
        return process

    yield start
    others = [other for process in started if process.is_alive for other in others_of(process)]
    for process in started:
        process.kill()
    wait_until_gone(others)


@pytest.fixture(scope="session")
def three_heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WanPipeline folder whose attention can be divided by three."""
    from diffusers import WanPipeline

    folder = tmp_path_factory.mktemp("three")
    WanPipeline(**make_components(transformer=make_transformer(num_attention_heads=3))).save_pretrained(folder)
    return folder


def job(folder: Path, steps: int = 2, prompt: str = "a b c", height: int = 32) -> Message:
    part = {
        "request": {
            "prompt": prompt,
            "negative_prompt": "",
            "width": 48,
            "height": height,
            "num_frames": 9,
            "fps": 8,
            "num_inference_steps": steps,
            "guidance_scale": 4.0,
            "seed": 1,
        },
        "start_image": None,
        "end_image": None,
        "clip": None,
        "output": str(folder / "video.mp4"),
        "video": {"width": 48, "height": height, "num_frames": 9, "fps": 8},
        "metadata": None,
    }
    return {"generations": [part], "max_pixels": 1_000_000, "ffmpeg": ""}


def others_of(process: ModelProcess) -> list[psutil.Process]:
    """The processes of the model but for its first."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "videoapi_diffusers.parallel.follower" in child.cmdline()]


def wait_until_gone(processes: list[psutil.Process]) -> None:
    assert not psutil.wait_procs(processes, timeout=20)[1]


class Listener:
    """Keeps what the process says, and does something at a step."""

    def __init__(self, at_step: int = 0, act: Callable[[], Any] = lambda: True) -> None:
        self.messages: list[Message] = []
        self._at_step, self._act = at_step, act
        self._is_unwanted = False

    def __call__(self, message: Message | None) -> bool:
        if message is not None:
            self.messages.append(message)
            if message["kind"] == "step" and message["done"] == self._at_step:
                self._is_unwanted = bool(self._act())
        return self._is_unwanted

    @property
    def steps(self) -> list[tuple[int, int]]:
        return [(each["done"], each["total"]) for each in self.messages if each["kind"] == "step"]


def test_what_fails_or_is_cancelled_leaves_the_processes_to_the_next_request(start: Any, tmp_path: Path) -> None:
    process = start()
    (other,) = others_of(process)
    listener = Listener()
    process.generate(job(tmp_path, steps=3), listener, PATIENCE)
    assert listener.steps == [(1, 3), (2, 3), (3, 3)]
    phases = [each["phase"] for each in listener.messages if each["kind"] == "phase"]
    assert phases == ["encoding prompt", "denoising", "decoding", "encoding"]
    first = (tmp_path / "video.mp4").read_bytes()
    for at_step in (1, 4):
        listener = Listener(at_step)
        with pytest.raises(Cancelled, match=r"^Cancelled by the client\.$"):
            process.generate(job(tmp_path, steps=150), listener, PATIENCE)
        assert len(listener.steps) < 100
    with pytest.raises(InvalidRequest, match="cannot be shared by the 2 processes of this model; try another size"):
        process.generate(job(tmp_path, height=48), Listener(), PATIENCE)
    process.generate(job(tmp_path, steps=3), Listener(), PATIENCE)
    assert (tmp_path / "video.mp4").read_bytes() == first
    assert others_of(process) == [other], "it is the same process"
    process.close()
    wait_until_gone([other])


@pytest.mark.parametrize("moment", ["working", pytest.param("waiting", marks=pytest.mark.slow)])
def test_the_death_of_another_process_ends_the_model_with_its_reason(moment: str, start: Any, tmp_path: Path) -> None:
    process = start()
    (other,) = others_of(process)
    if moment == "waiting":
        other.kill()
        wait_until_gone([other])
    at_step = 2 if moment == "working" else 0
    words = r"Process 2 of the model's 2: it was ended by SIGKILL\. It may have run out of memory\.$"
    with pytest.raises(ModelCrashed, match=words):
        process.generate(job(tmp_path, steps=150), Listener(at_step, lambda: other.kill()), PATIENCE)
    wait_until_gone([other])
    assert not process.is_alive


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAILING)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


@pytest.mark.slow
@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("other", "It failed with RuntimeError; the server's log has the details."),
        ("first", "it does not come back after the first has failed: as was asked for"),
    ],
)
def test_an_error_of_one_process_ends_the_model_with_its_reason(
    prompt: str, words: str, start: Any, tmp_path: Path
) -> None:
    process = start()
    others = others_of(process)
    began = time.monotonic()
    with pytest.raises(ModelCrashed, match=re.escape(f"Process 2 of the model's 2: {words}")):
        process.generate(job(tmp_path, prompt=prompt), Listener(), PATIENCE)
    assert time.monotonic() - began >= GRACE_SECONDS, "it might have come back"
    wait_until_gone(others)


@pytest.mark.slow
@pytest.mark.usefixtures("failing")
def test_an_error_between_two_steps_is_a_request_that_fails_alone(start: Any, tmp_path: Path) -> None:
    process = start()
    with pytest.raises(ModelError, match=r"^as was asked for$"):
        process.generate(job(tmp_path, prompt="between"), Listener(), PATIENCE)
    process.generate(job(tmp_path), Listener(), PATIENCE)


@pytest.mark.slow
@pytest.mark.usefixtures("failing")
def test_what_another_process_cannot_load_is_an_error_of_the_load(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL_TO_LOAD", "1")
    with pytest.raises(ModelError, match=r"Process 2 of the model's 2: There is no room\."):
        start()


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_the_others_die_with_the_first(number: int, start: Any, three_heads: Path, tmp_path: Path) -> None:
    process = start(three_heads, context_parallel={"ulysses_degree": 3})
    others = others_of(process)
    assert len(others) == 2
    with pytest.raises(ModelCrashed):
        process.generate(job(tmp_path, steps=150), Listener(2, lambda: os.kill(process.pid, number)), PATIENCE)
    wait_until_gone(others)


@pytest.mark.slow
def test_the_others_of_several_die_with_one(start: Any, three_heads: Path, tmp_path: Path) -> None:
    process = start(three_heads, context_parallel={"ulysses_degree": 3})
    others = others_of(process)
    with pytest.raises(ModelCrashed, match=r"Process [23] of the model's 3: it was ended by SIGKILL\."):
        process.generate(job(tmp_path, steps=150), Listener(2, lambda: others[1].kill()), PATIENCE)
    wait_until_gone(others)


@pytest.mark.slow
def test_attention_that_cannot_be_divided_is_an_error_of_the_load(start: Any) -> None:
    with pytest.raises(ModelError, match=r"'diffusers\.context_parallel' does not work here: Native attention does"):
        start(context_parallel={"ring_degree": 2})


@pytest.mark.slow
def test_what_does_not_go_with_the_model_is_an_error_of_the_load(start: Any) -> None:
    with pytest.raises(ModelError, match="The model cannot make a video with the scheduler options: "):
        start(scheduler_options={"use_dynamic_shifting": True})


@pytest.mark.slow
def test_weights_that_cannot_be_loaded_are_an_error_of_the_load(start: Any, text_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(text_folder, tmp_path / "cut")
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="The model cannot be loaded"):
        start(folder)
