"""From a request that is right in itself to its generation in the queue."""

from __future__ import annotations

from rest_framework.request import Request

from videoapi.api.access import find_caller
from videoapi.api.headers import read_idempotency
from videoapi.engine.limits import check_rate
from videoapi.engine.submit import submit
from videoapi.models import Generation
from videoapi.serializers import VideoRequestSerializer


def find_known(request: Request) -> Generation | None:
    """The generation that the request's Idempotency-Key has made before, before anything is read for another.

    Raises InvalidRequest, TooManyRequests and IdempotencyConflict.
    """
    caller = find_caller(request)
    idempotency = read_idempotency(request, caller)
    if idempotency and (known := idempotency.find()):
        return known
    if caller.key is not None:
        check_rate(caller.key)
    return None


def submit_request(
    request: Request, serializer: VideoRequestSerializer, remixed_from: Generation | None = None
) -> Generation:
    """The first generation of the request, or the one that its Idempotency-Key has made before.

    Raises InvalidRequest, Refused and IdempotencyConflict.
    """
    caller = find_caller(request)
    idempotency = read_idempotency(request, caller)
    if idempotency and (known := idempotency.find()):
        return known
    if caller.key is not None:
        check_rate(caller.key, serializer.validated_data["n"])
    order = serializer.resolve()
    return submit(
        order.model,
        order.request,
        order.num_frames,
        order.warnings,
        n=order.n,
        clip=order.clip,
        inputs=order.inputs,
        idempotency=idempotency,
        client=caller.name,
        api_key=caller.key,
        priority=order.priority,
        webhook_url=order.webhook_url,
        remixed_from=remixed_from,
    )
