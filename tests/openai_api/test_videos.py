"""`/v1/videos`, driven by OpenAI's own client."""

from __future__ import annotations

import contextlib
import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image

from tests.clips import encode_clip, greys
from tests.images import base64_of, plain
from tests.openai_api.calls import frames_of, is_color, make
from tests.server import Server
from tests.videos import read
from videoapi.api.openai.decoding import WAITING, WORKING, place_to_decode

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


def test_create_and_poll_and_download(client: openai.OpenAI) -> None:
    video = make(client, seconds="2", size="96x80", extra_body={"fps": 6, "seed": 5})
    assert (video.object, video.status, video.progress, video.error) == ("video", "completed", 100, None)
    assert (video.model, video.prompt, video.seconds, video.size) == ("faulty-good", "anything", "2", "96x80")
    assert video.completed_at is not None
    assert video.created_at <= video.completed_at <= time.time()
    assert (video.expires_at, video.remixed_from_video_id) == (None, None)
    made = read(client.videos.download_content(video.id).read())
    assert (made.width, made.height, made.rate, len(made.frames)) == (96, 80, 6, 12)


def test_the_states_on_the_way_are_openais_and_the_progress_moves(client: openai.OpenAI) -> None:
    seen, progress = [], []
    video = client.videos.create(model="faulty-slow", prompt="anything", extra_body={"step": 30})
    while video.status in ("queued", "in_progress"):
        seen.append(video.status)
        progress.append(video.progress)
        time.sleep(0.05)
        video = client.videos.retrieve(video.id)
    assert set(seen) <= {"queued", "in_progress"}
    assert video.status == "completed"
    assert progress == sorted(progress)
    assert len(set(progress)) > 3


def test_the_client_is_told_when_to_ask_again(client: openai.OpenAI) -> None:
    answer = client.videos.with_raw_response.create(model="faulty-slow", prompt="anything")
    assert 250 <= int(answer.headers["openai-poll-after-ms"]) <= 10_000
    pk = answer.parse().id
    client.videos.poll(pk)
    assert "openai-poll-after-ms" not in client.videos.with_raw_response.retrieve(pk).headers


