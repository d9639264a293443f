"""Downloads an image or a clip from a client's URL, within limits and never from a private address."""

from __future__ import annotations

import ipaddress
import time
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter

CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS = 5.0, 10.0, 30.0
MAX_REDIRECTS = 3
MAX_URL_LENGTH = 2048
CHUNK = 64 * 1024


class FetchError(Exception):
    """The URL cannot be fetched; the message is a clause for the client that names no address."""


class GlobalAddressAdapter(IPFilterAdapter):  # type: ignore[misc]  # the library has no types
    """requests-hardened's resolve-check-connect, with a stricter rule: globally reachable unicast only."""

    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> Any:
        host, pool = super().build_connection_pool_key_attributes(*args, **kwargs)
        address = ipaddress.ip_address(host["host"].strip("[]"))
        if not address.is_global or address.is_multicast or getattr(address, "is_site_local", False):
            raise InvalidIPAddress(address)
        return host, pool


def fetch(url: str, max_bytes: int, *, allow_private: bool) -> bytes:
    """The body behind an http or https URL.

    Every connection, also after a redirect, is to an address that was checked just before; proxies of the environment
    are not used. `allow_private` lifts the address check, for tests and for sources on the operator's own network.
    Raises FetchError.
    """
    _check(url)
    config = Config(
        ip_filter_enable=not allow_private,
        ip_filter_allow_loopback_ips=False,
        never_redirect=False,
        default_timeout=(CONNECT_SECONDS, READ_SECONDS),
        user_agent_override="videoapi",
    )
    deadline = time.monotonic() + TOTAL_SECONDS
    with HTTPSession(config) as session:
        if not allow_private:
            session.mount("http://", GlobalAddressAdapter(is_https_proto=False))
            session.mount("https://", GlobalAddressAdapter(is_https_proto=True))
        session.trust_env = False
        session.max_redirects = MAX_REDIRECTS
        try:
            # Images and clips are compressed already; another encoding could only be a bomb.
            headers = {"Accept": "image/*, video/*", "Accept-Encoding": "identity"}
            with session.get(url, stream=True, headers=headers) as response:
                if response.status_code != 200:
                    raise FetchError(f"answered with HTTP {response.status_code}")
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise FetchError("answered with a content encoding")
                return _read(response, max_bytes, deadline)
        except InvalidIPAddress as error:
            raise FetchError("is on an address that this server does not fetch from") from error
        except requests.TooManyRedirects as error:
            raise FetchError(f"redirects more than {MAX_REDIRECTS} times") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise FetchError("could not be fetched") from error


def _check(url: str) -> None:
    if len(url) > MAX_URL_LENGTH:
        raise FetchError(f"is longer than {MAX_URL_LENGTH} characters")
    if any(ord(character) <= 32 or character in "\\\x7f" for character in url):
        raise FetchError("holds a space, a control character or a backslash")
    try:
        parts = urlsplit(url)
        usable = parts.scheme.lower() in ("http", "https") and parts.hostname and not parts.username
    except ValueError:
        usable = False
    if not usable:
        raise FetchError("is not a plain http or https address")


def _read(response: requests.Response, max_bytes: int, deadline: float) -> bytes:
    data = bytearray()
    # What has arrived, not a full chunk: a source that sends a byte a second must meet the deadline too.
    while chunk := response.raw.read1(CHUNK):
        data += chunk
        if len(data) > max_bytes:
            raise FetchError(f"is larger than {max_bytes} bytes")
        if time.monotonic() > deadline:
            raise FetchError(f"took longer than {TOTAL_SECONDS:.0f} seconds")
    return bytes(data)
