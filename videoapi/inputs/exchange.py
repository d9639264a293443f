"""How the web server and its decoders exchange a few facts and many bytes, over a socket between them."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

# The lengths of the facts and of the bytes.
HEAD = struct.Struct(">II")


def send(connection: socket.socket, facts: dict[str, Any], data: bytes = b"") -> None:
    """Raises OSError."""
    text = json.dumps(facts).encode()
    connection.sendall(HEAD.pack(len(text), len(data)) + text)
    connection.sendall(data)


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytearray]:
    """Raises OSError, and EOFError when the other side has hung up."""
    length, size = HEAD.unpack(_receive(connection, HEAD.size))
    facts: dict[str, Any] = json.loads(_receive(connection, length))
    return facts, _receive(connection, size)


def _receive(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = connection.recv_into(rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return data
