"""Bodies that come slowly, not at all, too large or coded: what a client that takes its time is told, and when."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rest_framework.exceptions import ParseError

from tests.server import Server
from videoapi.api.parsers import MAX_DEPTH, MAX_VALUES, parse_json

GOOD = json.dumps({"model": "faulty-good", "prompt": "anything"}).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, faulty_plugins: Path) -> Iterator[Server]:
    """One that is patient for a second, with few threads."""
    settings = {"VIDEOAPI_BODY_SECONDS": "1", "VIDEOAPI_MAX_BODY_BYTES": "300000", "VIDEOAPI_PRELOAD": ""}
    with Server(tmp_path_factory.mktemp("uploads"), faulty_plugins, **settings) as running:
        yield running


def talk(server: Server, head: dict[str, str], send: Callable[[socket.socket], None]) -> tuple[int, str]:
    """Status and error code of the answer to a request whose body `send` sends."""
    lines = ["POST /video HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in head.items()]
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        send(connection)
        answer = connection.makefile("rb").read()
    status, _, body = answer.partition(b"\r\n\r\n")
    return int(status.split()[1]), json.loads(body[body.index(b"{") :])["error"]["code"]


def test_a_body_that_stops_is_a_408(server: Server) -> None:
    started = time.monotonic()
    head = {"Content-Length": "200", "Connection": "close"}
    assert talk(server, head, lambda connection: connection.sendall(GOOD)) == (408, "request_timeout")
    assert 0.9 <= time.monotonic() - started < 5


def test_a_body_that_trickles_is_a_408(server: Server) -> None:
    def trickle(connection: socket.socket) -> None:
        while not select.select([connection], [], [], 0.1)[0]:
            connection.sendall(b" ")

    started = time.monotonic()
    head = {"Content-Length": "2000", "Connection": "close"}
    assert talk(server, head, trickle) == (408, "request_timeout")
    assert time.monotonic() - started < 10


def test_a_head_that_stops_gives_its_thread_back(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"POST /video HTTP/1.1\r\nHost: 127")
        started = time.monotonic()
        assert connection.recv(1000) == b""
        assert time.monotonic() - started < 10


def test_a_body_that_is_too_large_is_refused_also_while_it_does_not_come(server: Server) -> None:
    head = {"Content-Length": "300001", "Connection": "close"}
    assert talk(server, head, lambda connection: None) == (413, "payload_too_large")


def test_a_body_in_chunks_is_a_411(server: Server) -> None:
    head = {"Transfer-Encoding": "chunked", "Connection": "close"}
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    assert talk(server, head, lambda connection: connection.sendall(chunk)) == (411, "length_required")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ({"Content_Encoding": "gzip"}, 415),
        ({"Content_Encoding": "identity, br"}, 415),
        ({"Content_Encoding": "Identity"}, 200),
        ({"Content_Type": "application/json; charset=utf-7"}, 415),
        ({"Content_Type": "application/json; charset=bogus"}, 415),
        ({"Content_Type": "application/json; charset=UTF-8"}, 200),
        ({"Content_Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_only_plain_json_is_read(server: Server, head: dict[str, str], status: int) -> None:
    answer = server.post(GOOD, **head)
    assert answer.status == status
    assert status == 200 or answer.error["code"] == "unsupported_media_type"


def test_depth_values_and_keys_are_counted() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 900, 5_000, 100_000):
        with pytest.raises(ParseError, match=r"The JSON is nested too deeply\."):
            parse_json(b"[" * depth + b"1" + b"]" * depth)
    with pytest.raises(ParseError, match=r"The JSON has more than 100000 values\."):
        parse_json(b"[" + b"1," * MAX_VALUES + b"1]")
    names = [f'"{number}":1' for number in range(90_000)]
    with pytest.raises(ParseError, match="the key '89999' stands twice"):
        parse_json(("{" + ",".join([*names, names[-1]]) + "}").encode())
