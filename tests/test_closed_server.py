"""A real server that wants keys."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import Server

GOOD = {"model": "faulty-good", "prompt": "anything"}


@pytest.fixture
def closed(tmp_path: Path, faulty_plugins: Path) -> Iterator[Server]:
    """Not started yet."""
    server = Server(tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="", VIDEOAPI_ALLOW_ANONYMOUS="0")
    server.manage("migrate", "--verbosity", "0")
    yield server
    if hasattr(server, "process"):
        server.stop()


def test_a_server_that_nobody_could_use_does_not_start_and_says_what_to_do(closed: Server) -> None:
    with pytest.raises(AssertionError, match="the server has ended"):
        closed.start()
    assert "There are no API keys for the server on 127.0.0.1" in closed.log
    assert "manage.py createkey NAME" in closed.log
    key = closed.manage("createkey", "ann").splitlines()[0]
    closed.start()
    assert closed.post(GOOD).status == 401
    done = closed.post(GOOD, x_api_key=key)
    assert done.status == 200
    assert closed.get(done.json["data"][0]["url"]).status == 200
    assert closed.get(f"/video/{done.json['id']}").status == 401
    closed.wait_until(lambda: "/generated-videos/" in closed.log, "the access log")
    assert "token=" not in closed.log


def test_a_stream_ends_soon_after_its_key_is_revoked_and_the_generation_goes_on(closed: Server) -> None:
    key = closed.manage("createkey", "ann").splitlines()[0]
    closed.start()
    body = {"model": "faulty-slow", "prompt": "anything", "step": 200}
    answer = closed.post(body, Prefer="respond-async", x_api_key=key)
    assert answer.status == 202, answer.body
    path = answer.headers["Location"]
    address = urllib.request.Request(f"{closed.url}{path}/events", headers={"x-api-key": key})
    with urllib.request.urlopen(address, timeout=60) as stream:
        assert b"retry" in stream.readline()
        revoke = "from videoapi.models import APIKey; APIKey.objects.filter(name='ann').update(revoked=True)"
        closed.manage("shell", "--no-imports", "-c", revoke)
        told = stream.read().decode()
    assert "event: progress" in told
    assert "event: completed" not in told
    operator = closed.manage("createkey", "root", "--operate").splitlines()[0]
    assert closed.get(path, **{"x-api-key": operator}).json["status"] == "in_progress"
    closed.delete(path, **{"x-api-key": operator})


@pytest.mark.parametrize(("bind", "allowed"), [("127.0.0.1", "local"), ("0.0.0.0", "no"), ("192.0.2.1", "no")])
def test_without_keys_only_this_machine_is_served(tmp_path: Path, bind: str, allowed: str) -> None:
    server = Server(tmp_path, BIND=bind, SECRET_KEY="of the operator's")
    out = server.manage(
        "shell", "--no-imports", "-c", "from videoapi.conf import get_conf; print(get_conf().anonymous)"
    )
    assert allowed in out.splitlines()


def test_where_no_key_is_needed_and_none_exists_any_is_taken(faulty_server: Server) -> None:
    """OpenAI's clients always send one."""
    assert faulty_server.post(GOOD, Authorization="Bearer unused").status == 200


def test_a_server_that_others_reach_wants_a_secret_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Set the SECRET_KEY environment variable"):
        Server(tmp_path, BIND="0.0.0.0").manage("check")
