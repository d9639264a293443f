"""Reads a request's body: not more of it, and not for longer, than the server allows."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import IO, Any

from django.http import UnreadablePostError
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from videoapi.conf import Conf

# What the slowest client must send in a second, in bytes, once its `body_seconds` are over.
LEAST_RATE = 64 * 1024
CHUNK = 256 * 1024


class PayloadTooLarge(APIException):
    """The body is over the limit: HTTP 413."""

    status_code = 413
    default_code = "payload_too_large"


class SlowBody(APIException):
    """The body has not come in time: HTTP 408."""

    status_code = 408
    default_code = "request_timeout"


class LengthRequired(APIException):
    """The body comes in chunks, of which Django reads none: HTTP 411."""

    status_code = 411
    default_code = "length_required"
    default_detail = "Send the body with a Content-Length, not in chunks."


class UnsupportedContent(APIException):
    """The body is coded in a way that is not read here: HTTP 415."""

    status_code = 415
    default_code = "unsupported_media_type"


def read_body(request: Request, stream: IO[bytes], conf: Conf) -> bytes:
    """The whole body. Raises PayloadTooLarge, SlowBody and UnsupportedContent."""
    coding, limit = request.headers.get("Content-Encoding", "identity"), conf.max_body_bytes
    if coding.strip().lower() not in ("", "identity"):
        raise UnsupportedContent(f"A body in the Content-Encoding '{coding[:40]}' is not read; send it as it is.")
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    seconds = conf.body_seconds + min(length, limit) / LEAST_RATE
    with _cut_after(seconds, request.META.get("gunicorn.socket")) as is_cut:
        try:
            if length > limit:
                _discard(stream, 2 * limit)
                raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
            body = stream.read(length)
        except UnreadablePostError as error:
            raise SlowBody("The body stopped coming before its Content-Length was reached.") from error
    if is_cut.is_set():
        raise SlowBody(f"The body took longer than {seconds:.0f} seconds.")
    return body


def require_length(request: Request) -> None:
    """Raises LengthRequired: the body would be taken for an empty one."""
    if "Transfer-Encoding" in request.headers:
        raise LengthRequired


def _discard(stream: IO[bytes], most: int) -> None:
    """Many a client does not look for an answer before it has sent everything."""
    with contextlib.suppress(UnreadablePostError):
        while most > 0 and (chunk := stream.read(CHUNK)):
            most -= len(chunk)


@contextlib.contextmanager
def _cut_after(seconds: float, connection: Any) -> Iterator[threading.Event]:
    """Nothing more is read from the connection after that time; the event says that it has come to this.

    Only gunicorn shows its connections.
    """
    is_cut = threading.Event()

    def cut() -> None:
        is_cut.set()
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RD)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    if connection is not None:
        timer.start()
    try:
        yield is_cut
    finally:
        timer.cancel()
