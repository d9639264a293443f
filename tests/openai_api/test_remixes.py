"""Videos that are made of videos: remixes, edits and extensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import openai
import pytest

from tests.clips import encode_clip, greys
from tests.images import base64_of, plain
from tests.openai_api.calls import frames_of, is_color, make
from tests.server import Server

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


def test_a_remix_is_the_same_with_another_prompt(client: openai.OpenAI, faulty_server: Server) -> None:
    fields = {"seed": 7, "num_frames": 6, "fps": 4, "step": 3, "params": {"brightness": 20}}
    video = make(client, size="96x64", extra_body=fields)
    remix = client.videos.poll(client.videos.remix(video.id, prompt="another").id)
    assert (remix.status, remix.prompt, remix.remixed_from_video_id) == ("completed", "another", video.id)
    assert (remix.size, remix.seconds) == (video.size, video.seconds)
    assert np.array_equal(frames_of(client, remix), frames_of(client, video))
    assert faulty_server.get(f"/video/{remix.id}").json["seed"] == 7


def test_a_remix_by_a_model_that_takes_clips_is_made_of_the_video(client: openai.OpenAI) -> None:
    clip = encode_clip(greys(5, 64, 48), 5)
    video = make(client, "faulty-clip", input_reference=("a.mp4", clip), extra_body={"num_frames": 5})
    remix = client.videos.poll(client.videos.remix(video.id, prompt="another").id)
    assert np.abs(frames_of(client, remix) - frames_of(client, video)).max() < 6


def test_a_remix_of_what_was_made_from_an_image_says_what_to_do(client: openai.OpenAI) -> None:
    video = make(client, input_reference=("a.png", plain("red"), "image/png"))
    with pytest.raises(openai.BadRequestError, match="send it anew to POST /v1/videos"):
        client.videos.remix(video.id, prompt="another")


def test_a_remix_of_an_unfinished_video_is_refused(client: openai.OpenAI) -> None:
    video = client.videos.create(model="faulty-slow", prompt="anything", extra_body={"step": 200})
    with pytest.raises(openai.ConflictError, match="it must be completed, and kept") as conflict:
        client.videos.remix(video.id, prompt="another")
    assert (conflict.value.code, conflict.value.param) == ("not_ready", "video")
    # Asked once: the client would ask again by itself.
    assert conflict.value.response.headers["x-should-retry"] == "false"
    assert conflict.value.request.headers["x-stainless-retry-count"] == "0"
    with pytest.raises(openai.BadRequestError, match="A remix takes a prompt and nothing else"):
        client.videos.remix(video.id, prompt="another", extra_body={"seed": 1})
    client.videos.delete(video.id)


def test_an_edit_is_made_of_the_clip(client: openai.OpenAI) -> None:
    clip = encode_clip(greys(5, 64, 48), 5)
    edit = client.videos.edit(prompt="another", video=("a.mp4", clip), extra_body={"model": "faulty-clip"})
    frames = frames_of(client, client.videos.poll(edit.id))
    assert np.all(np.diff(frames.mean((1, 2, 3))) > 0)


def test_an_edit_of_a_video_of_ours_goes_by_its_id(client: openai.OpenAI, faulty_server: Server) -> None:
    clip = encode_clip(greys(5, 64, 48), 5)
    video = make(client, "faulty-clip", input_reference=("a.mp4", clip))
    answer = faulty_server.post({"prompt": "another", "video": {"id": video.id}}, "/v1/videos/edits")
    edit = client.videos.poll(answer.json["id"])
    assert (edit.model, edit.remixed_from_video_id, edit.size) == ("faulty-clip", video.id, video.size)
    assert np.abs(frames_of(client, edit) - frames_of(client, video)).max() < 6


@pytest.mark.parametrize("path", ["edits", "extensions"])
def test_what_is_null_is_the_videos_own_but_for_the_prompt(
    client: openai.OpenAI, faulty_server: Server, path: str
) -> None:
    clip = encode_clip(greys(5, 64, 48), 5)
    video = make(client, "faulty-clip", input_reference=("a.mp4", clip), size="96x64")
    body = {"prompt": "another", "video": {"id": video.id}, "size": None, "model": None, "input_reference": None}
    made = client.videos.poll(faulty_server.post(body, f"/v1/videos/{path}").json["id"])
    assert (made.model, made.size, made.prompt) == ("faulty-clip", "96x64", "another")
    answer = faulty_server.post({"video": {"id": video.id}}, f"/v1/videos/{path}")
    assert (answer.status, answer.error["param"]) == (400, "prompt")


def test_an_extension_goes_on_from_the_last_frame(client: openai.OpenAI, faulty_server: Server) -> None:
    images = {"start_image": base64_of(plain("red")), "end_image": base64_of(plain("blue"))}
    video = make(client, extra_body={**images, "num_frames": 5})
    body = {"prompt": "another", "video": {"id": video.id}, "seconds": "2"}
    more = client.videos.poll(faulty_server.post(body, "/v1/videos/extensions").json["id"])
    assert (more.seconds, more.size, more.remixed_from_video_id) == ("2", video.size, video.id)
    assert is_color(frames_of(client, more)[0], (0, 0, 255))
    clip = client.videos.download_content(video.id).read()
    uploaded = client.videos.extend(
        prompt="another", seconds="2", video=("a.mp4", clip), extra_body={"model": "faulty-good"}
    )
    assert is_color(frames_of(client, client.videos.poll(uploaded.id))[0], (0, 0, 255))


@pytest.mark.parametrize(
    ("path", "fields", "param", "message"),
    [
        ("edits", {"model": "faulty-good"}, "video", "Model 'faulty-good' cannot edit a video: it has no mode 'clip'."),
        ("extensions", {"model": "faulty-text-alone"}, "video", "it has no mode 'first_frame'. It takes: text."),
        ("edits", {}, "model", "required"),
        ("edits", {"video": 3}, "video", "Must be a file, or an object with the 'id' of a video."),
        ("edits", {"video": {"id": "no-such"}}, "video", "There is no video of that id."),
        ("edits", {"video": {}}, "video", "Must be a file, or an object with the 'id' of a video."),
        (
            "edits",
            {"video": {"id": "a", "name": "b"}},
            "video",
            "Must be a file, or an object with the 'id' of a video.",
        ),
        ("edits", {"input_reference": "AAAA"}, "input_reference", "'video' is in its place; send one of them."),
        ("extensions", {"start_image": "AAAA"}, "start_image", "'video' is in its place; send one of them."),
        ("extensions", {"input_reference": "AAAA"}, "input_reference", "'video' is in its place; send one of them."),
        ("extensions", {"model": "faulty-good", "video": "AAAA"}, "video", "The clip is damaged."),
    ],
)
def test_edits_and_extensions_that_cannot_be(
    faulty_server: Server, path: str, fields: dict[str, Any], param: str, message: str
) -> None:
    body = {"prompt": "another", "video": base64_of(encode_clip(greys(5, 64, 48), 5)), **fields}
    answer = faulty_server.post(body, f"/v1/videos/{path}")
    assert (answer.status, answer.error["param"]) == (400, param)
    assert message in answer.error["message"]
