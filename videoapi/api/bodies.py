"""What the answers about the generations of one request hold. Nearly always it is one."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from django.http import Http404
from django.urls import reverse

from videoapi.api.access import sign
from videoapi.api.errors import error_body
from videoapi.conf import get_conf
from videoapi.engine import forecast
from videoapi.models import Generation, State

Generations = Sequence[Generation]


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


def video_body(generations: Generations, *, as_base64: bool = False) -> dict[str, Any]:
    """LocalAI's answer, and what the server decided for the client. `data` has the videos that are done."""
    first = generations[0]
    return {
        "created": int(first.created_at.timestamp()),
        "id": str(first.pk),
        "data": [
            _item(row, as_base64=as_base64) | ({"id": str(row.pk), "seed": row.seed} if len(generations) > 1 else {})
            for row in generations
            if row.state == State.COMPLETED
        ],
        "model": first.model,
        "seed": first.seed,
        "width": first.width,
        "height": first.height,
        "num_frames": first.num_frames,
        "fps": first.fps,
        "seconds": first.seconds,
        "timings": sum_timings(generations),
        "warnings": list(dict.fromkeys(chain.from_iterable(row.warnings for row in generations))),
    }


def job_body(generations: Generations, *, as_base64: bool = False) -> dict[str, Any]:
    """The same, and how far it is."""
    state = find_state(generations)
    current = next((row for row in generations if row.state == State.IN_PROGRESS), generations[0])
    failed = find_failed(generations)
    return video_body(generations, as_base64=as_base64) | {
        "status": state,
        "phase": current.phase or None,
        "detail": current.detail or None,
        "step": sum(row.step for row in generations),
        "total_steps": sum(row.total_steps for row in generations),
        "progress": sum(row.percent for row in generations) // len(generations),
        "cancel_requested": any(row.cancel_requested for row in generations),
        "error": failure(failed)["error"] if failed else None,
    }


def generation_body(generation: Generation) -> dict[str, Any]:
    """Of one generation by itself, also where its request asked for several; with what it shows, for a list."""
    return job_body([generation]) | {"prompt": generation.prompt}


def forecast_body(generations: Generations) -> dict[str, Any]:
    """What is known of the time until it is done."""
    conf = get_conf()
    queued = next((row for row in generations if row.state == State.QUEUED), None)
    seconds = [forecast.seconds_until_done(row, conf) for row in generations if not row.is_finished]
    known = [each for each in seconds if each is not None]
    return {
        "queue_position": forecast.queue_position(queued) if queued else None,
        "eta_seconds": round(max(known), 1) if known else None,
    }


def find_state(generations: Generations) -> str:
    """Of the request: one that has failed in part has failed, once all of it has ended."""
    states = [State(row.state) for row in generations]
    if not all(row.is_finished for row in generations):
        return State.QUEUED if set(states) == {State.QUEUED} else State.IN_PROGRESS
    return next((state for state in states if state != State.COMPLETED), State.COMPLETED)


def find_failed(generations: Generations) -> Generation | None:
    """The one whose error is the request's."""
    return next((row for row in generations if row.error_code), None)


def failure(generation: Generation) -> dict[str, Any]:
    """The error of a generation that has ended with one."""
    status = failure_status(generation)
    message = generation.error_message or "The generation was cancelled."
    return error_body(status, generation.error_code, message, generation.error_field or None)


def failure_status(generation: Generation) -> int:
    """400 when the model has refused a field, 500 otherwise."""
    return 400 if generation.error_field else 500


def sum_timings(generations: Generations) -> dict[str, float]:
    """Of several: the sum of each phase, the wait of the first to begin and the time to the end of the last.

    What those of one run have spent together counts once.
    """
    if len(generations) == 1:
        return generations[0].all_timings()
    each = [row.all_timings() for row in generations]
    phases = Counter[str]()
    for row in generations:
        phases.update(
            {name: value if name == "storing" else value / row.batch_size for name, value in row.timings.items()}
        )
    return {
        **_only("queued", min, each),
        **{phase: round(seconds, 4) for phase, seconds in phases.items()},
        **_only("total", max, each),
    }


def _only(name: str, choose: Any, timings: Iterable[dict[str, float]]) -> dict[str, float]:
    found = [each[name] for each in timings if name in each]
    return {name: choose(found)} if found else {}


def _item(generation: Generation, *, as_base64: bool) -> dict[str, Any]:
    if not as_base64:
        return {"url": video_url(generation)}
    try:
        with generation.video.open("rb") as file:
            return {"b64_json": base64.b64encode(file.read()).decode()}
    except FileNotFoundError as error:
        raise Http404(f"The file of generation {generation.pk} is not there any more.") from error