def test_a_file_is_the_first_frame(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(plain("red", 64, 48))
    video = make(client, input_reference=path)
    assert is_color(frames_of(client, video)[0], (255, 0, 0))


def test_two_images_go_by_their_fields_of_video(client: openai.OpenAI) -> None:
    images = {"start_image": base64_of(plain("red")), "end_image": base64_of(plain("blue"))}
    frames = frames_of(client, make(client, extra_body={**images, "num_frames": 5}))
    assert is_color(frames[0], (255, 0, 0))
    assert is_color(frames[-1], (0, 0, 255))


def test_every_field_of_video_may_be_sent_as_a_form_and_as_json(client: openai.OpenAI, faulty_server: Server) -> None:
    fields = {
        "negative_prompt": "blurry",
        "num_frames": 6,
        "fps": 4,
        "seed": 3,
        "cfg_scale": 2.5,
        "step": 3,
        "params": {"brightness": 20},
        "priority": -1,
    }
    form = make(client, size="96x64", extra_body=fields)
    body = {"model": "faulty-good", "prompt": "anything", "size": "96x64", **fields}
    json_ = client.videos.poll(faulty_server.post(body, "/v1/videos").json["id"])
    assert np.array_equal(frames_of(client, form), frames_of(client, json_))
    row = faulty_server.get(f"/video/{form.id}").json
    assert (row["seed"], row["num_frames"], row["fps"], row["total_steps"]) == (3, 6, 4, 3)


def test_params_in_a_form_may_be_json_text(client: openai.OpenAI) -> None:
    plain_one, as_text = (
        make(client, extra_body={"seed": 1, "params": params}) for params in ({"brightness": 20}, '{"brightness": 20}')
    )
    assert np.array_equal(frames_of(client, plain_one), frames_of(client, as_text))


def test_a_failed_video_is_an_answer_with_its_error(client: openai.OpenAI) -> None:
    video = make(client, "faulty-raise")
    assert (video.status, video.completed_at) == ("failed", None)
    assert video.error is not None
    assert isinstance(video.error.code, str)
    assert video.error.message
    with pytest.raises(openai.NotFoundError, match="is failed; it has no content") as failure:
        client.videos.download_content(video.id)
    assert failure.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("values", "param", "message"),
    [
        ({"model": "no-such"}, "model", "Unknown model 'no-such'"),
        ({"size": "big"}, "size", "'big' is not WIDTHxHEIGHT"),
        ({"seconds": "soon"}, "seconds", "positive decimal number"),
        ({"extra_body": {"n": 5}}, "n", "less than or equal to 4"),
        ({"extra_body": {"n": "many"}}, "n", "Must be an integer."),
        ({"extra_body": {"step": "many"}}, "step", "Must be an integer."),
        ({"extra_body": {"stepp": 3}}, "stepp", "Did you mean 'step'?"),
        ({"extra_body": {"params": "{"}}, "params", "Is no valid JSON."),
        ({"extra_body": {"params": {"bright": 1}}}, "params.bright", "Did you mean 'brightness'?"),
        ({"extra_body": {"input_reference": {"file_id": "file-1"}}}, "input_reference", "Files are not kept here"),
        ({"extra_body": {"input_reference": {"url": "x"}}}, "input_reference", "an object with 'image_url'"),
        ({"input_reference": ("a.png", b"no image", "image/png")}, "input_reference", "Not a whole PNG"),
    ],
)
def test_what_is_wrong_is_openais_bad_request(
    client: openai.OpenAI, values: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(openai.BadRequestError) as failure:
        client.videos.create(**{"model": "faulty-good", "prompt": "anything", **values})
    assert failure.value.param == param
    assert message in failure.value.message
    assert isinstance(failure.value.code, str)


def test_without_a_model_the_answer_names_the_field(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as failure:
        client.videos.create(prompt="anything")
    assert failure.value.param == "model"


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"nothing", "multipart/form-data", "The form is malformed"),
        (b"nothing", "multipart/form-data; boundary=x", "This field is required."),
        (
            b'--x\r\nContent-Disposition: form-data; name="a%s"\r\n\r\n1\r\n--x--' % (b"[b]" * 20),
            "multipart/form-data; boundary=x",
            "nested more than 8 deep",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'.replace(b"--x--\r\n", b"")
            + b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n1\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            "The field 'a' stands twice.",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 1100 + b"--x--\r\n",
            "multipart/form-data; boundary=x",
            "has too many fields",
        ),
        (b"[]", "application/json", "Expected a dictionary"),
    ],
)
def test_a_form_that_is_none_is_refused(faulty_server: Server, body: bytes, content_type: str, message: str) -> None:
    answer = faulty_server.post(body, "/v1/videos", content_type)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert message in answer.error["message"]


def test_an_unknown_video_is_not_found(client: openai.OpenAI) -> None:
    for ask in (client.videos.retrieve, client.videos.delete, client.videos.download_content):
        with pytest.raises(openai.NotFoundError):
            ask("c2a4cfb3-c008-43ed-b07a-8605ca87e2ee")
        with pytest.raises(openai.NotFoundError):
            ask("video_123")


def test_the_list_goes_page_by_page(client: openai.OpenAI) -> None:
    made = [make(client).id for _ in range(5)]
    first = client.videos.list(limit=2)
    assert [video.id for video in first.data] == made[:2:-1]
    assert first.has_more
    several = [video.id for _, video in zip(range(5), client.videos.list(limit=2), strict=False)]
    assert several == made[::-1]
    upward = client.videos.list(limit=2, order="asc", after=made[2])
    assert [video.id for video in upward.data] == made[3:]


def test_a_thumbnail_and_a_spritesheet(client: openai.OpenAI) -> None:
    frames = greys(20, 64, 48)
    video = make(
        client, "faulty-clip", input_reference=("a.mp4", encode_clip(frames, 5)), extra_body={"num_frames": 20}
    )
    thumbnail = client.videos.download_content(video.id, variant="thumbnail")
    assert Image.open(io.BytesIO(thumbnail.read())).format == "JPEG"
    sheet = Image.open(io.BytesIO(client.videos.download_content(video.id, variant="spritesheet").read()))
    assert (sheet.format, sheet.size) == ("JPEG", (4 * 64, 4 * 48))
    cells = np.asarray(sheet.convert("L")).reshape(4, 48, 4, 64).transpose(0, 2, 1, 3).reshape(16, -1).mean(1)
    film = frames_of(client, video).mean((1, 2, 3))
    assert np.abs(cells - film[np.linspace(0, 19, 16).round().astype(int)]).max() < 4
    with pytest.raises(openai.BadRequestError, match="Must be one of: video, thumbnail, spritesheet"):
        client.videos.download_content(video.id, variant="poster")  # type: ignore[arg-type]


