"""The real model, killed with everything around it, in each phase of its work."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server import Answer, Server

REQUEST = {"model": "starter", "prompt": "a red circle moving to the right on a white background", "size": "256x256"}
# Enough work that a kill meets it: many steps, or many frames to encode.
LONG = {"denoising": {"step": 100, "num_frames": 33}, "encoding": {"step": 1, "size": "1280x1280", "num_frames": 241}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("starter-faults"), VIDEOAPI_STALE_SECONDS="3") as server:
        server.wait_until(lambda: "starter is loaded" in server.log, "the starter to load", seconds=120)
        yield server


def kill(server: Server, word: str) -> None:
    os.kill(next(pid for pid, command in sorted(server.processes()) if word in command), signal.SIGKILL)


def reach(server: Server, phase: str) -> str:
    """The address of a generation that is in that phase."""
    path = server.post({**REQUEST, **LONG[phase]}, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(path).json["phase"] == phase, f"the phase {phase}")
    return str(path)


@pytest.mark.parametrize("phase", LONG)
def test_the_models_process_is_killed(server: Server, phase: str) -> None:
    path = reach(server, phase)
    before = server.files()
    kill(server, "model_process")
    row = server.wait_for(path, "completed", "failed")
    assert (row["status"], row["error"]["code"]) == ("failed", "model_crashed")
    assert "SIGKILL" in row["error"]["message"]
    assert [name for name in server.files() if name not in before] == []
    assert server.post(REQUEST).status == 200


@pytest.mark.parametrize("phase", LONG)
def test_the_worker_is_killed(server: Server, phase: str) -> None:
    path = reach(server, phase)
    kill(server, "videoworker")
    row = server.wait_for(path, "completed", "failed")
    assert row["status"] == "completed"
    assert [name for name in server.files() if row["id"] in name] == [
        f"thumbnails/{row['id']}-2.jpg",
        f"videos/{row['id']}-2.mp4",
    ]


def test_a_waiting_client_gets_its_video_after_all(server: Server) -> None:
    answers: list[Answer] = []
    body: Any = {**REQUEST, **LONG["denoising"]}
    client = threading.Thread(target=lambda: answers.append(server.post(body)))
    client.start()
    server.wait_until(lambda: server.get("/video?status=in_progress").json["data"], "the generation to run")
    kill(server, "videoworker")
    client.join(120)
    assert answers[0].status == 200


def test_everything_is_killed_and_started_anew(server: Server) -> None:
    path = reach(server, "denoising")
    waiting = server.post(REQUEST, Prefer="respond-async").headers["Location"]
    for pid, _ in server.processes():
        os.kill(pid, signal.SIGKILL)
    server.process.wait(30)
    server.start()
    rows = [server.wait_for(address, "completed", "failed") for address in (path, waiting)]
    assert [row["status"] for row in rows] == ["completed", "completed"]
    assert [name for name in server.files() if name.startswith(("scratch", "inputs", "previews"))] == []
