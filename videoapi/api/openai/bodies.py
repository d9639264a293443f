"""The video as OpenAI's clients know it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from videoapi.api.bodies import failure
from videoapi.api.listing import Words
from videoapi.conf import get_conf
from videoapi.engine.forecast import seconds_until_done
from videoapi.models import Generation, State

# Of the content.
VARIANTS = ("video", "thumbnail", "spritesheet")
# Theirs has four words; an expired video is one that was completed.
STATUSES: Words = {
    "queued": (State.QUEUED,),
    "in_progress": (State.IN_PROGRESS,),
    "completed": (State.COMPLETED, State.EXPIRED),
    "failed": (State.FAILED, State.CANCELLED),
}
# Milliseconds between two polls: so many of them in the time that is left, if that is known.
POLLS, MIN_POLL, POLL, MAX_POLL = 10, 250, 1000, 10_000


def describe(generation: Generation) -> dict[str, Any]:
    """OpenAI's Video object; besides, the seed, the frames, the rate and the warnings."""
    return {
        "id": str(generation.pk),
        "object": "video",
        "model": generation.model,
        "status": next(word for word, states in STATUSES.items() if generation.state in states),
        "progress": generation.percent,
        "created_at": int(generation.created_at.timestamp()),
        "completed_at": _completed_at(generation),
        "expires_at": _expires_at(generation),
        "prompt": generation.prompt,
        "size": f"{generation.width}x{generation.height}",
        "seconds": f"{generation.seconds:g}",
        "remixed_from_video_id": str(generation.remixed_from_id) if generation.remixed_from_id else None,
        "error": failure(generation)["error"] if generation.error_code else None,
        "seed": generation.seed,
        "num_frames": generation.num_frames,
        "fps": generation.fps,
        "warnings": generation.warnings,
    }


def poll_after(generation: Generation) -> dict[str, str]:
    """The header that tells OpenAI's clients when to ask again; none once it has ended."""
    if generation.is_finished:
        return {}
    seconds = seconds_until_done(generation, get_conf())
    wait = POLL if seconds is None else min(MAX_POLL, max(MIN_POLL, int(seconds * 1000) // POLLS))
    return {"openai-poll-after-ms": str(wait)}


def _completed_at(generation: Generation) -> int | None:
    if generation.finished_at is None or generation.error_code:
        return None
    return int(generation.finished_at.timestamp())


def _expires_at(generation: Generation) -> int | None:
    """When its file goes by VIDEOAPI_KEEP_DAYS; of one that is gone, at the latest when it was made."""
    completed, days = _completed_at(generation), get_conf().keep_days
    if completed is None or (not days and generation.state != State.EXPIRED):
        return None
    return completed + int(timedelta(days=days).total_seconds())
