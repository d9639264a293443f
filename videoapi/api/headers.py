"""What a request says in its headers and its address, and whether its client is still there."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from typing import Any

from rest_framework.request import Request

from videoapi.api.access import Caller
from videoapi.engine.submit import Idempotency
from videoapi.exceptions import InvalidRequest

MAX_KEY_LENGTH = 255
# HTTP takes the blanks at its ends away.
IDEMPOTENCY_KEY = re.compile(r"[!-~]([ -~]*[!-~])?")


def prefers_async(request: Request) -> bool:
    """`Prefer: respond-async` (RFC 7240)."""
    preferences = request.headers.get("Prefer", "").split(",")
    return any(preference.partition(";")[0].strip().lower() == "respond-async" for preference in preferences)


def read_fields(request: Request) -> Any:
    """The request's body, with the model that its address names where the body names none, as LocalAI has it.

    Raises InvalidRequest when both name one, and not the same.
    """
    body, model = request.data, request.query_params.get("model")
    if model is None or not isinstance(body, dict):
        return body
    if body.get("model") in (None, "", model):
        return {**body, "model": model}
    raise InvalidRequest("model", f"The address names another model: '{model}'.")


def read_idempotency(request: Request, caller: Caller) -> Idempotency | None:
    """`Idempotency-Key`, as the caller's own, with a digest of the address and the body as it was understood.

    Raises InvalidRequest.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if len(key) > MAX_KEY_LENGTH or not IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key", f"Must be 1 to {MAX_KEY_LENGTH} printable characters of ASCII.")
    if caller.key is not None:
        # A line's end is not printable, so that nobody else's key can look like this one.
        key = f"{caller.key.pk}\n{key}"
    body = json.dumps([request.path, read_fields(request)], sort_keys=True)
    return Idempotency(key=key, digest=hashlib.blake2b(body.encode(), digest_size=32).hexdigest())


def has_hung_up(request: Request) -> bool:
    """True when the client has closed its connection. Only gunicorn tells; behind a proxy it is the proxy's end."""
    connection: Any = request.META.get("gunicorn.socket")
    if connection is None:
        return False
    try:
        return bool(connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"")
    except (BlockingIOError, ValueError):
        # Open and silent; or a TLS socket, which knows no flags and tells nothing.
        return False
    except OSError:
        return True
