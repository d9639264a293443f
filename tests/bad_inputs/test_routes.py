"""Addresses, methods and headers that are wrong, at a real server: none of them changes or shows anything."""

from __future__ import annotations

import json
import urllib.request
import uuid
from typing import Any

import pytest

from tests.bad_inputs.case import GOOD
from tests.bad_inputs.server import WatchedServer
from tests.server import Answer, send

NONE = uuid.UUID(int=0)
ROUTES: list[tuple[str, str, int, str]] = [
    *(
        ("GET", path, 404, "not_found")
        for path in (
            "/nothing", "/video//", f"/video/{NONE}", "/video/1", "/video/None", "/video/..", "/video/%00",
            "/video/%ff",
            f"/video/{NONE}/", f"/video/{NONE}x", f"/video/{NONE}/events", f"/video/{NONE}/preview",
            "/videos/../../etc/passwd",
            f"/generated-videos/{NONE}.mp4", f"/generated-videos/{NONE}", f"/generated-videos/{NONE}.jpg",
            "/generated-videos/x.mp4", "/generated-videos/.mp4", "/generated-videos/..%2f..%2fsettings%2fbase.py",
            "/generated-videos/%2e%2e%2f%2e%2e%2fdb.sqlite3", "/generated-videos/..%5c..%5cdb.mp4",
            "/generated-videos/..%252f..%252fdb.mp4", "/generated-videos/%00.mp4", f"/generated-videos/{NONE}.mp4%00",
            "/generated-videos//etc/passwd", "/generated-videos/%ff.mp4", f"/thumbnails/{NONE}.jpg",
            "/thumbnails/..%2fx.jpg",
            "/media/videos/x.mp4", "/static/../settings/base.py", "/static/%2e%2e/settings/base.py", "/db.sqlite3",
            "/.env", "/v1/models/no-such", "/models/no-such", "/v1/models/../../etc/passwd", "/models/%00",
            "/models/%ff",
            "/v1/models/%0a", "/v1/models//", "/models/watchful//",
        )
    ),
    *(("GET", f"/video?{query}", 400, "invalid_value") for query in (
        "limit=0", "limit=101", "limit=-1", "limit=1_0", "limit=%00", "limit=x", "limit=%D9%A1", "after=x", "after=%00",
        f"after={NONE}", "status=done", "status=", "order=up", "model=%00", "model=a%0ab", "model=",
        f"model={'x' * 201}", "page=1", "status[]=queued",
        "api_key=x", "'=1",
    )),
    *(("GET", path, 401, "not_authenticated") for path in ("/models/watchful/load", "/models/../load")),
    *((method, "/video", 405, "method_not_allowed") for method in ("PUT", "PATCH", "DELETE", "TRACE")),
    *((method, "/v1/models", 405, "method_not_allowed") for method in ("POST", "PUT", "DELETE")),
    *((method, "/v1/models/watchful", 405, "method_not_allowed") for method in ("POST", "PUT", "DELETE")),
    ("POST", f"/video/{NONE}", 405, "method_not_allowed"),
    ("DELETE", f"/video/{NONE}", 404, "not_found"),
    ("DELETE", f"/generated-videos/{NONE}.mp4", 405, "method_not_allowed"),
    ("POST", "/models/no-such/load", 401, "not_authenticated"),
]  # fmt: skip
HEADERS: list[tuple[dict[str, str], int, str | None]] = [
    ({"Idempotency-Key": ""}, 400, "Idempotency-Key"),
    ({"Idempotency-Key": "x" * 256}, 400, "Idempotency-Key"),
    ({"Idempotency-Key": "a\tb"}, 400, "Idempotency-Key"),
    ({"Idempotency-Key": "\u00e9"}, 400, "Idempotency-Key"),
    ({"Host": "evil.example"}, 400, None),
    ({"Host": "127.0.0.1@evil.example"}, 400, None),
]


def ask(watched: WatchedServer, method: str, path: str, headers: dict[str, str] | None = None) -> Answer:
    data = json.dumps(GOOD).encode() if method in ("POST", "PUT", "PATCH") else None
    named = {"Content-Type": "application/json", **(headers or {})}
    return send(urllib.request.Request(watched.server.url + path, data=data, headers=named, method=method))


@pytest.mark.parametrize(("method", "path", "status", "code"), ROUTES)
def test_an_address_that_is_none_is_a_json_error(
    watched: WatchedServer, method: str, path: str, status: int, code: str
) -> None:
    answer = ask(watched, method, path)
    assert (answer.status, answer.error["code"]) == (status, code), answer.error


@pytest.mark.parametrize(("headers", "status", "param"), HEADERS)
def test_a_header_that_is_wrong_is_refused(
    watched: WatchedServer, headers: dict[str, str], status: int, param: str | None
) -> None:
    answer = ask(watched, "POST", "/video", headers)
    assert (answer.status, answer.error["param"]) == (status, param)


@pytest.fixture(scope="module")
def done(watched: WatchedServer) -> Any:
    return watched.server.post({**GOOD, "seed": 1}, Idempotency_Key="routes").json


def test_the_same_key_with_another_body_is_a_409(watched: WatchedServer, done: Any) -> None:
    answer = watched.server.post({**GOOD, "seed": 2}, Idempotency_Key="routes")
    assert (answer.status, answer.error["param"]) == (409, "Idempotency-Key")


@pytest.mark.parametrize("kind", ["videos", "thumbnails"])
def test_a_link_in_place_of_a_file_is_not_followed(watched: WatchedServer, done: Any, kind: str) -> None:
    (file,) = (watched.server.media / kind).glob(f"{done['id']}*")
    url = f"/{'generated-videos' if kind == 'videos' else kind}/{done['id']}{file.suffix}"
    assert watched.server.get(url).status == 200
    file.unlink()
    file.symlink_to("/etc/passwd")
    try:
        assert watched.server.get(url).error["code"] == "not_found"
    finally:
        file.unlink()
    assert watched.server.get(url).status == 404
