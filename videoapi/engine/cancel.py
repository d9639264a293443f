"""Cancels a generation, at once while it is queued, or deletes it."""

from __future__ import annotations

from videoapi.engine.storage import delete_results, release_inputs
from videoapi.models import Generation


def cancel(generation: Generation) -> None:
    """What runs is cancelled at its next step by its worker; what has ended stays as it is."""
    generation.request_cancel()
    generation.refresh_from_db()
    if generation.is_finished:
        release_inputs(generation)


def delete(generation: Generation) -> None:
    """Cancel it if it has not ended, remove its files, and hide it from its client.

    One that is completed before it heeds the cancel loses its files in the next clearing up.
    """
    cancel(generation)
    generation.hide()
    if generation.expire():
        # It may have been completed a moment ago.
        generation.refresh_from_db()
        delete_results(generation)
