"""`manage.py serve`, from its greeting to its end."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.server import Server

SLOW = {"model": "faulty-slow", "prompt": "anything"}


@pytest.fixture
def server(tmp_path: Path, faulty_plugins: Path) -> Server:
    return Server(tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="faulty-slow", VIDEOAPI_STALE_SECONDS="3")


def post_in_thread(server: Server, body: Any) -> tuple[threading.Thread, list[Any]]:
    """The request on its way to the model, and a list that its answer will be in."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(server.post(body))
        except OSError as error:
            answers.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    server.wait_until(lambda: "model_process" in str(server.processes()), "the model process")
    time.sleep(1)
    return thread, answers


def pid_of(server: Server, words: str) -> int:
    return next(pid for pid, command in server.processes() if words in command)


def test_it_says_where_what_and_how_and_logs_web_and_worker_in_one_place(server: Server) -> None:
    with server:
        server.wait_until(lambda: "faulty-slow is loaded" in server.log, "the preload")
        server.post({**SLOW, "step": 1})
    assert f"videoapi serves {server.url}" in server.log
    assert "starter = video-model" in server.log
    assert f"curl {server.url}/video" in server.log
    assert f" web     INFO    Listening at: {server.url}" in server.log
    assert ' web     INFO    127.0.0.1 "POST /video" 200' in server.log
    assert " worker  INFO    generation" in server.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_everything_and_waiting_clients_get_their_video(server: Server, number: int) -> None:
    with server:
        thread, answers = post_in_thread(server, {**SLOW, "step": 20})
        started = time.monotonic()
        assert server.stop(number) == 0
        assert time.monotonic() - started < 10
        thread.join()
    assert answers[0].status == 200
    assert server.processes() == []
    assert list((server.media / "scratch").iterdir()) == []


def test_a_job_longer_than_the_grace_is_handed_back_and_done_after_the_restart(server: Server) -> None:
    with server:
        thread, answers = post_in_thread(server, {**SLOW, "step": 100})
        assert server.stop() == 0
        thread.join()
        assert (answers[0].status, answers[0].error["code"]) == (503, "server_stopping")
        assert answers[0].headers["Retry-After"]
        path = answers[0].error["message"].split(" at ")[-1].rstrip(".")
        assert server.processes() == []
        server.start()
        server.wait_until(lambda: server.get(path).status == 200, "the video")


def test_killing_the_supervisor_leaves_no_process(server: Server) -> None:
    with server:
        thread, _ = post_in_thread(server, {**SLOW, "step": 300})
        assert len(server.processes()) >= 5
        server.process.kill()
        server.process.wait()
        thread.join()
        end = time.monotonic() + 15
        while server.processes() and time.monotonic() < end:
            time.sleep(0.1)
        assert server.processes() == []


def test_a_killed_worker_is_started_anew_and_the_waiting_client_gets_its_video(server: Server) -> None:
    with server:
        thread, answers = post_in_thread(server, {**SLOW, "step": 15})
        os.kill(pid_of(server, "videoworker"), signal.SIGKILL)
        thread.join()
    assert answers[0].status == 200
    assert "starting it anew" in server.log
    assert "goes back to the queue: its worker has died" in server.log


def test_a_killed_web_process_is_replaced_and_the_generation_goes_on(server: Server) -> None:
    with server:
        thread, answers = post_in_thread(server, {**SLOW, "step": 20})
        master = pid_of(server, "gunicorn")
        web = next(pid for pid, command in server.processes() if "gunicorn" in command and pid != master)
        os.kill(web, signal.SIGKILL)
        thread.join()
        assert isinstance(answers[0], OSError)
        server.wait_until(lambda: len([f for f in server.files() if f.endswith(".mp4")]) == 1, "the video")
        assert server.post({**SLOW, "step": 1}).status == 200


def test_a_taken_port_ends_the_server_with_a_reason(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.port))
        taken.listen()
        server.manage("migrate", "--verbosity", "0")
        with pytest.raises(AssertionError, match=r"Something listens on 127.0.0.1:[0-9]+ already; set PORT"):
            server.start()
    assert server.processes() == []


def test_without_migrations_it_says_what_to_do(server: Server) -> None:
    with pytest.raises(AssertionError, match=r"Run: manage\.py migrate"):
        server.start()
