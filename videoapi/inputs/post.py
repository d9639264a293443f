"""Calls an address that a client has named, under the same rules as a download."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from requests_hardened.ip_filter import InvalidIPAddress

from videoapi.inputs.connections import Deadline, is_public
from videoapi.inputs.fetch import CONNECT_SECONDS, FAILURES, FetchError, check_url, open_session

FORBIDDEN = "is on an address that this server does not call"


def check_receiver(url: str, *, allow_private: bool) -> None:
    """Raises FetchError for an address that `post` is sure to refuse. Nothing is looked up for it."""
    check_url(url)
    if allow_private:
        return
    host = urlsplit(url).hostname or ""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        is_allowed = all(is_public(str(each[4][0])) for each in found)
    except socket.gaierror:
        # A name, unless it is on an interface of ours. What it stands for today is of no use tomorrow.
        is_allowed = ":" not in host and host.rstrip(".").rpartition(".")[2] != "localhost"
    except (UnicodeError, ipaddress.AddressValueError) as error:
        raise FetchError("is not a plain http or https address") from error
    if not is_allowed:
        raise FetchError(FORBIDDEN)


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool, seconds: float) -> int:
    """The HTTP status of the answer, of which nothing else is read. A redirect is an answer like any other.

    The connection is to an address that was checked just before, and is ended after so many seconds in all.
    `allow_private` lifts the address check. Raises FetchError.
    """
    check_url(url)
    with Deadline(seconds) as deadline, open_session(deadline, allow_private=allow_private) as session:
        try:
            # The deadline comes first, and says so.
            timeout = (min(CONNECT_SECONDS, seconds), 2 * seconds)
            with session.post(url, data=body, headers=headers, stream=True, timeout=timeout) as response:
                return response.status_code
        except InvalidIPAddress as error:
            raise FetchError(FORBIDDEN) from error
        except FAILURES as error:
            why = f"took longer than {seconds:g} seconds" if deadline.is_over else "could not be reached"
            raise FetchError(why) from error
