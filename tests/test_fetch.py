"""Images from URLs: no connection to a private address, and a hostile server on loopback that costs little."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need
from tests.hostile_host import HOSTS, PUBLIC, HostileHandler
from tests.hosts import serve
from tests.images import plain
from videoapi.inputs import fetch as fetch_module
from videoapi.inputs.connections import is_public
from videoapi.inputs.fetch import FetchError

MAX_BYTES = 100_000


def fetch(url: str, max_bytes: int, *, allow_private: bool, seconds: float = 0.5) -> bytes:
    return fetch_module.fetch(url, max_bytes, allow_private=allow_private, seconds=seconds)


@pytest.mark.parametrize("host", HOSTS)
def test_no_connection_is_made_to_a_private_address(host: str, connected: list[Any]) -> None:
    with pytest.raises(FetchError, match=r"does not fetch from|could not be fetched"):
        fetch(f"http://{host}/picture", MAX_BYTES, allow_private=False)
    assert connected == []


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_what_everybody_reaches_is_public(address: str) -> None:
    assert is_public(address)


def test_a_public_address_is_connected_to_as_it_was_checked(resolve: Any, connected: list[Any]) -> None:
    resolve([PUBLIC])
    assert fetch("http://images.example/picture", MAX_BYTES, allow_private=False) == plain("red")
    assert connected == [PUBLIC]


@pytest.mark.parametrize(
    "answers",
    [
        (["127.0.0.1"],),
        ([PUBLIC, "127.0.0.1"],),
        (["127.0.0.1", PUBLIC],),
        ([PUBLIC], ["127.0.0.1"]),
        (["127.0.0.1"], [PUBLIC]),
    ],
)
def test_a_name_with_any_private_address_is_refused_whenever_it_says_so(
    answers: Any, resolve: Any, connected: list[Any]
) -> None:
    resolve(*answers)
    with pytest.raises(FetchError, match="does not fetch from"):
        fetch("http://rebinding.example/picture", MAX_BYTES, allow_private=False)
    assert connected == []


def test_a_name_that_turns_private_after_the_check_is_not_looked_up_again(resolve: Any, connected: list[Any]) -> None:
    resolve([PUBLIC], [PUBLIC], ["127.0.0.1"])
    assert fetch("http://rebinding.example/picture", MAX_BYTES, allow_private=False) == plain("red")
    assert connected == [PUBLIC]


def test_a_redirect_to_a_private_address_is_not_followed(resolve: Any, connected: list[Any]) -> None:
    resolve([PUBLIC], [PUBLIC], ["169.254.169.254"])
    with pytest.raises(FetchError, match="does not fetch from"):
        fetch("http://images.example/inward", MAX_BYTES, allow_private=False)
    assert connected == [PUBLIC]


def test_a_name_server_that_takes_its_time_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def look_up(host: Any, *_: Any, **__: Any) -> Any:
        asked.append(host)
        time.sleep(0.5)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(FetchError, match=r"took longer than 0\.2 seconds"):
        fetch("http://slow.example/a.png", 1000, allow_private=False, seconds=0.2)
    assert len(asked) == 1


def test_no_proxy_of_the_environment_is_used(connected: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{PUBLIC}:3128")
    assert fetch("http://127.0.0.1/picture", MAX_BYTES, allow_private=True) == plain("red")
    assert connected == ["127.0.0.1"]


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    with serve(HostileHandler) as url:
        yield url


@pytest.mark.parametrize("path", ["picture", "redirect"])
def test_an_image_is_fetched_also_behind_a_redirect(hostile: str, path: str) -> None:
    assert fetch(f"{hostile}/{path}", MAX_BYTES, allow_private=True) == plain("red")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("missing", "answered with HTTP 404"),
        ("loop", "redirects more than 3 times"),
        ("nowhere", "redirects more than 3 times"),
        ("file", "is not a plain http or https address"),
        ("endless", "is larger than 100000 bytes"),
        ("boast", "is larger than 100000 bytes"),
        ("slow", "took longer than 0.5 seconds"),
        ("headers", "took longer than 0.5 seconds"),
        ("continue", "took longer than 0.5 seconds"),
        ("silent", "could not be fetched"),
        ("bomb", "answered with a content encoding"),
        ("short", "could not be fetched"),
        ("rubbish", "could not be fetched"),
    ],
)
def test_a_hostile_server_costs_little_and_is_refused(
    hostile: str, path: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module, "READ_SECONDS", 0.3)
    started = time.monotonic()
    with pytest.raises(FetchError, match=words):
        fetch(f"{hostile}/{path}", MAX_BYTES, allow_private=True)
    assert time.monotonic() - started < 5


def test_what_a_server_sends_beyond_its_own_length_is_not_read(hostile: str) -> None:
    assert fetch(f"{hostile}/more", MAX_BYTES, allow_private=True) == plain("red")[:10]


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The https address of the hostile server, and the certificate that it has signed itself."""
    files = {name: str(tmp_path / f"{name}.pem") for name in ("keyout", "out")}
    options = [part for name, path in files.items() for part in (f"-{name}", path)]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *options]
    subprocess.run([need("openssl", "openssl"), *make], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["out"], files["keyout"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), HostileHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}", Path(files["out"])
    server.shutdown()
    server.server_close()


def test_a_certificate_that_nobody_vouches_for_is_refused(untrusted: tuple[str, Path]) -> None:
    with pytest.raises(FetchError, match="could not be fetched"):
        fetch(f"{untrusted[0]}/picture", MAX_BYTES, allow_private=True)


def test_https_does_not_become_http(untrusted: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, certificate = untrusted
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate))
    assert fetch(f"{url}/picture", MAX_BYTES, allow_private=True) == plain("red")
    with pytest.raises(FetchError, match="redirects from https to something else"):
        fetch(f"{url}/downgrade", MAX_BYTES, allow_private=True)


def test_a_handshake_that_does_not_end_is_ended() -> None:
    words = r"took longer than 0\.3 seconds"
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(FetchError, match=words):
        fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/", MAX_BYTES, allow_private=True, seconds=0.3)
