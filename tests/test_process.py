"""Real model processes: started, talked to, cancelled, killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import find_processes
from tests.videos import read
from videoapi.engine.process import Message, ModelProcess, Patience
from videoapi.exceptions import Cancelled, InvalidRequest, ModelCrashed, ModelError, TimedOut

pytestmark = pytest.mark.usefixtures("faulty")

PATIENCE = Patience(in_all=60, after_cancel=5)


class Listener:
    """Keeps what the process says, and its silence after that; asks to cancel from the first `cancel_at` on."""

    def __init__(self, cancel_at: str = "") -> None:
        self.messages: list[Message] = []
        self.cancel_at = cancel_at

    def __call__(self, message: Message | None) -> bool:
        if message or self.messages:
            self.messages.append(message or {"kind": "silence"})
        return any(message["kind"] == self.cancel_at for message in self.messages)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ModelProcess]]:
    started = []

    def start(kind: str, memory_mib: int = 0) -> ModelProcess:
        process = ModelProcess("faulty", f"faulty-{kind}", tmp_path, memory_mib)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def job(folder: Path, steps: int = 4, frames: int = 5) -> Message:
    part = {
        "request": {
            "prompt": "anything",
            "negative_prompt": "",
            "width": 64,
            "height": 48,
            "num_frames": 5,
            "fps": 5,
            "num_inference_steps": steps,
            "guidance_scale": 5.0,
            "seed": 1,
        },
        "start_image": None,
        "end_image": None,
        "clip": None,
        "output": str(folder / "video.mp4"),
        "video": {"width": 64, "height": 48, "num_frames": frames, "fps": 5},
        "metadata": None,
    }
    return {"generations": [part], "max_pixels": 1_000_000, "ffmpeg": ""}


def pid_of(process: ModelProcess) -> int:
    return process._process.pid


def test_a_models_process_knows_no_secret_of_the_server(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = (
        "SECRET_KEY",
        "DATABASE_URL",
        "VIDEOAPI_WEBHOOK_SECRET",
        "PGPASSWORD",
        "AWS_SECRET_ACCESS_KEY",
        "DJANGO_SUPERUSER_PASSWORD",
    )
    for name in (*secrets, "HF_TOKEN"):
        monkeypatch.setenv(name, "confidential")
    process = start("good")
    given = Path(f"/proc/{process.pid}/environ").read_bytes().decode().split("\0")
    names = {variable.partition("=")[0] for variable in given}
    assert names.isdisjoint(secrets)
    assert {"HF_TOKEN", "PATH"} <= names


@pytest.mark.parametrize("memory_mib", [0, 400])
def test_a_models_process_takes_no_more_memory_than_it_may(start: Any, tmp_path: Path, memory_mib: int) -> None:
    process = start("hungry", memory_mib)
    process.load(Listener(), PATIENCE)
    if memory_mib:
        with pytest.raises(ModelError, match="ran out of memory; try a smaller width") as raised:
            process.generate(job(tmp_path), Listener(), PATIENCE)
        assert raised.value.code == "out_of_memory"
    else:
        process.generate(job(tmp_path), Listener(), PATIENCE)
    process.generate(job(tmp_path, steps=1), Listener(), PATIENCE)
    assert process.is_alive


def test_a_job_reports_phases_and_steps_and_makes_the_file(start: Any, tmp_path: Path) -> None:
    process, listener = start("good"), Listener()
    process.load(listener, PATIENCE)
    done = process.generate(job(tmp_path), listener, PATIENCE)
    phases = [message["phase"] for message in listener.messages if message["kind"] == "phase"]
    steps = [(message["done"], message["total"]) for message in listener.messages if message["kind"] == "step"]
    assert phases == ["denoising", "decoding", "encoding"]
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert set(done["timings"]) == {"generating", "denoising", "decoding", "encoding"}
    assert len(read((tmp_path / "video.mp4").read_bytes()).frames) == 5


def test_the_model_stays_warm_between_jobs(start: Any, tmp_path: Path) -> None:
    process = start("good")
    process.load(Listener(), PATIENCE)
    pids = set()
    for _ in range(3):
        process.generate(job(tmp_path), Listener(), PATIENCE)
        pids.add(pid_of(process))
    assert len(pids) == 1
    assert process.is_alive


def test_a_cancel_stops_at_the_next_step_and_keeps_the_process(start: Any, tmp_path: Path) -> None:
    process, listener = start("slow"), Listener(cancel_at="step")
    process.load(Listener(), PATIENCE)
    with pytest.raises(Cancelled):
        process.generate(job(tmp_path, steps=50), listener, PATIENCE)
    steps = [message["done"] for message in listener.messages if message["kind"] == "step"]
    assert max(steps) < 6
    process.generate(job(tmp_path, steps=1), Listener(), PATIENCE)
    assert process.is_alive


def test_a_cancel_stops_between_two_frames_that_are_made_one_by_one(start: Any, tmp_path: Path) -> None:
    process, listener = start("leisurely"), Listener(cancel_at="frame")
    process.load(Listener(), PATIENCE)
    with pytest.raises(Cancelled):
        process.generate(job(tmp_path), listener, PATIENCE)
    assert not (tmp_path / "video.jpg").exists(), "it was not encoded to the end"
    assert process.is_alive


def test_frames_that_are_made_one_by_one_are_no_silence(start: Any, tmp_path: Path) -> None:
    process = start("leisurely")
    process.load(Listener(), PATIENCE)
    done = process.generate(job(tmp_path), Listener(), Patience(in_all=60, silent=1.2))
    assert done["timings"]["decoding"] > 1.2


def test_a_model_that_does_not_heed_a_cancel_is_killed(start: Any, tmp_path: Path) -> None:
    process = start("deaf")
    process.load(Listener(), PATIENCE)
    with pytest.raises(Cancelled, match="by force"):
        process.generate(job(tmp_path, steps=300), Listener(cancel_at="silence"), Patience(in_all=60, after_cancel=0.5))
    assert not process.is_alive


def test_a_job_that_takes_too_long_is_ended(start: Any, tmp_path: Path) -> None:
    process = start("slow")
    process.load(Listener(), PATIENCE)
    with pytest.raises(TimedOut, match="took longer than 1 seconds"):
        process.generate(job(tmp_path, steps=300), Listener(), Patience(in_all=1))
    assert not process.is_alive


def test_a_model_that_shows_no_progress_is_ended(start: Any, tmp_path: Path) -> None:
    process = start("deaf")
    process.load(Listener(), PATIENCE)
    with pytest.raises(TimedOut, match="made no progress for 1 seconds"):
        process.generate(job(tmp_path, steps=300), Listener(), Patience(in_all=60, silent=1))
    assert not process.is_alive


def test_a_slow_model_that_shows_progress_is_left_alone(start: Any, tmp_path: Path) -> None:
    process = start("slow")
    process.load(Listener(), PATIENCE)
    assert process.generate(job(tmp_path, steps=20), Listener(), Patience(in_all=60, silent=1))


def test_a_model_without_memory_says_what_to_lower_and_makes_the_next_one(start: Any, tmp_path: Path) -> None:
    process = start("greedy")
    process.load(Listener(), PATIENCE)
    with pytest.raises(ModelError, match="try a smaller width, height or num_frames") as error:
        process.generate(job(tmp_path, steps=9), Listener(), PATIENCE)
    assert error.value.code == "out_of_memory"
    assert process.generate(job(tmp_path, steps=1), Listener(), PATIENCE)


def test_a_model_that_cannot_be_loaded_says_why(start: Any) -> None:
    with pytest.raises(ModelError, match="The weights are missing"):
        start("load-error").load(Listener(), PATIENCE)
    with pytest.raises(ModelCrashed, match=r"SIGABRT\. Its last words: cannot map weights\.bin$"):
        start("load-crash").load(Listener(), PATIENCE)


def test_a_crash_without_a_word_says_how_it_ended_alone(start: Any, tmp_path: Path) -> None:
    process = start("segfault")
    process.load(Listener(), PATIENCE)
    with pytest.raises(ModelCrashed, match=r"was ended by SIGSEGV\.$"):
        process.generate(job(tmp_path), Listener(), PATIENCE)


def test_previews_that_cannot_be_written_are_left_out_and_logged_once(start: Any, tmp_path: Path) -> None:
    process, listener = start("slow"), Listener()
    process.load(listener, PATIENCE)
    (tmp_path / "preview.new.jpg").mkdir()
    assert process.generate(job(tmp_path, steps=25), listener, PATIENCE)
    assert not [message for message in listener.messages if message["kind"] == "preview"]
    assert process.output.text().count("a preview could not be made and is left out") == 1


def test_a_preview_that_a_model_cannot_make_costs_no_video(start: Any, tmp_path: Path) -> None:
    process, listener = start("blind"), Listener()
    process.load(listener, PATIENCE)
    assert process.generate(job(tmp_path), listener, PATIENCE)
    assert "IndexError" in process.output.text()


def test_a_model_that_prints_without_end_is_not_held_up(start: Any, tmp_path: Path) -> None:
    process = start("chatty")
    process.load(Listener(), PATIENCE)
    assert process.generate(job(tmp_path), Listener(), PATIENCE)
    assert process.output.text().splitlines()[-1].startswith("49999 x")


def test_a_model_that_cannot_be_stopped_is_killed_at_a_cancel_without_being_asked(start: Any, tmp_path: Path) -> None:
    process = start("stubborn")
    process.load(Listener(), PATIENCE)
    started = time.monotonic()
    with pytest.raises(Cancelled, match="by force"):
        process.generate(job(tmp_path, steps=300), Listener(cancel_at="silence"), Patience(in_all=60, after_cancel=0))
    assert time.monotonic() - started < 2
    assert not process.is_alive


def test_a_plugins_refusal_keeps_its_field(start: Any, tmp_path: Path) -> None:
    process = start("refuse")
    process.load(Listener(), PATIENCE)
    with pytest.raises(InvalidRequest) as error:
        process.generate(job(tmp_path), Listener(), PATIENCE)
    assert error.value.field == "prompt"


def test_closing_ends_the_process(start: Any) -> None:
    process = start("good")
    process.load(Listener(), PATIENCE)
    process.close()
    assert not process.is_alive


def test_the_process_dies_with_the_one_that_started_it(tmp_path: Path) -> None:
    marker = f"TEST_MARKER={tmp_path.name}-{os.getpid()}"
    name, _, value = marker.partition("=")
    code = (
        "import pathlib, time; from videoapi.engine.process import ModelProcess, Patience\n"
        f"process = ModelProcess('faulty', 'faulty-slow', pathlib.Path({str(tmp_path)!r}))\n"
        "patience = Patience(in_all=600)\n"
        "process.load(lambda message: False, patience)\n"
        "print('ready', flush=True)\n"
        f"process.generate({job(tmp_path, steps=1000)!r}, lambda message: False, patience)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, name: value}, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    assert len(find_processes(marker)) >= 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 10
    while find_processes(marker) and time.monotonic() < end:
        time.sleep(0.05)
    assert find_processes(marker) == []