def test_the_content_has_byte_ranges(client: openai.OpenAI, faulty_server: Server) -> None:
    path = f"/v1/videos/{make(client).id}/content"
    answer = faulty_server.get(path, Range="bytes=4-7")
    assert (answer.status, answer.body) == (206, b"ftyp")


def test_delete_removes_a_finished_video(client: openai.OpenAI, faulty_server: Server) -> None:
    video = make(client)
    deleted = client.videos.delete(video.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (video.id, True, "video.deleted")
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video.id)
    for path in (f"/video/{video.id}", f"/generated-videos/{video.id}.mp4", f"/thumbnails/{video.id}.jpg"):
        assert faulty_server.get(path).status == 404
    assert not [name for name in faulty_server.files() if video.id in name]
    assert video.id not in [each.id for each in client.videos.list(limit=100).data]


def test_all_videos_can_be_deleted_page_by_page(client: openai.OpenAI) -> None:
    made = {make(client).id for _ in range(3)}
    deleted = set()
    for video in client.videos.list(limit=2):
        client.videos.delete(video.id)
        deleted.add(video.id)
    assert made <= deleted
    assert client.videos.list().data == []


def test_delete_cancels_a_running_video(client: openai.OpenAI, faulty_server: Server) -> None:
    video = client.videos.create(model="faulty-slow", prompt="anything", extra_body={"step": 200})
    faulty_server.wait_for(f"/video/{video.id}", "in_progress")
    client.videos.delete(video.id)
    make(client, "faulty-slow", extra_body={"step": 1})
    assert not [name for name in faulty_server.files() if video.id in name]


def test_a_cancelled_video_has_failed(client: openai.OpenAI, faulty_server: Server) -> None:
    video = client.videos.create(model="faulty-slow", prompt="anything", extra_body={"step": 200})
    faulty_server.delete(f"/video/{video.id}")
    ended = client.videos.poll(video.id)
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.error.code == "cancelled"


def test_a_status_is_what_the_list_says(client: openai.OpenAI, faulty_server: Server) -> None:
    failed = client.videos.create(model="faulty-model-error", prompt="anything").id
    slow = client.videos.create(model="faulty-slow", prompt="anything", extra_body={"step": 100}).id
    faulty_server.delete(f"/video/{slow}")
    client.videos.poll(failed)
    client.videos.poll(slow)
    for status, expected in (("failed", {failed, slow}), ("completed", set()), ("cancelled", None)):
        answer = faulty_server.get(f"/v1/videos?status={status}&limit=100")
        if expected is None:
            assert (answer.status, answer.error["param"]) == (400, "status")
            continue
        found = answer.json["data"]
        assert {video["status"] for video in found} <= {status}
        assert expected <= {video["id"] for video in found}
        assert status == "failed" or not {failed, slow} & {video["id"] for video in found}


def test_only_a_few_read_whole_videos_at_once(client: openai.OpenAI, faulty_server: Server) -> None:
    video = make(client, size="1024x1024", extra_body={"num_frames": 200})
    path = f"/v1/videos/{video.id}/content?variant=spritesheet"
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: faulty_server.get(path), range(40)))
    assert {answer.status for answer in answers} == {200, 429}
    refused = next(answer for answer in answers if answer.status == 429)
    assert (refused.error["code"], refused.headers["Retry-After"]) == ("too_many_requests", "5")
    assert faulty_server.get(path).status == 200


def test_a_place_is_given_back_whatever_happens() -> None:
    for _ in range(WORKING + WAITING + 1):
        with contextlib.suppress(ZeroDivisionError), place_to_decode():
            _ = 1 / 0


def test_several_videos_are_a_job_each(client: openai.OpenAI) -> None:
    first = client.videos.create(model="faulty-good", prompt="anything", extra_body={"n": 3, "seed": 5})
    videos = [client.videos.poll(identifier) for identifier in first.to_dict()["ids"]]
    assert first.id == videos[0].id
    assert [(video.status, video.to_dict()["seed"]) for video in videos] == [("completed", seed) for seed in (5, 6, 7)]
    assert all("ids" not in video.to_dict() for video in videos)
