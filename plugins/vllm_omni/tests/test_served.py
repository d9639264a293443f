"""An engine of our own: a real process with children, started, watched and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugins.vllm_omni.tests.fake_vllm_omni import ROOT, install
from plugins.vllm_omni.tests.test_pipeline import Progress, request
from videoapi import Cancelled, ModelError
from videoapi_vllm_omni import engine as client
from videoapi_vllm_omni import served as module
from videoapi_vllm_omni.loading import load
from videoapi_vllm_omni.pipeline import EnginePipeline
from videoapi_vllm_omni.served import ServedEngine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An environment with a program that behaves like vllm-omni."""
    install(tmp_path)
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., EnginePipeline]]:
    """Loads a pipeline around the program, and closes it in the end."""
    made: list[EnginePipeline] = []

    def start(**settings: Any) -> EnginePipeline:
        arguments = ["/weights/wan", "--omni", "--served-model-name", "wan"]
        environment = {"FAKE_FOLDER": str(folder)}
        made.append(
            load(
                model="wan",
                loras={},
                extra=[],
                serve=str(folder),
                arguments=arguments,
                environment=environment,
                **settings,
            )
        )
        return made[-1]

    yield start
    for pipeline in made:
        pipeline.close()


def started(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "started.json").read_text())
    return facts


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_is_started_with_a_key_of_its_own_and_without_our_secrets(
    folder: Path,
    start: Callable[..., EnginePipeline],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VIDEOAPI_SECRET_KEY", "ours")
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("HF_HOME", "/models")
    monkeypatch.setenv("ENGINE_KEY", "another engine's")
    pipeline = start()
    assert pipeline.generate(request(), Progress()).file is not None
    facts = started(folder)
    assert facts["words"][:5] == ["serve", "/weights/wan", "--omni", "--served-model-name", "wan"]
    assert facts["words"][5:8] == ["--host", "127.0.0.1", "--port"]
    key = facts["environment"]["VLLM_API_KEY"]
    assert len(key) == 32
    assert key not in " ".join(facts["words"])
    assert not {"VIDEOAPI_SECRET_KEY", "PYTHONPATH", "ENGINE_KEY"} & facts["environment"].keys()
    assert facts["environment"]["HF_HOME"] == "/models"
    assert "Loading shards: 50%" in capfd.readouterr().out


@pytest.mark.parametrize("mood", ["ready", "stuck"])
def test_it_ends_with_its_children_and_its_files(folder: Path, start: Callable[..., EnginePipeline], mood: str) -> None:
    (folder / mood).touch()
    pipeline = start()
    facts = started(folder)
    assert (Path(facts["storage"]) / "leftover").exists()
    pipeline.close()
    until(lambda: is_gone(facts["pid"]) and is_gone(facts["child"]), 1)
    until(lambda: not Path(facts["storage"]).exists(), 1)


def test_it_ends_when_the_process_that_wants_it_is_killed(folder: Path) -> None:
    code = (
        f"import sys, time; sys.path[:0] = {[str(ROOT), *sys.path]!r}\n"
        "from videoapi_vllm_omni.served import ServedEngine\n"
        f"command = ['{folder}/bin/vllm-omni', '--served-model-name', 'wan']\n"
        f"served = ServedEngine(command, {{'FAKE_FOLDER': '{folder}'}})\n"
        "served.wait_until_up(); print('up', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, process_group=0)
    assert process.stdout is not None
    while process.stdout.readline() != "up\n":
        assert process.poll() is None
    facts = started(folder)
    # As the kernel kills a model's process.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    until(lambda: is_gone(facts["pid"]) and is_gone(facts["child"]) and not Path(facts["storage"]).exists())
    process.stdout.close()


def test_it_ends_when_its_guard_is_killed(folder: Path, start: Callable[..., EnginePipeline]) -> None:
    start()
    facts = started(folder)
    psutil.Process(facts["pid"]).parent().kill()  # type: ignore[union-attr]
    until(lambda: is_gone(facts["pid"]))
    os.kill(facts["child"], signal.SIGKILL)


def test_one_that_dies_is_started_again_by_itself(folder: Path, start: Callable[..., EnginePipeline]) -> None:
    pipeline = start()
    first = started(folder)
    os.kill(first["pid"], signal.SIGKILL)
    until(lambda: started(folder)["pid"] != first["pid"])
    progress = Progress()
    assert pipeline.generate(request(), progress).file is not None
    assert is_gone(first["child"])


def test_one_that_dies_in_a_job_fails_it_with_its_last_words_and_the_next_one_waits_for_another(
    folder: Path, start: Callable[..., EnginePipeline]
) -> None:
    (folder / "slow").touch()
    pipeline = start()
    first = started(folder)

    class Killer(Progress):
        def phase(self, name: str) -> None:
            super().phase(name)
            if self.phases.count("denoising") == 2:
                os.kill(first["pid"], signal.SIGKILL)

    begun = time.monotonic()
    with pytest.raises(ModelError) as error:
        pipeline.generate(request(), Killer())
    assert time.monotonic() - begun < 5
    assert error.value.message == (
        "While it made the video, the engine was ended by SIGKILL. Its last words: INFO Loading shards: 50%"
    )
    (folder / "slow").unlink()
    progress = Progress()
    assert pipeline.generate(request(), progress).file is not None
    assert progress.phases[0] == "loading"


def test_one_that_dies_while_it_starts_is_an_error_with_its_last_words(
    folder: Path, start: Callable[..., EnginePipeline]
) -> None:
    (folder / "fails").write_text("ValueError: no such model: /weights/wan")
    with pytest.raises(ModelError) as error:
        start()
    assert error.value.message == (
        "While it started, the engine ended with status 1. Its last words: ValueError: no such model: /weights/wan"
    )
    assert not [thread for thread in threading.enumerate() if thread.name == "engine"]


def test_one_that_keeps_dying_is_started_at_longer_and_longer_intervals_or_when_it_is_wanted(
    folder: Path, start: Callable[..., EnginePipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 60.0)
    pipeline = start()
    (folder / "fails").write_text("no more memory")
    os.kill(started(folder)["pid"], signal.SIGKILL)
    # Perhaps it still takes the connection.
    with pytest.raises(ModelError, match=r"no more memory|ended by SIGKILL"):
        pipeline.generate(request(), Progress())
    with pytest.raises(ModelError, match="no more memory"):
        pipeline.generate(request(), Progress())
    (folder / "fails").unlink()
    assert pipeline.generate(request(), Progress()).file is not None


def test_one_that_hangs_is_started_again(
    folder: Path, start: Callable[..., EnginePipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CHECK_SECONDS", 0.3)
    pipeline = start()
    first = started(folder)["pid"]
    os.kill(first, signal.SIGSTOP)
    assert pipeline.generate(request(), Progress()).file is not None
    assert is_gone(first)


def test_one_that_hangs_in_a_job_is_started_again_for_the_next(
    folder: Path, start: Callable[..., EnginePipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("CHECK_SECONDS", 0.3), ("READ_SECONDS", 0.3), ("CONNECT_SECONDS", 0.3), ("BACKOFF", (0.1,))):
        monkeypatch.setattr(client, name, value)
    (folder / "slow").touch()
    pipeline = start()
    first = started(folder)["pid"]

    class Stopper(Progress):
        def phase(self, name: str) -> None:
            super().phase(name)
            if self.phases.count("denoising") == 2:
                os.kill(first, signal.SIGSTOP)

    with pytest.raises(ModelError, match=r"The engine stopped answering while it made the video\."):
        pipeline.generate(request(), Stopper())
    (folder / "slow").unlink()
    assert pipeline.generate(request(), Progress()).file is not None


def test_a_program_that_cannot_be_started_now_is_tried_again_later(
    folder: Path, start: Callable[..., EnginePipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = start()

    def refuse(*_: Any) -> Any:
        raise OSError(12, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(module, "GuardedProcess", refuse)
        os.kill(started(folder)["pid"], signal.SIGKILL)
        with pytest.raises(ModelError, match=r"could not be started: Cannot allocate memory|ended by SIGKILL"):
            for _ in range(2):
                pipeline.generate(request(), Progress())
    assert pipeline.generate(request(), Progress()).file is not None


@pytest.mark.parametrize("kill_on_cancel", [True, False])
def test_a_cancel_kills_the_engine_where_the_model_file_says_so(
    folder: Path, start: Callable[..., EnginePipeline], kill_on_cancel: bool
) -> None:
    (folder / "slow").touch()
    pipeline = start(kill_on_cancel=kill_on_cancel)
    first = started(folder)["pid"]
    with pytest.raises(Cancelled):
        pipeline.generate(request(), Progress(cancel_at="denoising"))
    (folder / "slow").unlink()
    if kill_on_cancel:
        until(lambda: is_gone(first))
        assert pipeline.generate(request(), Progress()).file is not None
    else:
        time.sleep(0.5)
        assert not is_gone(first)


def test_a_cancel_is_heard_while_the_engine_starts_again(folder: Path, start: Callable[..., EnginePipeline]) -> None:
    pipeline = start()
    os.kill(started(folder)["pid"], signal.SIGKILL)
    time.sleep(0.1)
    with pytest.raises(Cancelled):
        pipeline.generate(request(), Progress(cancel_at="loading"))


def test_a_program_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    program = tmp_path / "vllm-omni"
    program.write_text("#!/no/such/python\n")
    program.chmod(0o755)
    served = ServedEngine([str(program)], {})
    with pytest.raises(ModelError, match="the engine ended with status 127"):
        served.wait_until_up()
    served.close()
