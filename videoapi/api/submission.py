"""From a request that is right in itself to its generation in the queue."""

from __future__ import annotations

from collections.abc import Callable

from rest_framework.request import Request

from videoapi.api.access import find_caller
from videoapi.api.headers import read_idempotency
from videoapi.engine.limits import check_rate
from videoapi.engine.submit import submit
from videoapi.models import Generation
from videoapi.serializers import VideoRequestSerializer

Fields = tuple[VideoRequestSerializer, Generation | None]
"""A valid request, and the generation whose video it is made from, if it is."""


def submit_request(request: Request, read: Callable[[], Fields]) -> Generation:
    """The first generation of what `read` returns, or the one that the request's Idempotency-Key has made before.

    For that one nothing is read, nor for a key that may not ask for more now. Raises InvalidRequest, Refused,
    Conflict, and what `read` raises.
    """
    caller = find_caller(request)
    idempotency = read_idempotency(request, caller)
    if idempotency and (known := idempotency.find()):
        return known
    if caller.key is not None:
        check_rate(caller.key)
    serializer, remixed_from = read()
    n: int = serializer.validated_data["n"]
    if caller.key is not None and n > 1:
        check_rate(caller.key, n)
    order = serializer.resolve()
    return submit(
        order.model,
        order.request,
        order.num_frames,
        order.warnings,
        n=n,
        clip=order.clip,
        inputs=order.inputs,
        idempotency=idempotency,
        client=caller.name,
        api_key=caller.key,
        priority=order.priority,
        webhook_url=order.webhook_url,
        remixed_from=remixed_from,
    )
