"""LocalAI's `POST /video`, which waits for the video and answers with it, and the list of what was asked for."""

from __future__ import annotations

import time

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from videoapi.api.access import MayGenerate, MayRead, find_caller
from videoapi.api.bodies import (
    failure,
    failure_status,
    find_failed,
    find_state,
    job_body,
    job_url,
    video_body,
    video_url,
)
from videoapi.api.errors import Expired, error_body
from videoapi.api.headers import has_hung_up, prefers_async, read_fields
from videoapi.api.listing import list_generations
from videoapi.api.schema import operations
from videoapi.api.submission import submit_request
from videoapi.api.uploads import require_length
from videoapi.conf import Conf, get_conf
from videoapi.engine.cancel import cancel
from videoapi.engine.wait import Outcome, waiter
from videoapi.models import Generation, State
from videoapi.serializers import VideoRequestSerializer

# Seconds between the answers to waiting clients and the end of a server that is told to stop.
ANSWER_SECONDS = 2.0


class VideoView(APIView):
    """One request, one video."""

    def get_permissions(self) -> list[BasePermission]:
        return [MayGenerate() if self.request.method == "POST" else MayRead()]

    @operations.list_videos
    def get(self, request: Request) -> Response:
        return Response(list_generations(find_caller(request), request.query_params))

    @operations.create_video
    def post(self, request: Request) -> Response:
        conf = get_conf()
        require_length(request)
        serializer = VideoRequestSerializer(data=read_fields(request))
        serializer.is_valid(raise_exception=True)
        if prefers_async(request):
            return _accepted(submit_request(request, lambda: (serializer, None)), preferred=True)
        with waiter.seat(conf.seats, find_caller(request).name, conf.own_seats):
            generation = submit_request(request, lambda: (serializer, None))
            return _wait(request, generation, conf, as_base64=serializer.wants_base64)


def _wait(request: Request, generation: Generation, conf: Conf, *, as_base64: bool) -> Response:
    end = time.monotonic() + (conf.sync_seconds or float("inf"))
    for each in generation.of_request():
        outcome = waiter.wait(
            each.pk,
            grace=max(0.0, conf.grace_seconds - ANSWER_SECONDS),
            limit=end - time.monotonic(),
            is_gone=lambda: has_hung_up(request),
        )
        if outcome is not Outcome.ENDED:
            break
    if outcome is Outcome.STOPPING:
        return _stopping(generation)
    if outcome is Outcome.GONE and conf.cancel_on_disconnect and generation.idempotency_key is None:
        # With a key, the client can come back for it.
        for each in generation.of_request():
            cancel(each)
    generation.refresh_from_db()
    generations = generation.of_request()
    if not all(each.is_finished for each in generations):
        return _accepted(generation)
    if find_state(generations) == State.EXPIRED:
        raise Expired
    if failed := find_failed(generations):
        # Of several videos, others may have been made.
        return Response(failure(failed), failure_status(failed), headers={"Location": job_url(generation)})
    return Response(video_body(generations, as_base64=as_base64))


def _accepted(generation: Generation, *, preferred: bool = False) -> Response:
    headers = {"Location": job_url(generation)}
    if preferred:
        headers["Preference-Applied"] = "respond-async"
    return Response(job_body(generation.of_request()), 202, headers=headers)


def _stopping(generation: Generation) -> Response:
    message = (
        f"The server stops. Generation {generation.pk} goes on when it is back; its video will be at "
        f"{video_url(generation)}."
    )
    headers = {"Retry-After": "10", "Location": job_url(generation)}
    return Response(error_body(503, "server_stopping", message), 503, headers=headers)
