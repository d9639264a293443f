"""What the answers about a generation hold."""

from __future__ import annotations

import base64
from typing import Any

from django.http import Http404
from django.urls import reverse

from videoapi.api.access import sign
from videoapi.api.errors import error_body
from videoapi.conf import get_conf
from videoapi.engine import forecast
from videoapi.models import Generation, State


def video_url(generation: Generation) -> str:
    """The address of the mp4: a path, or absolute when the operator has set a public URL.

    That of a key's video is signed: for a while it works without the key, as players and browsers need it.
    """
    name = f"{generation.pk}.mp4"
    url = get_conf().public_url + reverse("generated-video", args=[name])
    return url if generation.api_key_id is None else f"{url}?token={sign(name)}"


def job_url(generation: Generation) -> str:
    """The address of the generation itself."""
    return get_conf().public_url + reverse("job", args=[generation.pk])


def video_body(generation: Generation, *, as_base64: bool = False) -> dict[str, Any]:
    """LocalAI's answer, and what the server decided for the client. `data` is empty until the video is done."""
    data = []
    if generation.state == State.COMPLETED:
        data = [_as_base64(generation) if as_base64 else {"url": video_url(generation)}]
    return {
        "created": int(generation.created_at.timestamp()),
        "id": str(generation.pk),
        "data": data,
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


def job_body(generation: Generation, *, as_base64: bool = False) -> dict[str, Any]:
    """The same, and how far it is."""
    return video_body(generation, as_base64=as_base64) | {
        "status": generation.state,
        "phase": generation.phase or None,
        "detail": generation.detail or None,
        "step": generation.step,
        "total_steps": generation.total_steps,
        "progress": generation.percent,
        "cancel_requested": generation.cancel_requested,
        "error": failure(generation)["error"] if generation.error_code else None,
    }


def forecast_body(generation: Generation) -> dict[str, Any]:
    """What is known of the time until it is done."""
    queued = generation.state == State.QUEUED
    seconds = None if generation.is_finished else forecast.seconds_until_done(generation, get_conf())
    return {
        "queue_position": forecast.queue_position(generation) if queued else None,
        "eta_seconds": None if seconds is None else round(seconds, 1),
    }


def failure(generation: Generation) -> dict[str, Any]:
    """The error of a generation that has ended with one."""
    status = failure_status(generation)
    message = generation.error_message or "The generation was cancelled."
    return error_body(status, generation.error_code, message, generation.error_field or None)


def failure_status(generation: Generation) -> int:
    """400 when the model has refused a field, 500 otherwise."""
    return 400 if generation.error_field else 500


def _as_base64(generation: Generation) -> dict[str, str]:
    try:
        with generation.video.open("rb") as file:
            return {"b64_json": base64.b64encode(file.read()).decode()}
    except FileNotFoundError as error:
        raise Http404(f"The file of generation {generation.pk} is not there any more.") from error
