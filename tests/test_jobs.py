"""`/video/{id}`: seeing, cancelling, not waiting, coming back; against a real server."""

from __future__ import annotations

import io
import json
import socket
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tests.server import Answer, Server

GOOD = {"model": "faulty-good", "prompt": "anything"}
SLOW = {"model": "faulty-slow", "prompt": "anything", "step": 200}


@pytest.fixture
def slow(faulty_server: Server) -> Iterator[str]:
    """The address of a generation that runs, and is cancelled afterwards."""
    path = faulty_server.post(SLOW, Prefer="respond-async").headers["Location"]
    server = faulty_server
    server.wait_until(lambda: server.get(path).json["step"] > 0, "the generation to run")
    yield path
    faulty_server.delete(path)
    faulty_server.wait_for(path, "cancelled")


def test_not_waiting_is_202_with_the_address_of_the_generation(faulty_server: Server) -> None:
    answer = faulty_server.post(GOOD, Prefer="respond-async, wait=10")
    assert answer.status == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.headers["Location"] == f"/video/{answer.json['id']}"
    assert answer.json["status"] in ("queued", "in_progress", "completed")
    done = faulty_server.wait_for(answer.headers["Location"], "completed")
    assert (done["progress"], done["error"], done["queue_position"], done["eta_seconds"]) == (100, None, None, None)
    assert faulty_server.get(done["data"][0]["url"]).status == 200
    path = f"{answer.headers['Location']}?response_format=b64_json"
    assert len(faulty_server.get(path).json["data"][0]["b64_json"]) > 500
    assert faulty_server.get(f"/video/{done['id']}?response_format=gif").error["param"] == "response_format"


def test_how_far_it_is(faulty_server: Server, slow: str) -> None:
    body = faulty_server.get(slow).json
    assert (body["status"], body["phase"], body["total_steps"]) == ("in_progress", "denoising", 200)
    assert 0 < body["step"] < 200
    assert body["progress"] == 100 * body["step"] // 200
    waiting = faulty_server.post(SLOW, Prefer="respond-async").headers["Location"]
    assert faulty_server.get(waiting).json["queue_position"] == 1
    cancelled = faulty_server.delete(waiting)
    assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
    assert faulty_server.delete(waiting).json["error"]["code"] == "cancelled"


def test_a_running_generation_is_cancelled_and_its_client_told(faulty_server: Server) -> None:
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(faulty_server.post(SLOW)))
    thread.start()
    running = "/video?status=in_progress&model=faulty-slow"
    faulty_server.wait_until(lambda: faulty_server.get(running).json["data"], "the generation to run")
    path = f"/video/{faulty_server.get(running).json['data'][0]['id']}"
    assert faulty_server.delete(path).status in (200, 202)
    thread.join(20)
    assert (answers[0].status, answers[0].error["code"]) == (500, "cancelled")
    assert faulty_server.wait_for(path, "cancelled")["cancel_requested"]


def test_a_look_at_what_is_being_made(faulty_server: Server, slow: str) -> None:
    faulty_server.wait_until(lambda: faulty_server.get(f"{slow}/preview").status == 200, "a preview")
    answer = faulty_server.get(f"{slow}/preview")
    assert (answer.headers["Content-Type"], answer.headers["Cache-Control"]) == ("image/jpeg", "no-store")
    with Image.open(io.BytesIO(answer.body)) as image:
        assert image.size == (320, 240)
    first = answer.body
    faulty_server.wait_until(lambda: faulty_server.get(f"{slow}/preview").body != first, "another preview")
    faulty_server.delete(slow)
    faulty_server.wait_for(slow, "cancelled")
    assert faulty_server.get(f"{slow}/preview").error["code"] == "not_found"
    faulty_server.wait_until(lambda: not any("preview" in name for name in faulty_server.files()), "it to be deleted")


def test_what_has_ended_cannot_be_cancelled(faulty_server: Server) -> None:
    path = f"/video/{faulty_server.post(GOOD).json['id']}"
    answer = faulty_server.delete(path)
    assert (answer.status, answer.json["status"], answer.json["cancel_requested"]) == (200, "completed", False)
    assert faulty_server.get(answer.json["data"][0]["url"]).status == 200


def test_a_client_that_hangs_up_cancels(faulty_server: Server) -> None:
    assert faulty_server.wait_for(hang_up(faulty_server), "cancelled", "completed")["status"] == "cancelled"


def test_a_client_that_hangs_up_with_a_key_can_come_back(faulty_server: Server) -> None:
    body = {**SLOW, "step": 20}
    path = hang_up(faulty_server, body, "come-back")
    answer = faulty_server.post(body, Idempotency_Key="come-back")
    assert (answer.status, f"/video/{answer.json['id']}") == (200, path)


