"""A real PostgreSQL under a real server: many workers, and a database that goes away."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.postgres import Postgres, find_binaries
from tests.server import Answer, Server
from tests.test_jobs import GOOD, SLOW
from tests.test_metrics import ended, scrape
from tests.webhooks.receiver import SECRET, Receiver


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    binaries = find_binaries()
    if binaries is None:
        missing("PostgreSQL's server", "postgresql")
    folder = Path(tempfile.mkdtemp(prefix="videoapi-postgres-"))
    folder.chmod(0o755)  # for the user that PostgreSQL runs as
    try:
        with Postgres(folder / "server", binaries) as postgres:
            yield postgres
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def server(postgres: Postgres, tmp_path: Path, faulty_plugins: Path) -> Iterator[Server]:
    settings = {"VIDEOAPI_SLOTS": "*;*", "VIDEOAPI_STALE_SECONDS": "5", "VIDEOAPI_PRELOAD": ""}
    with Server(tmp_path, faulty_plugins, DATABASE_URL=postgres.url, **settings) as server:
        yield server


def test_many_generations_over_two_slots_are_each_made_once(server: Server) -> None:
    paths = [server.post({**GOOD, "seed": i}, Prefer="respond-async").headers["Location"] for i in range(12)]
    rows = [server.wait_for(path, "completed", "failed") for path in paths]
    assert {row["status"] for row in rows} == {"completed"}
    videos = [name for name in server.files() if name.endswith(".mp4")]
    assert sorted(videos) == sorted(f"videos/{row['id']}-1.mp4" for row in rows)
    assert server.post(GOOD).status == 200
    # Two slots ended them at once, and each is counted.
    assert ended(scrape(server), "faulty-good") == {"completed": 13, "failed": 0, "cancelled": 0}


def test_two_web_processes_send_each_webhook_once(postgres: Postgres, tmp_path: Path, faulty_plugins: Path) -> None:
    settings = {
        "VIDEOAPI_WEBHOOK_PRIVATE": "1",
        "VIDEOAPI_WEBHOOK_SECRET": SECRET,
        "GUNICORN_CMD_ARGS": "--workers 2",
        "VIDEOAPI_PRELOAD": "faulty-good",
    }
    with Receiver() as receiver, Server(tmp_path, faulty_plugins, DATABASE_URL=postgres.url, **settings) as server:
        for seed in range(20):
            request = {**GOOD, "seed": seed, "webhook_url": receiver.url}
            assert server.post(request, Prefer="respond-async").status == 202
        server.wait_until(lambda: receiver.types.count("video.completed") == 20, "the last events")
    assert receiver.types.count("video.created") == 20
    assert len({call.verify()["id"] for call in receiver.calls}) == len(receiver.calls)


def test_while_the_database_is_away_nothing_accepted_is_lost(server: Server, postgres: Postgres) -> None:
    """One is running and ends during the outage, one waits for it, others wait in the queue."""
    answers: list[Any] = []
    client = threading.Thread(target=lambda: answers.append(server.post({**SLOW, "step": 60})))
    client.start()
    running = "/video?status=in_progress"
    server.wait_until(lambda: server.get(running).json["data"], "the generation to run")
    paths = [server.post({**SLOW, "step": 2}, Prefer="respond-async").headers["Location"] for _ in range(4)]
    before = server.processes()
    postgres.stop()
    gone: list[Answer] = [server.get("/healthz"), server.get("/readyz"), server.post(GOOD), server.get("/metrics")]
    time.sleep(10)
    postgres.start()
    assert [answer.status for answer in gone] == [200, 503, 503, 503]
    assert [answer.error["code"] for answer in gone[2:]] == ["database_unavailable"] * 2
    rows = [server.wait_for(path, "completed", "failed") for path in paths]
    client.join(60)
    assert {row["status"] for row in rows} == {"completed"}
    assert answers[0].status == 200
    everything = server.get("/video?limit=100").json["data"]
    assert sorted(name for name in server.files() if name.endswith(".mp4")) == sorted(
        f"videos/{row['id']}-1.mp4" for row in everything
    )
    server.wait_until(lambda: server.get("/readyz").status == 200, "the workers to show life again")
    assert server.post(GOOD).status == 200
    assert {pid for pid, command in before if "model_process" not in command} <= {pid for pid, _ in server.processes()}
