"""`n` videos of one request."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from tests import generations
from tests.images import base64_of, plain
from tests.server import Server
from tests.test_events import listen
from tests.videos import read
from videoapi.api.bodies import sum_timings
from videoapi.exceptions import InvalidRequest, TooManyRequests
from videoapi.models import Generation, issue_key

GOOD = {"model": "faulty-good", "prompt": "anything"}
ASYNC = {"Prefer": "respond-async"}


def test_each_video_has_the_next_seed_and_is_what_that_seed_makes(faulty_server: Server) -> None:
    body = faulty_server.post({**GOOD, "n": 3, "seed": 5}).json
    assert [item["seed"] for item in body["data"]] == [5, 6, 7]
    assert body["data"][0]["id"] == body["id"]
    assert len({item["id"] for item in body["data"]}) == 3
    for item in body["data"]:
        alone = faulty_server.post({**GOOD, "seed": item["seed"]}).json["data"][0]
        assert np.array_equal(*(read(faulty_server.get(each["url"]).body).frames for each in (item, alone)))
    assert body["timings"]["total"] >= body["timings"]["denoising"]


def test_each_has_the_images(faulty_server: Server) -> None:
    body = faulty_server.post({**GOOD, "n": 2, "start_image": base64_of(plain("red", 200, 50))}).json
    assert body["warnings"] == ["start_image of 200x50 was cut at the middle to fit 64x48."]
    for item in body["data"]:
        frames = read(faulty_server.get(item["url"]).body).frames
        assert np.abs(frames[0].astype(int) - (255, 0, 0)).max() < 12
    assert not [name for name in faulty_server.files() if name.startswith("inputs/")]


def test_b64_json_holds_every_file(faulty_server: Server) -> None:
    body = faulty_server.post({**GOOD, "n": 2, "response_format": "b64_json"}).json
    assert [set(item) for item in body["data"]] == [{"b64_json", "id", "seed"}] * 2


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"n": 0}, "n", "greater than or equal to 1"),
        ({"n": 5}, "n", "less than or equal to 4"),
        ({"n": "2"}, "n", "Must be an integer."),
        ({"n": 2, "seed": 2**63 - 1}, "seed", "The seeds of 2 videos would go over"),
    ],
)
def test_numbers_that_cannot_be(faulty_server: Server, fields: dict[str, Any], field: str, message: str) -> None:
    answer = faulty_server.post({**GOOD, **fields})
    assert (answer.status, answer.error["param"]) == (400, field)
    assert message in answer.error["message"]


def test_their_job_is_one_and_each_can_be_asked_for_alone(faulty_server: Server) -> None:
    slow = {"model": "faulty-slow", "prompt": "anything", "step": 5, "n": 2}
    accepted = faulty_server.post(slow, **ASYNC)
    path = accepted.headers["Location"]
    assert (accepted.status, accepted.json["status"], accepted.json["data"]) == (202, "queued", [])
    halfway = []

    def is_done() -> bool:
        now = faulty_server.get(path).json
        if len(now["data"]) == 1:
            halfway.append((now["status"], now["progress"]))
        return bool(now["status"] == "completed")

    faulty_server.wait_until(is_done, "both videos")
    assert halfway
    assert all(status == "in_progress" and 50 <= progress < 100 for status, progress in halfway)
    done = faulty_server.get(path).json
    assert (done["progress"], done["step"], done["total_steps"], len(done["data"])) == (100, 10, 10, 2)
    second = faulty_server.get(f"/video/{done['data'][1]['id']}").json
    assert (second["seed"], second["status"], len(second["data"])) == (done["seed"] + 1, "completed", 1)


def test_the_stream_tells_of_all_and_ends_with_the_last(faulty_server: Server) -> None:
    slow = {"model": "faulty-slow", "prompt": "anything", "step": 20, "n": 2}
    path = faulty_server.post(slow, **ASYNC).headers["Location"]
    *events, (last_id, last_name, last) = listen(faulty_server, path)
    assert {(number, name) for number, name, _ in events} == {("", "progress")}
    assert last_id
    assert last_name == "completed"
    assert len(last["data"]) == 2


def test_who_comes_back_to_a_stream_that_has_ended_is_told_not_to(faulty_server: Server) -> None:
    path = f"/video/{faulty_server.post({**GOOD, 'n': 2}).json['id']}"
    *_, (last_id, _, _) = listen(faulty_server, path)
    assert faulty_server.get(f"{path}/events", **{"Last-Event-ID": last_id}).status == 204


def test_a_cancel_ends_them_all(faulty_server: Server) -> None:
    slow = {"model": "faulty-slow", "prompt": "anything", "step": 200, "n": 3}
    body = faulty_server.post(slow, **ASYNC).json
    faulty_server.wait_for(f"/video/{body['id']}", "in_progress")
    faulty_server.delete(f"/video/{body['id']}")
    ended = faulty_server.wait_for(f"/video/{body['id']}", "cancelled")
    assert (ended["error"]["code"], ended["data"]) == ("cancelled", [])


def test_one_that_is_cancelled_alone_leaves_the_others(faulty_server: Server) -> None:
    slow = {"model": "faulty-slow", "prompt": "anything", "step": 5, "n": 2}
    first = faulty_server.post(slow, **ASYNC).json["id"]
    rows = faulty_server.get("/video?limit=2").json["data"]
    second = next(row["id"] for row in rows if row["id"] != first)
    faulty_server.delete(f"/video/{second}")
    ended = faulty_server.wait_for(f"/video/{first}", "cancelled")
    assert ended["error"]["code"] == "cancelled"
    assert [item["id"] for item in ended["data"]] == [first]


def test_who_waits_for_several_of_which_one_fails_is_told_where_the_others_are(faulty_server: Server) -> None:
    slow = {"model": "faulty-slow", "prompt": "one fails", "step": 10, "n": 2}
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(faulty_server.post(slow)))
    waiting.start()
    rows: list[Any] = []

    def is_accepted() -> bool:
        rows[:] = [each for each in faulty_server.get("/video?limit=2").json["data"] if each["prompt"] == "one fails"]
        return len(rows) == 2

    faulty_server.wait_until(is_accepted, "both generations")
    faulty_server.delete(f"/video/{max(rows, key=lambda each: each['seed'])['id']}")
    waiting.join(60)
    (answer,) = answers
    assert (answer.status, answer.error["code"]) == (500, "cancelled")
    assert len(faulty_server.get(answer.headers["Location"]).json["data"]) == 1


def test_what_the_others_of_a_run_share_counts_once() -> None:
    shared = {"denoising": 30.0, "storing": 1.0}
    rows = [Generation(timings=shared, batch_size=size) for size in (3, 3, 3, 1)]
    assert sum_timings(rows) == {"denoising": 60.0, "storing": 4.0}


def test_a_model_that_fails_is_the_answer(faulty_server: Server) -> None:
    answer = faulty_server.post({"model": "faulty-raise", "prompt": "anything", "n": 2})
    assert (answer.status, answer.error["code"]) == (500, "model_error")


def test_a_key_may_not_ask_for_more_than_its_videos_a_minute(faulty_server: Server) -> None:
    words = faulty_server.manage("createkey", "ann", "--per-minute", "2")
    key = next(word for word in words.split() if word.startswith("va-"))
    answer = faulty_server.post({**GOOD, "n": 3}, x_api_key=key)
    assert (answer.status, answer.error["param"]) == (400, "n")
    assert answer.error["message"] == "This API key may make 2 videos a minute."
    assert faulty_server.post({**GOOD, "n": 2}, x_api_key=key).status == 200
    assert faulty_server.post(GOOD, x_api_key=key).status == 429


def test_an_idempotency_key_stands_for_all(faulty_server: Server) -> None:
    first, again = (faulty_server.post({**GOOD, "n": 2}, Idempotency_Key="two videos").json for _ in range(2))
    assert first["data"] == again["data"]
    assert len(first["data"]) == 2


@pytest.mark.django_db
def test_more_than_can_ever_wait_are_a_400(configure: Any) -> None:
    configure(max_queued_per_client=2)
    with pytest.raises(InvalidRequest, match="At most 2 generations of yours can wait at once"):
        generations.make(n=3)
    configure()
    row, _ = issue_key("ann", pixel_frames_per_day=2 * 64 * 48 * 5)
    with pytest.raises(InvalidRequest, match="These videos are more than the 30720 pixels a day of this API key"):
        generations.make(n=3, api_key=row)
    generations.make(n=2, api_key=row)


@pytest.mark.django_db
def test_they_are_accepted_together_or_not_at_all(configure: Any) -> None:
    configure(max_queued=3)
    generations.make(n=2)
    with pytest.raises(TooManyRequests):
        generations.make(n=3, image=plain_image())
    assert Generation.objects.count() == 2
    assert generations.stored_files() == []


def plain_image() -> Any:
    from PIL import Image

    return Image.new("RGB", (64, 48), "red")


def test_one_that_is_deleted_was_asked_for_still(faulty_server: Server) -> None:
    first, second = faulty_server.post({**GOOD, "n": 2}).json["data"]
    faulty_server.delete(f"/v1/videos/{second['id']}")
    body = faulty_server.get(f"/video/{first['id']}").json
    assert ([item["url"] for item in body["data"]], body["request"]["n"]) == ([first["url"]], 2)


def test_the_whole_request_says_how_many(faulty_server: Server) -> None:
    first = faulty_server.post({**GOOD, "n": 2}).json
    request = faulty_server.get(f"/video/{first['id']}").json["request"]
    assert (request["n"], request["seed"]) == (2, first["seed"])
    again = faulty_server.post(request).json
    for one, other in zip(first["data"], again["data"], strict=True):
        assert faulty_server.get(one["url"]).body == faulty_server.get(other["url"]).body
