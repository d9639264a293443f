"""The bytes that a client sent, or that are where it points."""

from __future__ import annotations

import base64
import binascii
import re

from videoapi.exceptions import InvalidRequest
from videoapi.inputs.fetch import FetchError, fetch
from videoapi.inputs.limits import InputLimits

DATA_URI = re.compile(r"data:(?P<type>[^,;]{0,200})(?P<parameters>(;[^,;]{0,200}){0,20}),", re.IGNORECASE)
URL = re.compile(r"[a-z][a-z0-9+.-]{0,30}://", re.IGNORECASE)


def read_bytes(field: str, value: str, limits: InputLimits) -> bytes:
    """What is behind an http(s) URL, a data URI or bare base64. Raises InvalidRequest for `field`."""
    if not URL.match(value):
        return _decode_base64(field, value, limits.max_bytes)
    if not limits.may_fetch:
        raise InvalidRequest(field, "This server fetches nothing from URLs; send the file itself, as base64.")
    try:
        return fetch(value, limits.max_bytes, allow_private=limits.allow_private, seconds=limits.fetch_seconds)
    except FetchError as error:
        raise InvalidRequest(field, f"The URL {error}.") from error


def _decode_base64(field: str, value: str, max_bytes: int) -> bytes:
    header = DATA_URI.match(value)
    if header:
        if not header["parameters"].lower().endswith(";base64"):
            raise InvalidRequest(field, "A data URI must be base64: 'data:image/png;base64,...'.")
        value = value[header.end() :]
    if len(value) * 3 // 4 > max_bytes:
        raise InvalidRequest(field, f"The file is larger than {max_bytes} bytes.")
    try:
        data = base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(field, "Neither an http(s) URL, a data URI nor base64.") from error
    if not data:
        raise InvalidRequest(field, "The file is empty.")
    return data
