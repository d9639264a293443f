"""Which generations share a run of their model, and how long one waits for others."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.utils import timezone

from videoapi.engine.changes import ChangeFeed
from videoapi.engine.registry import get_catalog
from videoapi.exceptions import InvalidRequest
from videoapi.models import Generation
from videoapi.types import Limits

# Between two looks at whether the worker stops, however little changes in the database.
LOOK_SECONDS = 0.25


def claim_batch(model: str, worker: str, is_stopping: Callable[[], bool]) -> list[Generation]:
    """Take the model's next generation for `worker`, and those right behind it that can be made in the same run.

    Empty when none is queued.
    """
    limits = _find_limits(model)
    if limits.max_batch_size > 1 and limits.max_batch_wait:
        _wait_for_others(model, limits, is_stopping)
    return Generation.objects.claim_batch(model, worker, limits.max_batch_size)


def _find_limits(model: str) -> Limits:
    """The kernel's for a model that is not installed any more, so that its generations fail one by one."""
    try:
        return get_catalog().find(model).spec.limits
    except InvalidRequest:
        return Limits()


def _wait_for_others(model: str, limits: Limits, is_stopping: Callable[[], bool]) -> None:
    """Until the run is full, or no other can join it, or the first generation has waited as long as it may."""
    feed, end = ChangeFeed(), time.monotonic() + limits.max_batch_wait
    while not is_stopping():
        feed.mark()
        batch = Generation.objects.next_batch(model, limits.max_batch_size)
        if not batch or batch[0].batch_key is None or len(batch) == limits.max_batch_size:
            return
        waited = (timezone.now() - batch[0].created_at).total_seconds()
        # By the steady clock too: the row's is another machine's.
        left = min(limits.max_batch_wait - waited, end - time.monotonic())
        if left <= 0 or Generation.objects.waiting(model).count() > len(batch):
            return
        feed.wait(min(left, LOOK_SECONDS))
