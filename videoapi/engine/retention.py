"""Results are kept for so long and up to so many bytes; then their files go, and their rows say so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from django.utils import timezone

from videoapi.conf import Conf
from videoapi.engine.storage import delete_results
from videoapi.models import Generation

# How many are expired at a time: the worker has other things to do between.
BATCH = 100


def find_expired(conf: Conf) -> Iterator[Generation]:
    """Completed generations whose files are too old or, counted from the newest, beyond the bytes that are kept; and
    those that were deleted while they were being completed.
    """
    rows = Generation.objects.completed().defer("log")
    yield from rows.filter(deleted=True).iterator()
    rows = rows.there()
    oldest = timezone.now() - timedelta(days=conf.keep_days)
    if conf.keep_days:
        yield from rows.filter(finished_at__lt=oldest).iterator()
        rows = rows.filter(finished_at__gte=oldest)
    if conf.keep_bytes:
        kept = 0
        for generation in rows.order_by("-finished_at").iterator():
            kept += generation.file_size
            if kept > conf.keep_bytes:
                yield generation


def prune(conf: Conf) -> tuple[int, int]:
    """Expire up to BATCH of what `find_expired` finds; returns how many, and how many bytes that has freed."""
    expired = [generation for generation in list(islice(find_expired(conf), BATCH)) if generation.expire()]
    for generation in expired:
        delete_results(generation)
    return len(expired), sum(generation.file_size for generation in expired)
