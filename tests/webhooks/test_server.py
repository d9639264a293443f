"""Webhooks of a real server: receivers that are slow or away, processes that are killed, the README's receiver."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.openapi import check
from tests.server import ROOT, Server, find_free_port
from tests.webhooks.receiver import SECRET, Receiver

GOOD = {"model": "faulty-good", "prompt": "anything"}
SETTINGS = {
    "VIDEOAPI_PRELOAD": "faulty-good",
    "VIDEOAPI_WEBHOOK_SECRET": SECRET,
    "VIDEOAPI_WEBHOOK_PRIVATE": "1",
    "VIDEOAPI_WEBHOOK_SECONDS": "1",
    "VIDEOAPI_WEBHOOK_RETRIES": ",".join(["0.3"] * 100),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, faulty_plugins: Path) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), faulty_plugins, **SETTINGS) as made:
        yield made


@pytest.fixture
def own_server(tmp_path: Path, faulty_plugins: Path) -> Iterator[Server]:
    """One to be killed."""
    with Server(tmp_path, faulty_plugins, **SETTINGS) as made:
        yield made


def post(server: Server, url: str, **values: Any) -> str:
    """Its address."""
    answer = server.post({**GOOD, "webhook_url": url, **values}, Prefer="respond-async")
    assert answer.status == 202, answer.body
    return f"/video/{answer.json['id']}"


def test_all_events_of_a_generation_come_in_order(server: Server, receiver: Receiver) -> None:
    path = post(server, receiver.url, model="faulty-slow", step=80)
    server.wait_until(lambda: "video.completed" in receiver.types, "the last event")
    events = [call.verify() for call in receiver.calls]
    types = [event["type"] for event in events]
    assert types == ["video.created", *["video.progress"] * (len(types) - 2), "video.completed"]
    # Eight seconds, and one every five.
    assert 1 <= types.count("video.progress") <= 4
    progress = [event["data"]["progress"] for event in events]
    assert progress == sorted(progress)
    assert events[-1]["data"]["data"] == server.get(path).json["data"]
    schema = server.get("/schema").json
    for event in events:
        check(schema, schema["components"]["schemas"]["WebhookEvent"], event)


def test_a_cancelled_and_a_failed_one_are_told_of(server: Server, receiver: Receiver) -> None:
    path = post(server, receiver.url, model="faulty-slow", step=200)
    server.wait_until(lambda: server.get(path).json["step"] > 0, "the first step")
    server.delete(path)
    server.wait_until(lambda: "video.cancelled" in receiver.types, "the cancellation")
    post(server, receiver.url, model="faulty-segfault")
    server.wait_until(lambda: "video.failed" in receiver.types, "the failure")
    assert receiver.calls[-1].verify()["data"]["error"]["code"] == "model_crashed"


def test_a_receiver_that_hangs_holds_up_neither_the_generation_nor_the_answer(
    server: Server, receiver: Receiver
) -> None:
    receiver.awake.clear()
    answer = server.post({**GOOD, "webhook_url": receiver.url})
    assert answer.status == 200
    receiver.awake.set()
    server.wait_until(lambda: "video.completed" in receiver.types, "the last event")


def test_a_receiver_that_is_away_is_told_when_it_is_back(server: Server) -> None:
    port = find_free_port()
    path = post(server, f"http://127.0.0.1:{port}/")
    assert server.wait_for(path, "completed")
    server.wait_until(lambda: "could not be reached; again in" in server.log, "a failed attempt")
    with Receiver(port=port) as receiver:
        server.wait_until(lambda: "video.completed" in receiver.types, "the last event")


def test_a_keys_events_go_where_it_says_and_are_signed_with_the_secret_that_was_printed(
    server: Server, receiver: Receiver
) -> None:
    key, secret = server.manage("createkey", "ann", "--webhook-url", receiver.url).split()[:2]
    assert server.post(GOOD, x_api_key=key).status == 200
    server.wait_until(lambda: "video.completed" in receiver.types, "the last event")
    event = receiver.calls[-1].verify(secret)
    assert server.get(event["data"]["data"][0]["url"]).status == 200
    assert SECRET not in server.log
    assert secret not in server.log


@pytest.mark.parametrize("words", ["gunicorn", "manage.py serve"])
def test_what_a_killed_process_was_sending_is_sent_by_the_next_one(
    own_server: Server, receiver: Receiver, words: str
) -> None:
    server = own_server
    receiver.awake.clear()
    path = post(server, receiver.url)
    server.wait_for(path, "completed")
    server.wait_until(lambda: receiver.calls, "the first attempt")
    # gunicorn's child is the one that sends; what started it comes before it.
    pid = max(pid for pid, command in server.processes() if words in command)
    os.kill(pid, signal.SIGKILL)
    if words != "gunicorn":
        server.process.wait()
        server.wait_until_gone()
        server.start()
    receiver.awake.set()
    server.wait_until(lambda: "video.completed" in receiver.types, "the last event")
    ids = {call.verify()["id"] for call in receiver.calls if call.type == "video.created"}
    assert len(ids) == 1
    assert server.get(path).json["status"] == "completed"


def test_the_receiver_of_the_readme_prints_the_events(server: Server, tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().partition("## Webhooks")[2]
    (source,) = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    port = find_free_port()
    script = tmp_path / "receiver.py"
    script.write_text(source.replace("whsec_...", SECRET).replace("9000", str(port)))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            server.wait_until(lambda: not socket.create_connection(("127.0.0.1", port)).close(), "the receiver")
            path = post(server, f"http://127.0.0.1:{port}/hook")
            assert process.stdout is not None
            lines: list[str] = []
            while "completed" not in (lines or [""])[-1]:
                lines.append(process.stdout.readline().decode().strip())
                assert lines[-1]
        finally:
            process.kill()
    identifier = path.rpartition("/")[2]
    assert lines[0].startswith(f"video.created {identifier} ")
    assert lines[-1] == f"video.completed {identifier} 100"
