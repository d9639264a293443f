"""Calls of addresses that clients have named: never to a private one, and over in time."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostile_host import HOSTS, PUBLIC, HostileHandler
from tests.hosts import serve
from tests.webhooks.receiver import Receiver
from videoapi.inputs import FetchError, check_receiver
from videoapi.inputs import post as post_module

MALFORMED = [
    "ftp://example.org/",
    "example.org",
    "http://",
    "http://user:password@example.org/",
    "http://example.org:0/",
    "http://example.org:99999/",
    "http://[::1",
    "http://example.org\\@10.0.0.1/",
    "http://exa mple.org/",
    "https://" + "a" * 300 + "/",
    "https://example.org/" + "a" * 2048,
]


def post(url: str, *, allow_private: bool = True, seconds: float = 0.5) -> int:
    return post_module(url, b"{}", {"Content-Type": "text/plain"}, allow_private=allow_private, seconds=seconds)


def test_the_body_and_the_headers_arrive_and_the_status_comes_back() -> None:
    with Receiver(202) as receiver:
        assert post(f"{receiver.url}/a?b=c") == 202
    (call,) = receiver.calls
    assert (call.path, call.body, call.headers["content-type"]) == ("/a?b=c", b"{}", "text/plain")


def test_a_redirect_is_not_followed(connected: list[Any], resolve: Any) -> None:
    resolve([PUBLIC])
    assert post("http://example.org/redirect", allow_private=False) == 302
    assert connected == [PUBLIC]


@pytest.mark.parametrize("host", HOSTS)
def test_no_connection_is_made_to_a_private_address(host: str, connected: list[Any]) -> None:
    with pytest.raises(FetchError, match=r"is on an address that this server does not call|could not be reached"):
        post(f"http://{host}/picture", allow_private=False)
    assert connected == []


@pytest.mark.parametrize("answers", [([PUBLIC, "127.0.0.1"],), ([PUBLIC], ["127.0.0.1"]), (["10.0.0.1"],)])
def test_a_name_with_any_private_address_is_refused_whenever_it_says_so(
    answers: Any, resolve: Any, connected: list[Any]
) -> None:
    resolve(*answers)
    with pytest.raises(FetchError, match="does not call"):
        post("http://rebinding.example/", allow_private=False)
    assert connected == []


def test_a_name_that_turns_private_after_the_check_is_not_looked_up_again(resolve: Any, connected: list[Any]) -> None:
    resolve([PUBLIC], [PUBLIC], ["127.0.0.1"])
    assert post("http://rebinding.example/picture", allow_private=False) == 200
    assert connected == [PUBLIC]


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    with serve(HostileHandler) as url:
        yield url


@pytest.mark.parametrize("path", ["headers", "continue"])
def test_an_answer_that_trickles_is_cut_off(hostile: str, path: str) -> None:
    started = time.monotonic()
    with pytest.raises(FetchError, match=r"took longer than 0\.5 seconds"):
        post(f"{hostile}/{path}")
    assert time.monotonic() - started < 5


def test_an_endless_body_is_not_read(hostile: str) -> None:
    assert post(f"{hostile}/endless") == 200


def test_who_does_not_answer_or_is_not_there_could_not_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(FetchError, match=r"took longer than 0\.3 seconds|could not be reached"):
            post(url, seconds=0.3)
    with pytest.raises(FetchError, match="could not be reached"):
        post(url)


@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_no_plain_address_is_refused_before_anything(url: str) -> None:
    with pytest.raises(FetchError):
        check_receiver(url, allow_private=False)


@pytest.mark.parametrize("host", [*HOSTS, "api.localhost", "API.LOCALHOST."])
def test_what_is_private_by_its_looks_is_refused_without_a_look_up(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_look_ups(monkeypatch)
    with pytest.raises(FetchError):
        check_receiver(f"http://{host}/", allow_private=False)


@pytest.mark.parametrize(
    "host", ["example.org", "8.8.8.8", "[2606:4700::1111]", "xn--mnchen-3ya.example", "münchen.example"]
)
def test_any_other_address_is_taken_without_a_look_up(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_look_ups(monkeypatch)
    check_receiver(f"https://{host}/a", allow_private=False)


def test_where_private_addresses_may_be_called_they_are_taken() -> None:
    check_receiver("http://localhost:9000/a", allow_private=True)


def forbid_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def parse(*args: Any, flags: int = 0, **kwargs: Any) -> Any:
        assert flags & socket.AI_NUMERICHOST
        return real(*args, flags=flags, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", parse)
