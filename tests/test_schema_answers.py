"""A real server answers as its OpenAPI schema says."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import pytest

from tests.clips import encode_clip, greys
from tests.images import base64_of, data_uri, plain
from tests.openapi import check
from tests.server import Answer, Server, send

SMALL = {"model": "starter", "prompt": "a red circle on a white background", "size": "64x64", "step": 1}
IMAGE = data_uri(plain("red"))
CLIP = base64_of(encode_clip(greys(3, 64, 64), 8))
FORM = b"".join(
    f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in SMALL.items()
) + b'--x\r\nContent-Disposition: form-data; name="input_reference"; filename="a.png"\r\n\r\n%b\r\n--x--\r\n' % plain(
    "red"
)
MULTIPART = {"content_type": "multipart/form-data; boundary=x"}
NONE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def served(starter_server: Server) -> Any:
    """The schema as a real server has it."""
    return starter_server.get("/schema").json


def test_the_example_requests_are_accepted(starter_server: Server, served: Any) -> None:
    examples = served["paths"]["/video"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert len(examples) > 3
    for name, named in examples.items():
        answer = starter_server.post(named["value"])
        assert answer.status == 200, (name, answer.body)
        check_answer(served, "post", "/video", answer)


def check_answer(served: Any, method: str, path: str, answer: Answer) -> None:
    """The status, the media type, the headers and the body are as the schema has them."""
    described = served["paths"][path][method]["responses"][str(answer.status)]
    for header, each in described.get("headers", {}).items():
        assert header in answer.headers or not each.get("required"), (path, header)
    if "content" not in described:
        assert answer.body == b""
        return
    media_type = answer.headers["Content-Type"].partition(";")[0]
    schema = described["content"][media_type]["schema"]
    if media_type == "application/json":
        check(served, schema, answer.json)
    elif media_type == "text/event-stream":
        check_events(served, schema, answer.body.decode())


def check_events(served: Any, schema: Any, text: str) -> None:
    _, *events = text.strip().split("\n\n")
    assert events
    for event in events:
        fields = dict(line.split(": ", 1) for line in event.splitlines())
        check(served, schema, fields)
        data = served["components"]["schemas"]["Event"]["properties"]["data"]["contentSchema"]
        check(served, data, json.loads(fields["data"]))


@pytest.fixture(scope="module")
def identifier(starter_server: Server) -> str:
    """Of a generation that is completed."""
    return str(starter_server.post(SMALL).json["id"])


@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("get", "/video", 200, {}),
        ("get", "/video?limit=0", 400, {}),
        ("get", "/video/{id}", 200, {}),
        ("get", "/video/{id}?response_format=b64_json", 200, {}),
        ("get", "/video/{id}?response_format=x", 400, {}),
        ("delete", "/video/{id}", 200, {}),
        ("get", "/video/{id}/events", 200, {}),
        ("get", "/video/{id}/events", 204, {"Last-Event-ID": "9999"}),
        ("get", "/video/{id}/preview", 404, {}),
        ("get", "/generated-videos/{id}.mp4", 200, {}),
        ("get", "/generated-videos/{id}.mp4", 206, {"Range": "bytes=0-9"}),
        ("get", "/generated-videos/{id}.mp4", 304, {"If-None-Match": "*"}),
        ("get", "/generated-videos/{id}.mp4", 412, {"If-Match": '"another"'}),
        ("get", "/generated-videos/{id}.mp4", 416, {"Range": "bytes=99999999-"}),
        ("get", f"/generated-videos/{NONE}.mp4", 404, {}),
        ("get", "/thumbnails/{id}.jpg", 200, {}),
        ("get", "/v1/videos", 200, {}),
        ("get", "/v1/videos?status=done", 400, {}),
        ("get", "/v1/videos/{id}", 200, {}),
        ("get", f"/v1/videos/{NONE}", 404, {}),
        ("get", "/v1/videos/{id}/content", 200, {}),
        ("get", "/v1/videos/{id}/content", 206, {"Range": "bytes=0-9"}),
        ("get", "/v1/videos/{id}/content", 304, {"If-None-Match": "*"}),
        ("get", "/v1/videos/{id}/content", 412, {"If-Match": '"another"'}),
        ("get", "/v1/videos/{id}/content", 416, {"Range": "bytes=99999999-"}),
        ("get", "/v1/videos/{id}/content?variant=thumbnail", 200, {}),
        ("get", "/v1/videos/{id}/content?variant=thumbnail", 206, {"Range": "bytes=0-9"}),
        ("get", "/v1/videos/{id}/content?variant=spritesheet", 200, {}),
        ("get", "/v1/videos/{id}/content?variant=poster", 400, {}),
        ("delete", f"/v1/videos/{NONE}", 404, {}),
        ("delete", "/v1/videos/{id}", 403, {"Origin": "https://evil.example"}),
        ("get", "/v1/models", 200, {}),
        ("get", "/v1/models/starter", 200, {}),
        ("get", "/v1/models/stater", 404, {}),
        ("get", "/v1/models/capabilities", 200, {}),
        ("get", "/models", 200, {}),
        ("get", "/models/video-model", 200, {}),
        ("get", "/api/models/capabilities", 200, {}),
        ("get", "/metrics", 200, {}),
        ("get", "/metrics", 200, {"Accept": "application/openmetrics-text"}),
        ("get", "/v1/models", 200, {"Accept": "video/mp4"}),
        ("get", "/healthz", 200, {}),
        ("get", "/healthz", 400, {"Host": "evil.example"}),
        ("get", "/readyz", 200, {}),
        ("get", "/schema?format=yaml", 200, {}),
        ("get", "/schema?format=toml", 400, {}),
        ("get", "/docs", 200, {}),
        ("post", "/models/starter/load", 401, {}),
    ],
)  # fmt: skip
def test_an_answer_is_as_the_schema_says(
    starter_server: Server, served: Any, identifier: str, method: str, path: str, status: int, headers: dict[str, str]
) -> None:
    url = starter_server.url + path.format(id=identifier)
    answer = send(urllib.request.Request(url, headers=headers, method=method.upper()))
    assert answer.status == status, answer.body
    check_answer(served, method, _template(served, path.partition("?")[0]), answer)


def _template(served: Any, path: str) -> str:
    """The address of the schema that this is one of."""
    if path in served["paths"]:
        return path
    fits = [each for each in served["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path)]
    assert len(fits) == 1, fits
    return fits[0]


@pytest.mark.parametrize(
    ("body", "status", "headers"),
    [
        (SMALL, 202, {"Prefer": "respond-async"}),
        ({**SMALL, "n": 2}, 200, {}),
        ({**SMALL, "n": 2, "response_format": "b64_json"}, 200, {}),
        ({**SMALL, "width": 0, "start_image": ""}, 200, {}),
        (SMALL, 403, {"Origin": "https://evil.example"}),
        ({**SMALL, "seed": 2}, 409, {"Idempotency_Key": "schema"}),
        ({**SMALL, "num_frame": 5}, 400, {}),
        (SMALL, 400, {"Idempotency_Key": "é".encode().decode("latin-1")}),
        (b"{}", 415, {"content_type": "text/plain"}),
        (b" " * (33 * 2**20), 413, {}),
    ],
)  # fmt: skip
def test_an_answer_to_a_request_for_a_video_is_as_the_schema_says(
    starter_server: Server, served: Any, body: Any, status: int, headers: dict[str, str]
) -> None:
    if status == 409:
        starter_server.post(SMALL, **headers)
    answer = starter_server.post(body, **headers)
    assert answer.status == status, answer.body
    check_answer(served, "post", "/video", answer)


@pytest.mark.parametrize(
    ("path", "body", "status", "headers"),
    [
        ("/v1/videos", SMALL, 200, {}),
        ("/v1/videos", {**SMALL, "input_reference": {"image_url": IMAGE}, "n": 1, "seconds": "0.5"}, 200, {}),
        ("/v1/videos", {**SMALL, "n": 2}, 200, {}),
        ("/v1/videos", {**SMALL, "n": 5}, 400, {}),
        ("/v1/videos", {**SMALL, "step": "1"}, 400, {}),
        ("/v1/videos", {**SMALL, "input_reference": {"image_url": IMAGE, "detail": "low"}}, 400, {}),
        ("/v1/videos", FORM, 200, MULTIPART),
        ("/v1/videos", FORM.replace(b'"step"\r\n\r\n1', b'"step"\r\n\r\none'), 400, MULTIPART),
        ("/v1/videos", {**SMALL, "seed": 2}, 409, {"Idempotency_Key": "schema"}),
        ("/v1/videos", b"{}", 415, {"content_type": "text/plain"}),
        ("/v1/videos", SMALL, 403, {"Origin": "https://evil.example"}),
        ("/v1/videos/{id}/remix", {"prompt": "a blue circle"}, 200, {}),
        ("/v1/videos/{id}/remix", {"prompt": "a blue circle", "seed": 1}, 400, {}),
        (f"/v1/videos/{NONE}/remix", {"prompt": "a blue circle"}, 404, {}),
        ("/v1/videos/edits", {**SMALL, "video": CLIP}, 400, {}),
        ("/v1/videos/extensions", {**SMALL, "video": CLIP}, 200, {}),
        ("/v1/videos/extensions", {"prompt": "and on", "video": {"id": "{id}"}}, 200, {}),
        ("/v1/videos/extensions", {"prompt": "and on", "video": {"id": NONE}}, 400, {}),
    ],
)  # fmt: skip
def test_an_answer_at_openais_addresses_is_as_the_schema_says(
    starter_server: Server, served: Any, identifier: str, path: str, body: Any, status: int, headers: dict[str, str]
) -> None:
    if isinstance(body, dict) and body.get("video") == {"id": "{id}"}:
        body = {**body, "video": {"id": identifier}}
    path = path.replace("{id}", identifier)
    if status == 409:
        starter_server.post(SMALL, path, **headers)
    answer = starter_server.post(body, path, **headers)
    assert answer.status == status, answer.body
    check_answer(served, "post", _template(served, path), answer)


def test_the_example_request_of_openais_is_accepted_and_what_it_makes_can_be_deleted(
    starter_server: Server, served: Any
) -> None:
    content = served["paths"]["/v1/videos"]["post"]["requestBody"]["content"]["application/json"]
    (named,) = content["examples"].values()
    answer = starter_server.post(named["value"], "/v1/videos")
    assert answer.status == 200, answer.body
    assert "openai-poll-after-ms" in answer.headers
    path = f"/v1/videos/{answer.json['id']}"
    not_ready = starter_server.get(f"{path}/content")
    assert (not_ready.status, not_ready.headers["x-should-retry"]) == (404, "false")
    remix = starter_server.post({"prompt": "a blue circle"}, f"{path}/remix")
    check_answer(served, "post", "/v1/videos/{id}/remix", remix)
    assert (remix.status, remix.error["code"]) == (409, "not_ready")
    deleted = starter_server.delete(path)
    check_answer(served, "delete", "/v1/videos/{id}", deleted)
    assert deleted.json["deleted"]
