"""Everything that can go wrong with a model, done to a real server."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.server import Server
from tests.videos import read


@pytest.mark.parametrize(
    ("kind", "status", "code", "words"),
    [
        ("raise", 500, "model_error", "failed with RuntimeError"),
        ("model-error", 500, "model_error", "The numbers do not add up."),
        ("segfault", 500, "model_crashed", "SIGSEGV"),
        ("kill", 500, "model_crashed", "SIGKILL. It may have run out of memory."),
        ("exit", 500, "model_crashed", "ended with status 3"),
        ("nan", 500, "model_error", "not finite"),
        ("black", 500, "model_error", "Every frame is black"),
        ("short", 500, "model_error", "made 3 frames of 5"),
        ("wrong-size", 500, "model_error", "has shape (24, 64, 3)"),
        ("load-error", 500, "model_error", "The weights are missing."),
        ("load-crash", 500, "model_crashed", "SIGABRT. Its last words: cannot map weights.bin"),
        (
            "abort",
            500,
            "model_crashed",
            "SIGABRT. Its last words: the layers do not match | wan.hpp:2198: invalid num_",
        ),
        ("starved", 500, "out_of_memory", "ran out of memory; try a smaller width"),
        ("refuse", 400, "invalid_value", "This model has read enough of it."),
    ],
)
def test_a_fault_gives_its_status_and_reason_leaves_nothing_and_the_next_request_works(
    faulty_server: Server, kind: str, status: int, code: str, words: str
) -> None:
    before = faulty_server.files()
    answer = faulty_server.post({"model": f"faulty-{kind}", "prompt": "anything"})
    assert (answer.status, answer.error["code"]) == (status, code)
    assert words in answer.error["message"]
    assert "/secret/path" not in answer.body.decode()
    assert answer.error["param"] == ("prompt" if status == 400 else None)
    assert faulty_server.files() == before
    # Killed, it may still be giving back its memory.
    faulty_server.wait_until(
        lambda: not [command for _, command in faulty_server.processes() if "ffmpeg" in command], "ffmpeg to be gone"
    )
    assert faulty_server.post({"model": "faulty-good", "prompt": "next"}).status == 200


def test_an_engines_file_is_published_or_refused_and_never_left_behind(tmp_path: Path, faulty_plugins: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with Server(tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="faulty-file", TMPDIR=str(temporary)) as server:
        made = server.post({"model": "faulty-file", "prompt": "anything", "seed": 7})
        assert (made.status, made.json["data"][0]["url"][-4:]) == (200, ".mp4")
        video = read(server.get(made.json["data"][0]["url"]).body)
        assert (video.codec, len(video.frames), video.rate) == ("h264", 5, 5)
        assert [round(float(frame.mean())) for frame in video.frames] == pytest.approx([27, 67, 107, 147, 187], abs=2)
        assert json.loads(video.metadata["comment"])["request"]["prompt"] == "anything"
        before = server.files()
        torn = server.post({"model": "faulty-torn-file", "prompt": "anything"})
        assert (torn.status, torn.error["code"]) == (500, "model_error")
        assert torn.error["message"] == "The engine's file is cut short."
        assert server.files() == before
        folders = list(temporary.glob("engine-*"))
        assert len(folders) == 2
        assert not [file for folder in folders for file in folder.iterdir()]


def test_what_a_plugin_raised_is_in_the_log_whole(faulty_server: Server) -> None:
    faulty_server.post({"model": "faulty-raise", "prompt": "anything"})
    assert "RuntimeError: cannot read /secret/path/weights.bin" in faulty_server.log


def test_a_library_that_prints_disturbs_nobody(faulty_server: Server) -> None:
    assert faulty_server.post({"model": "faulty-noisy", "prompt": "anything"}).status == 200


def test_what_a_model_printed_is_for_the_operator_alone(faulty_server: Server) -> None:
    request = {"model": "faulty-parrot", "prompt": "not for the list"}
    made = faulty_server.post(request, Prefer="respond-async").json
    assert "log" not in faulty_server.wait_for(f"/video/{made['id']}", "completed")
    assert "the parrot wakes up" in faulty_server.log
    for path in ("/video", f"/video/{made['id']}", f"/video/{made['id']}/events"):
        assert "the parrot wakes up" not in faulty_server.get(path).body.decode()


def test_a_cancel_ends_a_model_that_cannot_be_stopped_at_once_and_the_next_request_works(
    tmp_path: Path, faulty_plugins: Path
) -> None:
    with Server(tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="faulty-stubborn", VIDEOAPI_CANCEL_SECONDS="600") as server:
        request = {"model": "faulty-stubborn", "prompt": "anything", "step": 200}
        path = f"/video/{server.post(request, Prefer='respond-async').json['id']}"
        server.wait_until(lambda: server.get(path).json["phase"] == "denoising", "the denoising")
        started = time.monotonic()
        server.delete(path)
        ended = server.wait_for(path, "cancelled", "failed", "completed")
        assert time.monotonic() - started < 3
        assert (ended["status"], ended["error"]["code"]) == ("cancelled", "cancelled")
        assert ended["error"]["message"] == "Cancelled; the model's process was ended by force."
        assert server.post({**request, "step": 1}).status == 200


def test_a_model_process_killed_from_outside_is_a_500_and_the_server_goes_on(faulty_server: Server) -> None:
    answers = []
    request = {"model": "faulty-slow", "prompt": "anything", "step": 50}
    thread = threading.Thread(target=lambda: answers.append(faulty_server.post(request)))
    thread.start()

    def model_pids() -> list[int]:
        return [pid for pid, command in faulty_server.processes() if "model_process" in command and "slow" in command]

    faulty_server.wait_until(model_pids, "the model process")
    time.sleep(1)
    os.kill(model_pids()[0], signal.SIGKILL)
    thread.join(30)
    assert (answers[0].status, answers[0].error["code"]) == (500, "model_crashed")
    assert faulty_server.post({"model": "faulty-slow", "prompt": "again", "step": 1}).status == 200


def test_a_plugin_that_does_not_import_is_named_and_the_others_serve(faulty_server: Server) -> None:
    reason = "ImportError: no module named 'left_pad'"
    assert faulty_server.get("/readyz").json["plugins"]["broken"] == "does not load: ImportError"
    assert reason in faulty_server.manage("plugins")
    assert reason in faulty_server.manage("check")
    assert faulty_server.post({"model": "faulty-good", "prompt": "anything"}).status == 200


def test_a_missing_ffmpeg_is_a_500_that_says_so(tmp_path: Path, faulty_plugins: Path) -> None:
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.symlink_to("/bin/true")
    with Server(tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="faulty-good", VIDEOAPI_FFMPEG=str(ffmpeg)) as server:
        ffmpeg.unlink()
        answer = server.post({"model": "faulty-good", "prompt": "anything"})
        assert (answer.status, answer.error["code"]) == (500, "encoding_failed")
        assert "set VIDEOAPI_FFMPEG" in answer.error["message"]
        assert server.files() == []


def test_a_missing_ffmpeg_is_an_error_of_the_check(tmp_path: Path) -> None:
    server = Server(tmp_path, VIDEOAPI_FFMPEG="/nonexistent/ffmpeg")
    with pytest.raises(AssertionError, match=r"videoapi\.E002"):
        server.manage("check")
