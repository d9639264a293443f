"""Results are kept for so long and up to so many bytes; then their files go, and their rows say so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone

from videoapi.conf import Conf
from videoapi.engine.storage import delete_results
from videoapi.models import Generation


def find_expired(conf: Conf) -> Iterator[Generation]:
    """Completed generations whose files are too old or, counted from the newest, beyond the bytes that are kept."""
    oldest = timezone.now() - timedelta(days=conf.keep_days)
    kept = 0
    for generation in Generation.objects.completed().order_by("-finished_at").iterator():
        assert generation.finished_at is not None
        kept += generation.file_size
        too_old = conf.keep_days and generation.finished_at < oldest
        if too_old or (conf.keep_bytes and kept > conf.keep_bytes):
            yield generation


def prune(conf: Conf) -> int:
    """Expire what `find_expired` finds; returns how many bytes that has freed."""
    if not conf.keep_days and not conf.keep_bytes:
        return 0
    freed = 0
    for generation in list(find_expired(conf)):
        if generation.expire():
            delete_results(generation)
            freed += generation.file_size
    return freed
