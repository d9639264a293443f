"""Through the real server."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.batching.rows import SEEDS
from tests.server import Server
from tests.videos import read

pytestmark = pytest.mark.django_db(transaction=True)


def post(server: Server, **values: Any) -> str:
    """The address of a request that nobody waits for."""
    body = {"model": "together-slow", "prompt": "anything", **values}
    path: str = server.post(body, Prefer="respond-async").headers["Location"]
    return path


def post_batch(server: Server, step: int) -> list[str]:
    """Three that wait while another one runs, and then run together."""
    first = post(server, seed=30, step=20, width=80)
    server.wait_until(lambda: server.get(first).json["status"] == "in_progress", "the first one to run")
    paths = [post(server, seed=seed, step=step) for seed in SEEDS]
    server.wait_until(lambda: all(server.get(path).json["step"] > 0 for path in paths), "the batch to run")
    return paths


def seeds_of(server: Server, paths: list[str]) -> list[int]:
    """What the videos show."""
    made = [server.wait_for(path, "completed", "failed") for path in paths]
    assert [each["status"] for each in made] == ["completed"] * 3, made
    return [round(float(read(server.get(each["data"][0]["url"]).body).frames.mean())) for each in made]


def pids(server: Server, role: str) -> list[int]:
    return [pid for pid, command in sorted(server.processes()) if role in command]


def test_through_the_server_those_that_wait_are_made_together(server: Server) -> None:
    paths = post_batch(server, step=40)
    steps = [server.get(path).json for path in paths]
    assert {(each["phase"], each["total_steps"]) for each in steps} == {("denoising", 40)}
    assert server.delete(paths[1]).json["status"] in ("in_progress", "cancelled")
    server.wait_for(paths[1], "cancelled")
    assert {server.get(path).json["status"] for path in (paths[0], paths[2])} == {"in_progress"}
    made = [server.wait_for(path, "completed") for path in (paths[0], paths[2])]
    assert [each["seed"] for each in made] == [60, 180]
    assert "3 together" in server.log


@pytest.mark.parametrize("role", ["videoapi.engine.model_process", "videoworker"])
def test_through_the_server_a_kill_in_the_middle_of_a_batch_loses_nobody(server: Server, role: str) -> None:
    paths = post_batch(server, step=60)
    os.kill(pids(server, role)[0], signal.SIGKILL)
    assert seeds_of(server, paths) == pytest.approx(SEEDS, abs=2)
    assert sorted(name for name in server.files() if name.startswith("scratch/")) == []
