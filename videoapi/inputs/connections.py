"""Connections for `fetch`: to public addresses alone, and with an end."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter

# Addresses that hold an IPv4 one, or lead into a network of one's own, and that Python takes for global ones: NAT64
# (RFC 6052, 8215), Teredo (RFC 4380), 6to4 (RFC 3056) and its relays, site-local, ORCHID, segment routing.
INWARD = [
    ipaddress.ip_network(name)
    for name in (
        "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "192.88.99.0/24", "fec0::/10", "2001:20::/28",
        "5f00::/16", "3fff::/20", "100.64.0.0/10", "192.0.0.0/24", "168.63.129.16/32",
    )
]  # fmt: skip


def is_public(text: str) -> bool:
    """It is a unicast address that every machine on the internet reaches alike."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if any(address in network for network in INWARD):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


class Deadline:
    """When it is over, every connection that it was told of ends: in a handshake, in headers, in a body."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()

    def watch(self, connected: socket.socket) -> None:
        """End it too."""
        # A second descriptor: TLS takes the first one away from its object.
        twin = connected.dup()
        with self._lock:
            self._sockets.append(twin)
        if self.is_over:
            self._end()

    def check(self) -> None:
        """Raises TimeoutError when it is over: after what cannot be ended, such as a look-up of a name."""
        if self.is_over:
            raise TimeoutError

    def _end(self) -> None:
        self.is_over = True
        with self._lock:
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


class OpenAdapter(HTTPAdapter):
    """Connects to every address, until the deadline."""

    deadline: Deadline

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _watched(pool.ConnectionCls, self.deadline)
        return pool


class PublicAdapter(OpenAdapter, IPFilterAdapter):  # type: ignore[misc]  # the library has no types
    """requests-hardened's resolve-check-connect with a stricter rule: a name that has one address which is not
    public has none."""

    def build_connection_pool_key_attributes(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        host, pool = super().build_connection_pool_key_attributes(request, *args, **kwargs)
        self.deadline.check()
        # The connection goes to `host`; the name may have other addresses besides.
        name = urlsplit(str(request.url)).hostname
        others = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        self.deadline.check()
        for address in (host["host"].strip("[]"), *(str(each[4][0]) for each in others)):
            if not is_public(address):
                raise InvalidIPAddress(address)
        return host, pool


def _watched(connection: Any, deadline: Deadline) -> Any:
    class Watched(connection):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            connected: socket.socket = super()._new_conn()
            deadline.watch(connected)
            return connected

    return Watched
