"""LocalAI's `POST /video`, which waits for the video and answers with it, and the list of what was asked for."""

from __future__ import annotations

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from videoapi.api.access import MayGenerate, MayRead, find_caller
from videoapi.api.bodies import failure, failure_status, job_body, job_url, video_body, video_url
from videoapi.api.errors import Expired, error_body
from videoapi.api.headers import has_hung_up, prefers_async, read_fields, read_idempotency
from videoapi.api.listing import list_generations
from videoapi.api.uploads import require_length
from videoapi.conf import Conf, get_conf
from videoapi.engine.cancel import cancel
from videoapi.engine.limits import check_rate
from videoapi.engine.submit import submit
from videoapi.engine.wait import Outcome, waiter
from videoapi.models import Generation, State
from videoapi.serializers import VideoRequestSerializer

# Seconds between the answers to waiting clients and the end of a server that is told to stop.
ANSWER_SECONDS = 2.0


class VideoView(APIView):
    """One request, one video."""

    def get_permissions(self) -> list[BasePermission]:
        return [MayGenerate() if self.request.method == "POST" else MayRead()]

    def get(self, request: Request) -> Response:
        return Response(list_generations(find_caller(request).generations(), request.query_params))

    def post(self, request: Request) -> Response:
        conf = get_conf()
        require_length(request)
        serializer = VideoRequestSerializer(data=read_fields(request))
        serializer.is_valid(raise_exception=True)
        if prefers_async(request):
            return _accepted(_submit(request, serializer), preferred=True)
        with waiter.seat(conf.seats, find_caller(request).name, conf.own_seats):
            return _wait(request, _submit(request, serializer), conf, as_base64=serializer.wants_base64)


def _submit(request: Request, serializer: VideoRequestSerializer) -> Generation:
    caller = find_caller(request)
    idempotency = read_idempotency(request, caller)
    if idempotency and (known := idempotency.find()):
        return known
    if caller.key is not None:
        check_rate(caller.key)
    order = serializer.resolve()
    return submit(
        order.model,
        order.request,
        order.num_frames,
        order.warnings,
        clip=order.clip,
        inputs=order.inputs,
        idempotency=idempotency,
        client=caller.name,
        api_key=caller.key,
        priority=order.priority,
    )


def _wait(request: Request, generation: Generation, conf: Conf, *, as_base64: bool) -> Response:
    outcome = waiter.wait(
        generation.pk,
        grace=max(0.0, conf.grace_seconds - ANSWER_SECONDS),
        limit=conf.sync_seconds or float("inf"),
        is_gone=lambda: has_hung_up(request),
    )
    if outcome is Outcome.STOPPING:
        return _stopping(generation)
    if outcome is Outcome.GONE and conf.cancel_on_disconnect and generation.idempotency_key is None:
        # With a key, the client can come back for it.
        cancel(generation)
    generation.refresh_from_db()
    if not generation.is_finished:
        return _accepted(generation)
    if generation.state == State.EXPIRED:
        raise Expired
    if generation.state == State.COMPLETED:
        return Response(video_body(generation, as_base64=as_base64))
    return Response(failure(generation), failure_status(generation))


def _accepted(generation: Generation, *, preferred: bool = False) -> Response:
    headers = {"Location": job_url(generation)}
    if preferred:
        headers["Preference-Applied"] = "respond-async"
    return Response(job_body(generation), 202, headers=headers)


def _stopping(generation: Generation) -> Response:
    message = (
        f"The server stops. Generation {generation.pk} goes on when it is back; its video will be at "
        f"{video_url(generation)}."
    )
    headers = {"Retry-After": "10", "Location": job_url(generation)}
    return Response(error_body(503, "server_stopping", message), 503, headers=headers)
