"""A model whose engine is down: refused, shown, waited for, and back by itself."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from tests import generations
from tests.distributions import write_faulty, write_remote
from tests.server import ROOT, Server
from videoapi.exceptions import ModelUnavailable
from videoapi.models import Generation, Worker

REMOTE = {"model": "far-away", "prompt": "anything"}
GOOD = {"model": "faulty-good", "prompt": "anything"}
DOWN = "The engine at engine.example does not answer."
HANGS = "The check of model 'remote' does not answer."
FAILS = "The check of model 'remote' failed with ConnectionError."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One slot for all models; a worker that is silent for 5 seconds is not alive to it."""
    plugins, folder = tmp_path_factory.mktemp("plugins"), tmp_path_factory.mktemp("server")
    write_faulty(plugins)
    write_remote(plugins)
    with Server(
        folder,
        plugins,
        VIDEOAPI_PRELOAD="",
        VIDEOAPI_CHECK_SECONDS="0.2",
        VIDEOAPI_STALE_SECONDS="5",
        REMOTE_STATE=str(folder / "state"),
    ) as made:
        yield made


@pytest.fixture
def state(server: Server) -> Iterator[Path]:
    """The file that says what the engine does; at the end it serves again."""
    path = server.folder / "state"
    yield path
    path.unlink(missing_ok=True)
    wait_for_reason(server, None)


def wait_for_reason(server: Server, reason: str | None, seconds: float = 5) -> None:
    """Until the model `remote` has that reason; None when it is available."""
    server.wait_until(lambda: server.get("/readyz").json["unavailable"].get("remote") == reason, str(reason), seconds)


def test_a_model_that_is_down_is_refused_and_comes_back(server: Server, state: Path) -> None:
    assert server.post(REMOTE).status == 200
    state.write_text(DOWN)
    wait_for_reason(server, DOWN)
    answer = server.post(REMOTE)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
    message = f"Model 'remote' is unavailable: {DOWN}"
    assert answer.error == {"code": "model_unavailable", "message": message, "type": "server_error", "param": None}
    assert server.post(GOOD).status == 200
    ready = server.get("/readyz")
    assert (ready.status, ready.json["status"], ready.json["reasons"]) == (200, "ok", [])
    models = {model["id"]: model for model in server.get("/v1/models").json["data"]}
    for name in ("remote", "far-away"):
        assert (models[name]["available"], models[name]["reason"]) == (False, DOWN)
    assert models["faulty-good"]["available"]
    assert "reason" not in models["faulty-good"]
    state.unlink()
    wait_for_reason(server, None)
    assert server.post(REMOTE).status == 200


def test_what_is_queued_waits_and_others_are_served_in_the_same_slot(server: Server, state: Path) -> None:
    # The slot is busy while they are accepted.
    slow = server.post({**GOOD, "model": "faulty-slow", "step": 30}, Prefer="respond-async").headers["Location"]
    server.wait_for(slow, "in_progress")
    waiting, cancelled = (server.post(REMOTE, Prefer="respond-async").headers["Location"] for _ in range(2))
    state.write_text(DOWN)
    wait_for_reason(server, DOWN)
    server.wait_for(slow, "completed")
    for _ in range(3):
        assert server.post(GOOD).status == 200
    body = server.get(waiting).json
    assert (body["status"], body["queue_position"], body["error"]) == ("queued", 1, None)
    assert server.get(cancelled).json["queue_position"] == 2
    assert server.delete(cancelled).json["status"] == "cancelled"
    state.unlink()
    server.wait_for(waiting, "completed")
    assert server.get(cancelled).json["status"] == "cancelled"
    assert server.post(REMOTE).status == 200


def test_what_is_queued_waits_through_a_restart(server: Server, state: Path) -> None:
    slow = server.post({**GOOD, "model": "faulty-slow", "step": 200}, Prefer="respond-async").headers["Location"]
    server.wait_for(slow, "in_progress")
    waiting = server.post(REMOTE, Prefer="respond-async").headers["Location"]
    state.write_text(DOWN)
    wait_for_reason(server, DOWN)
    server.delete(slow)
    server.stop()
    server.start()
    wait_for_reason(server, DOWN)
    assert server.post(GOOD).status == 200
    assert server.get(waiting).json["status"] == "queued"
    state.unlink()
    server.wait_for(waiting, "completed")


def test_a_check_that_raises_is_a_reason(server: Server, state: Path) -> None:
    state.write_text("RAISE")
    wait_for_reason(server, FAILS)
    assert server.post(REMOTE).error["message"] == f"Model 'remote' is unavailable: {FAILS}"
    assert "no route to /secret/path" in server.log


