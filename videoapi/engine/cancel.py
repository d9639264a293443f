"""Cancels a generation, at once while it is queued."""

from __future__ import annotations

from videoapi.engine.storage import release_inputs
from videoapi.models import Generation


def cancel(generation: Generation) -> None:
    """What runs is cancelled at its next step by its worker; what has ended stays as it is."""
    generation.request_cancel()
    generation.refresh_from_db()
    if generation.is_finished:
        release_inputs(generation)
