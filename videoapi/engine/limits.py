"""How much one API key may ask for, by the rows of what it has asked for: so several web servers agree."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

from django.db.models import BigIntegerField, F, Sum
from django.db.models.functions import Cast
from django.utils import timezone

from videoapi.exceptions import InvalidRequest, TooManyRequests
from videoapi.models import APIKey, Generation, State

MINUTE, DAY = 60.0, 86400.0
MAX_RETRY_AFTER = 3600


def check_limits(generation: Generation, key: APIKey) -> None:
    """Raises TooManyRequests for what the key may not ask for now, InvalidRequest for what it may never."""
    # Where several web servers share a database, one request of a key is counted after the other.
    key = APIKey.objects.select_for_update().get(pk=key.pk)
    check_rate(key)
    own = Generation.objects.filter(api_key=key)
    if key.pixel_frames_per_day:
        wanted = generation.width * generation.height * generation.num_frames
        if wanted > key.pixel_frames_per_day:
            raise InvalidRequest(
                "size", f"This video alone is more than the {key.pixel_frames_per_day} pixels a day of this API key."
            )
        # What failed before it began has cost nothing.
        day = own.since(DAY).exclude(state=State.FAILED, started_at=None)
        pixels = Cast("width", BigIntegerField()) * F("height") * F("num_frames")
        used = day.aggregate(sum=Sum(pixels))["sum"] or 0
        if used + wanted > key.pixel_frames_per_day:
            times = list(day.order_by("created_at").values_list("created_at", flat=True)[:1])
            raise TooManyRequests(
                f"This API key may make {key.pixel_frames_per_day} pixels a day, in all frames. It has made {used}; "
                f"this video has {wanted}.",
                _seconds_until(times, DAY),
            )


def check_rate(key: APIKey, n: int = 1) -> None:
    """Raises TooManyRequests, and InvalidRequest for more videos than it may ever ask for at once.

    Asked before the images of a request are fetched, too.
    """
    if not key.videos_per_minute:
        return
    if n > key.videos_per_minute:
        raise InvalidRequest("n", f"This API key may make {key.videos_per_minute} videos a minute.")
    last = Generation.objects.filter(api_key=key).since(MINUTE).order_by("-created_at")
    times = list(last.values_list("created_at", flat=True)[: key.videos_per_minute])
    if len(times) == key.videos_per_minute:
        raise TooManyRequests(
            f"This API key may make {key.videos_per_minute} videos a minute.", _seconds_until(times, MINUTE)
        )


def _seconds_until(times: Iterable[datetime], window: float) -> int:
    """Until the first of them is out of the window."""
    passed = (timezone.now() - min(times)).total_seconds()
    return min(MAX_RETRY_AFTER, max(1, math.ceil(window - passed)))