def hang_up(server: Server, body: Any = SLOW, key: str = "") -> str:
    """Ask for a video, hang up once it is being made, and return the address of its generation."""
    data = json.dumps(body).encode()
    head = (
        f"POST /video HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    )
    head += f"Idempotency-Key: {key}\r\n" if key else ""
    running = "/video?status=in_progress&model=faulty-slow"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + b"\r\n" + data)
        server.wait_until(lambda: server.get(running).json["data"], "the generation to run")
        return f"/video/{server.get(running).json['data'][0]['id']}"


def test_one_key_is_one_video(faulty_server: Server) -> None:
    first = faulty_server.post(GOOD, Idempotency_Key="k1")
    again = faulty_server.post(dict(reversed(GOOD.items())), Idempotency_Key="k1")
    assert (first.status, again.status, again.json["id"]) == (200, 200, first.json["id"])
    other = faulty_server.post({**GOOD, "prompt": "something else"}, Idempotency_Key="k1")
    assert (other.status, other.error["code"]) == (409, "idempotency_conflict")
    assert faulty_server.post(GOOD, Idempotency_Key="k" * 256).error["param"] == "Idempotency-Key"


def test_one_key_at_the_same_time_is_one_video(faulty_server: Server) -> None:
    answers: list[Answer] = []
    body = {**GOOD, "prompt": "at once"}
    threads = [
        threading.Thread(target=lambda: answers.append(faulty_server.post(body, Idempotency_Key="k2")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [answer.status for answer in answers] == [200] * 8
    assert len({answer.json["id"] for answer in answers}) == 1


def test_the_list_has_filters_and_pages(faulty_server: Server) -> None:
    made = [faulty_server.post({**GOOD, "seed": seed}).json["id"] for seed in range(3)]
    first = faulty_server.get("/video?model=faulty-good&status=completed&limit=2").json
    assert [row["id"] for row in first["data"]] == made[:0:-1]
    assert (first["first_id"], first["last_id"], first["has_more"]) == (made[2], made[1], True)
    second = faulty_server.get(f"/video?model=faulty-good&limit=1&after={first['last_id']}").json
    assert [row["id"] for row in second["data"]] == made[:1]
    upward = faulty_server.get(f"/video?order=asc&after={made[0]}").json
    assert [row["id"] for row in upward["data"]][:2] == made[1:]
    assert faulty_server.get("/video?model=nobody").json["data"] == []
    assert faulty_server.get("/video?model=video-model").json["data"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("status=done", "status"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        (f"limit={'9' * 3000}", "limit"),
        ("limit=000000010999", "limit"),
        ("limit=%D9%A3", "limit"),
        ("model=%00", "model"),
        ("order=up", "order"),
        ("after=x", "after"),
        ("after=00000000-0000-4000-8000-000000000000", "after"),
        ("state=queued", "state"),
    ],
)
def test_a_wrong_filter_is_a_400_that_names_it(faulty_server: Server, query: str, param: str) -> None:
    answer = faulty_server.get(f"/video?{query}")
    assert (answer.status, answer.error["param"]) == (400, param)


def test_what_does_not_exist_is_404(faulty_server: Server) -> None:
    for path in (f"/video/{uuid.uuid4()}", "/video/x"):
        assert faulty_server.get(path).status == 404
        assert faulty_server.delete(path).status == 404


def test_a_limit_on_waiting_is_202_and_the_work_goes_on(tmp_path: Any, faulty_plugins: Any) -> None:
    with Server(tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="", VIDEOAPI_SYNC_TIMEOUT="0.5") as server:
        answer = server.post({**SLOW, "step": 15})
        assert (answer.status, answer.json["data"]) == (202, [])
        assert server.wait_for(answer.headers["Location"], "completed")["data"]


def test_others_are_answered_while_every_seat_is_taken(tmp_path: Any, faulty_plugins: Any) -> None:
    seats = {"VIDEOAPI_THREADS": "40", "VIDEOAPI_MAX_WAITING_PER_CLIENT": "8"}
    with Server(tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="", **seats) as server:
        answers: list[Answer] = []
        threads = [threading.Thread(target=lambda: answers.append(server.post(SLOW))) for _ in range(60)]
        for thread in threads:
            thread.start()
        server.wait_until(lambda: len(answers) == 52, "those without a seat to be refused")
        assert {(answer.status, answer.error["code"]) for answer in answers} == {(429, "too_many_requests")}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers)
        assert server.get("/healthz").status == 200
        server.wait_until(lambda: len(server.get("/video?limit=100").json["data"]) == 8, "the others to be accepted")
        for row in server.get("/video?limit=100").json["data"]:
            server.delete(f"/video/{row['id']}")
        for thread in threads:
            thread.join(60)
        assert server.post(GOOD).status == 200
