"""May another generation be accepted now?"""

from __future__ import annotations

import math

from videoapi.conf import Conf
from videoapi.engine.availability import require_worker
from videoapi.engine.forecast import History
from videoapi.engine.limits import check_limits
from videoapi.exceptions import InvalidRequest, TooManyRequests
from videoapi.models import Generation, Worker

# Seconds after which to try again where nothing is known, and the most that a client is told.
RETRY_AFTER, MAX_RETRY_AFTER = 10, 3600


def admit(generation: Generation, conf: Conf) -> None:
    """Raises NoWorker when no living worker serves its model, ModelUnavailable when none of them can now, and
    TooManyRequests when the queue is full or its API key has had enough.
    """
    key = generation.api_key
    if key is not None:
        check_limits(generation, key)
    own_limit = _own_limit(generation, conf)
    workers = list(Worker.objects.live(conf.stale_seconds))
    require_worker(generation.model, workers)
    queued = Generation.objects.queued()
    full = (
        f"{conf.max_queued} generations are waiting"
        if queued.count() >= conf.max_queued
        else f"{own_limit} generations of yours are waiting"
        if queued.filter(client=generation.client).count() >= own_limit
        else f"{conf.max_queued_per_model} generations of model '{generation.model}' are waiting"
        if queued.filter(model=generation.model).count() >= conf.max_queued_per_model
        else ""
    )
    if full:
        slots = sum(worker.count_slots(generation.model) for worker in workers)
        raise TooManyRequests(f"{full}; try again later.", _retry_after(generation, slots))


def require_room(generation: Generation, n: int, conf: Conf) -> None:
    """Raises InvalidRequest for more videos of one request than could ever wait, or be made in a day, at once."""
    most = min(_own_limit(generation, conf), conf.max_queued, conf.max_queued_per_model)
    if n > most:
        raise InvalidRequest("n", f"At most {most} generations of yours can wait at once.")
    key = generation.api_key
    day = key.pixel_frames_per_day if key is not None else 0
    if n > 1 and day and n * generation.width * generation.height * generation.num_frames > day:
        raise InvalidRequest("n", f"These videos are more than the {day} pixels a day of this API key.")


def _own_limit(generation: Generation, conf: Conf) -> int:
    key = generation.api_key
    return (key.max_queued if key is not None else 0) or conf.max_queued_per_client


def _retry_after(generation: Generation, slots: int) -> int:
    """Seconds until a place is free, at the rate of the model's last generations."""
    seconds = History(generation.model).seconds(generation.work)
    if seconds is None:
        return RETRY_AFTER
    return min(MAX_RETRY_AFTER, max(1, math.ceil(sum(seconds.values()) / slots)))