def test_a_check_that_hangs_stops_neither_heartbeats_nor_other_models(server: Server, state: Path) -> None:
    state.write_text("HANG")
    wait_for_reason(server, HANGS, seconds=20)
    assert server.post(REMOTE).error["message"] == f"Model 'remote' is unavailable: {HANGS}"
    # Ten seconds have passed, twice what a worker may be silent.
    assert server.get("/readyz").json["workers"] == 1
    assert server.post(GOOD).status == 200


def test_one_worker_that_has_the_model_is_enough(server: Server, state: Path, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        other = subprocess.Popen(
            [server.python, "manage.py", "videoworker", "--slot", "remote"],
            cwd=ROOT,
            env={**server.environment, "REMOTE_STATE": str(tmp_path / "state")},
            stdout=log,
            stderr=log,
        )
    try:
        server.wait_until(lambda: server.get("/readyz").json["workers"] == 2, "the other worker")
        message = f"model remote is unavailable: {DOWN}"
        said = server.log.count(message)
        state.write_text(DOWN)
        server.wait_until(lambda: server.log.count(message) > said, "it to be down for the first worker")
        assert server.get("/readyz").json["unavailable"] == {}
        assert server.post(REMOTE).status == 200
        (tmp_path / "state").write_text("The other engine is down too.")
        wait_for_reason(server, f"{DOWN} The other engine is down too.")
        (tmp_path / "state").write_text("HANG")
        other.send_signal(signal.SIGTERM)
        assert other.wait(10) == 0
    finally:
        (tmp_path / "state").unlink(missing_ok=True)
        other.kill()
        other.wait()
    wait_for_reason(server, DOWN)


@pytest.fixture
def rows(faulty: None, transactional_db: None, configure: Callable[..., Any]) -> Callable[..., None]:
    """Make rows of living workers, each with what is unavailable there."""

    def make(*unavailable: dict[str, str]) -> None:
        for number, reasons in enumerate(unavailable):
            values = {"slots": [["*"]], "last_seen": timezone.now(), "unavailable": reasons}
            Worker.objects.create(name=f"host:{number}", **values)

    return make


def test_a_request_is_refused_when_no_worker_can_serve_it(
    rows: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "add_worker", lambda: None)
    rows({"faulty-good": DOWN, "faulty-slow": DOWN}, {"faulty-good": DOWN}, {"faulty-good": "Another reason."})
    with pytest.raises(ModelUnavailable, match=f"^Model 'faulty-good' is unavailable: {DOWN} Another reason.$"):
        generations.make()
    generations.make("faulty-slow")
    assert Generation.objects.count() == 1
    # One that serves other models, and one that has died, do not help.
    Worker.objects.create(name="host:7", slots=[["faulty-slow"]], last_seen=timezone.now())
    Worker.objects.create(name="host:8", slots=[["*"]], last_seen=timezone.now() - timedelta(hours=1))
    with pytest.raises(ModelUnavailable):
        generations.make()
    Worker.objects.create(name="host:9", slots=[["*"]], last_seen=timezone.now())
    generations.make()


def test_a_model_without_a_worker_is_listed_with_that_reason(rows: Callable[..., None], client: Client) -> None:
    Worker.objects.create(name="host:1", slots=[["faulty-slow"]], last_seen=timezone.now())
    models = {model["id"]: model for model in client.get("/v1/models").json()["data"]}
    assert models["faulty-slow"]["available"]
    reason = "No worker for model 'starter' is alive; the operator starts one with 'videoworker'."
    assert (models["video-model"]["available"], models["video-model"]["reason"]) == (False, reason)
    assert client.get("/readyz").json()["unavailable"]["starter"] == reason


def test_the_list_is_there_without_a_database(
    rows: Callable[..., None], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(Worker.objects, "live", fail)
    models = client.get("/v1/models").json()["data"]
    assert {model["reason"] for model in models} == {"The database does not answer."}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["unavailable"]) == (503, {})


def test_the_admin_shows_what_is_unavailable_and_why(rows: Callable[..., None], admin_client: Client) -> None:
    rows({"wan": "The engine says <no>.", "ltx": DOWN})
    expected = f"<div>ltx: {DOWN}</div><div>wan: The engine says &lt;no&gt;.</div>"
    for path in ("worker/", "worker/host_3A0/change/"):
        assert expected in admin_client.get(f"/admin/videoapi/{path}").content.decode()
