"""Downloads an image or a clip from a client's URL, within limits and never from a private address."""

from __future__ import annotations

import contextlib
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter import InvalidIPAddress

from videoapi.inputs.connections import Deadline, OpenAdapter, PublicAdapter

CONNECT_SECONDS, READ_SECONDS = 5.0, 10.0
MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
MAX_URL_LENGTH = 2048
CHUNK = 64 * 1024
# What a connection that comes to nothing ends with.
FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)
# Images and clips are compressed already; another encoding could only be a bomb.
HEADERS = {"Accept": "image/*, video/*", "Accept-Encoding": "identity"}


class FetchError(Exception):
    """The URL cannot be fetched; the message is a clause for the client that names no address."""


def fetch(url: str, max_bytes: int, *, allow_private: bool, seconds: float) -> bytes:
    """The body behind an http or https URL.

    Every connection, also after a redirect, is to an address that was checked just before, and is ended after so many
    seconds in all, whatever it is at; proxies, passwords and certificates of the environment are not used.
    `allow_private` lifts the address check, for tests and for sources on the operator's own network. Raises FetchError.
    """
    with Deadline(seconds) as deadline, open_session(deadline, allow_private=allow_private) as session:
        try:
            return _follow(session, url, max_bytes, deadline)
        except InvalidIPAddress as error:
            raise FetchError("is on an address that this server does not fetch from") from error
        except FAILURES as error:
            why = f"took longer than {seconds:g} seconds" if deadline.is_over else "could not be fetched"
            raise FetchError(why) from error


def open_session(deadline: Deadline, *, allow_private: bool) -> requests.Session:
    """Connects to nothing but public addresses, if not told otherwise, and to none after the deadline."""
    config = Config(
        ip_filter_enable=not allow_private,
        ip_filter_allow_loopback_ips=False,
        never_redirect=True,
        default_timeout=(CONNECT_SECONDS, READ_SECONDS),
        user_agent_override="videoapi",
    )
    session: requests.Session = HTTPSession(config)
    session.trust_env = False
    for scheme, is_https in (("http://", False), ("https://", True)):
        adapter = OpenAdapter() if allow_private else PublicAdapter(is_https_proto=is_https)  # type: ignore[call-arg]
        adapter.deadline = deadline
        session.mount(scheme, adapter)
    return session


def _follow(session: requests.Session, url: str, max_bytes: int, deadline: Deadline) -> bytes:
    for _ in range(1 + MAX_REDIRECTS):
        check_url(url)
        with session.get(url, stream=True, headers=HEADERS) as response:
            if response.status_code not in REDIRECTS:
                return _read(response, max_bytes, deadline)
            following = urljoin(url, response.headers.get("Location", ""))
        if url.lower().startswith("https:") and not following.lower().startswith("https:"):
            raise FetchError("redirects from https to something else")
        url = following
        # What the first host has set is not for the second.
        session.cookies.clear()
    raise FetchError(f"redirects more than {MAX_REDIRECTS} times")


def check_url(url: str) -> None:
    """Raises FetchError for what is not a plain http or https address."""
    if len(url) > MAX_URL_LENGTH:
        raise FetchError(f"is longer than {MAX_URL_LENGTH} characters")
    if any(ord(character) <= 32 or character in "\\\x7f" for character in url):
        raise FetchError("holds a space, a control character or a backslash")
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc and parts.port != 0:
            return
    raise FetchError("is not a plain http or https address")


def _read(response: requests.Response, max_bytes: int, deadline: Deadline) -> bytes:
    if response.status_code != 200:
        raise FetchError(f"answered with HTTP {response.status_code}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise FetchError("answered with a content encoding")
    too_large = FetchError(f"is larger than {max_bytes} bytes")
    length = response.headers.get("Content-Length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > max_bytes:
        raise too_large
    data = bytearray()
    # What has arrived, not a full chunk: so that too much of it is noticed at once.
    while chunk := response.raw.read1(CHUNK):
        data += chunk
        if len(data) > max_bytes:
            raise too_large
    if deadline.is_over:
        # Of an answer without a length, a cut connection looks like the end.
        raise TimeoutError
    return bytes(data)
