"""Byte ranges over HTTP, against RFC 9110's examples and the edges around them."""

from __future__ import annotations

import urllib.request
from typing import Any

import pytest

from tests.server import Server, send
from videoapi.api.ranges import parse_range


@pytest.fixture(scope="module")
def path(faulty_server: Server) -> str:
    body = faulty_server.post({"model": "faulty-good", "prompt": "anything"}).json
    return str(body["data"][0]["url"])


def test_the_whole_file_says_that_it_takes_ranges(faulty_server: Server, path: str) -> None:
    answer = faulty_server.get(path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == f'inline; filename="{path.rpartition("/")[2]}"'
    assert int(answer.headers["Content-Length"]) == len(answer.body) > 500


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=0-99", slice(0, 100)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-50", slice(-50, None)),
        ("bytes=10-999999999", slice(10, None)),
        ("bytes=-999999999", slice(None)),
    ],
)
def test_a_range_is_that_part(faulty_server: Server, path: str, header: str, part: slice) -> None:
    whole = faulty_server.get(path).body
    answer = faulty_server.get(path, Range=header)
    start, stop, _ = part.indices(len(whole))
    assert (answer.status, answer.body) == (206, whole[part])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole)}"
    assert int(answer.headers["Content-Length"]) == stop - start


@pytest.mark.parametrize(
    "header", ["bytes=5-1", "bytes=0-1,5-6", "lines=0-1", "bytes=-", "bytes=a-b", "nonsense", f"bytes=0-{5000 * '9'}"]
)
def test_what_is_no_single_range_gets_the_whole_file(faulty_server: Server, path: str, header: str) -> None:
    assert faulty_server.get(path, Range=header).status == 200


@pytest.mark.parametrize("header", ["bytes=999999999-", "bytes=-0"])
def test_a_range_outside_the_file_is_416(faulty_server: Server, path: str, header: str) -> None:
    answer = faulty_server.get(path, Range=header)
    assert answer.status == 416
    assert answer.json["error"]["code"] == "range_not_satisfiable"
    assert answer.headers["Content-Range"] == f"bytes */{len(faulty_server.get(path).body)}"


@pytest.mark.parametrize("accept", ["video/mp4", "text/html", "*/*", "nonsense"])
def test_whatever_a_player_accepts_it_gets_the_file(faulty_server: Server, path: str, accept: str) -> None:
    answer = faulty_server.get(path, Accept=accept)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "video/mp4")


def test_an_etag_saves_the_transfer_and_guards_a_range(faulty_server: Server, path: str) -> None:
    etag = faulty_server.get(path).headers["ETag"]
    unchanged = faulty_server.get(path, **{"If-None-Match": etag})
    assert (unchanged.status, unchanged.headers["ETag"]) == (304, etag)
    assert "private" in unchanged.headers["Cache-Control"]
    assert "Authorization" in unchanged.headers["Vary"]
    assert faulty_server.get(path, Range="bytes=0-9", **{"If-Range": etag}).status == 206
    assert faulty_server.get(path, Range="bytes=0-9", **{"If-Range": '"other"'}).status == 200


def test_a_file_that_is_not_the_one_that_was_meant_is_a_412(faulty_server: Server, path: str) -> None:
    etag = faulty_server.get(path).headers["ETag"]
    assert faulty_server.get(path, **{"If-Match": etag}).status == 200
    answer = faulty_server.get(path, **{"If-Match": '"other"'})
    assert (answer.status, answer.error["code"]) == (412, "precondition_failed")
    assert answer.error["message"] == "The file is not that of If-Match."


def test_head_sends_no_body(faulty_server: Server, path: str) -> None:
    begin = len(faulty_server.log)
    for each in (path, "/", "/docs", "/healthz", "/schema", "/static/videoapi/studio/icon.svg"):
        answer = send(urllib.request.Request(faulty_server.url + each, method="HEAD"))
        assert (answer.status, answer.body) == (200, b"")
        assert int(answer.headers["Content-Length"]) == len(faulty_server.get(each).body) > 0
    assert "body" not in faulty_server.log[begin:]


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [("bytes=0-", 0, range(0)), ("bytes=0-0", 1, range(1)), ("bytes=-1", 1, range(1)), ("", 5, None)],
)
def test_parsing_at_the_edges(header: str, size: int, expected: Any) -> None:
    assert parse_range(header, size) == expected
