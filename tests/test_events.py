"""`/video/{id}/events`: the stream of a generation's progress, from a real server."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

from tests.server import Server, send
from tests.test_jobs import GOOD, SLOW


def listen(server: Server, path: str, last_id: str = "") -> Iterator[tuple[str, str, Any]]:
    """(id, event, data) of each event until the server ends the stream."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with urllib.request.urlopen(
        urllib.request.Request(f"{server.url}{path}/events", headers=headers), timeout=60
    ) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        fields: dict[str, str] = {}
        for line in stream:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
                fields = {}
            else:
                fields = {}


def test_a_generation_is_followed_to_its_end(faulty_server: Server) -> None:
    path = faulty_server.post({**SLOW, "step": 20}, Prefer="respond-async").headers["Location"]
    events = list(listen(faulty_server, path))
    states = [(data["status"], data["phase"]) for number, _, data in events if number]
    assert states[0] == ("queued", None)
    assert ("in_progress", "denoising") in states
    assert states[-1] == ("completed", None)
    assert [int(number) for number, _, _ in events if number] == list(range(len(states)))
    steps = [data["step"] for _, _, data in events if data.get("phase") == "denoising" and "step" in data]
    assert len(set(steps)) >= 2
    assert steps == sorted(steps)
    number, name, last = events[-1]
    assert name == "completed"
    assert faulty_server.get(last["data"][0]["url"]).status == 200
    assert {name for _, name, _ in events[:-1]} == {"progress"}
    missed = list(listen(faulty_server, path, "0"))
    assert [number for number, _, _ in missed] == [str(i) for i in range(1, len(states))]
    assert faulty_server.get(f"{path}/events", **{"Last-Event-ID": number}).status == 204


def test_the_end_of_a_failure_says_why(faulty_server: Server) -> None:
    body = {**GOOD, "model": "faulty-model-error"}
    path = faulty_server.post(body, Prefer="respond-async").headers["Location"]
    *_, (_, name, last) = listen(faulty_server, path)
    assert (name, last["status"], last["error"]["code"]) == ("failed", "failed", "model_error")


def test_a_cancel_ends_the_stream(faulty_server: Server) -> None:
    path = faulty_server.post(SLOW, Prefer="respond-async").headers["Location"]
    names = []
    for _, name, data in listen(faulty_server, path):
        names.append(name)
        if data.get("step"):
            faulty_server.delete(path)
    assert names[-1] == "cancelled"


def test_the_stream_of_nothing_is_404(faulty_server: Server) -> None:
    assert faulty_server.get(f"/video/{uuid.uuid4()}/events").status == 404


def test_listeners_take_no_more_than_their_seats_and_give_them_back(tmp_path: Any, faulty_plugins: Any) -> None:
    seats = {"VIDEOAPI_THREADS": "34", "VIDEOAPI_MAX_WAITING_PER_CLIENT": "2"}
    with Server(tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="", **seats) as server:
        path = server.post(SLOW, Prefer="respond-async").headers["Location"]
        for _ in range(3):
            assert send(urllib.request.Request(f"{server.url}{path}/events", method="HEAD")).status == 200
        streams = [urllib.request.urlopen(f"{server.url}{path}/events", timeout=60) for _ in range(2)]
        assert server.get(f"{path}/events").status == 429
        assert server.get("/healthz").status == 200
        for stream in streams:
            stream.close()
        server.wait_until(lambda: can_listen(server, path), "a seat")
        server.delete(path)


def can_listen(server: Server, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}{path}/events", timeout=60):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return False
