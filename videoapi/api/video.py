"""LocalAI's `POST /video`: waits for the video and answers with it."""

from __future__ import annotations

import base64
from typing import Any

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from videoapi.api.errors import error_body
from videoapi.conf import get_conf
from videoapi.engine.submit import submit
from videoapi.engine.wait import waiter
from videoapi.models import Generation, State
from videoapi.serializers import VideoRequestSerializer

# Seconds between the answers to waiting clients and the end of a server that is told to stop.
ANSWER_SECONDS = 2.0


class VideoView(APIView):
    """One request, one video."""

    def post(self, request: Request) -> Response:
        serializer = VideoRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        order = serializer.resolve()
        generation = submit(order.model, order.request, order.num_frames, order.warnings)
        if not waiter.wait(generation.pk, max(0.0, get_conf().grace_seconds - ANSWER_SECONDS)):
            return _stopping(generation)
        generation.refresh_from_db()
        if generation.state == State.COMPLETED:
            return Response(video_body(generation, as_base64=order.as_base64))
        return _failed(generation)


def video_url(generation: Generation) -> str:
    """The address of the mp4: a path, or absolute when the operator has set a public URL."""
    return get_conf().public_url + reverse("generated-video", args=[f"{generation.pk}.mp4"])


def video_body(generation: Generation, *, as_base64: bool) -> dict[str, Any]:
    """LocalAI's answer, and what the server decided for the client."""
    if as_base64:
        with generation.video.open("rb") as file:
            item = {"b64_json": base64.b64encode(file.read()).decode()}
    else:
        item = {"url": video_url(generation)}
    return {
        "created": int(generation.created_at.timestamp()),
        "id": str(generation.pk),
        "data": [item],
        "model": generation.model,
        "seed": generation.seed,
        "width": generation.width,
        "height": generation.height,
        "num_frames": generation.num_frames,
        "fps": generation.fps,
        "seconds": generation.seconds,
        "timings": generation.all_timings(),
        "warnings": generation.warnings,
    }


def _failed(generation: Generation) -> Response:
    status = 400 if generation.error_field else 500
    message = generation.error_message or "The generation was cancelled."
    return Response(error_body(status, generation.error_code, message, generation.error_field or None), status)


def _stopping(generation: Generation) -> Response:
    message = (
        f"The server stops. Generation {generation.pk} goes on when it is back; its video will be at "
        f"{video_url(generation)}."
    )
    return Response(error_body(503, "server_stopping", message), 503, headers={"Retry-After": "10"})
