"""How much one API key may ask for, by the rows of what it has asked for: so several web servers agree."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

from django.db.models import F, Sum
from django.utils import timezone

from videoapi.exceptions import InvalidRequest, TooManyRequests
from videoapi.models import APIKey, Generation, State

MINUTE, DAY = 60.0, 86400.0
MAX_RETRY_AFTER = 3600


def check_limits(generation: Generation, key: APIKey) -> None:
    """Raises TooManyRequests for what the key may not ask for now, InvalidRequest for what it may never."""
    own = Generation.objects.filter(api_key=key)
    if key.requests_per_minute:
        last = own.since(MINUTE).order_by("-created_at").values_list("created_at", flat=True)
        if len(times := list(last[: key.requests_per_minute])) == key.requests_per_minute:
            raise TooManyRequests(
                f"This API key may make {key.requests_per_minute} requests a minute.", _seconds_until(times, MINUTE)
            )
    if key.pixel_frames_per_day:
        wanted = generation.width * generation.height * generation.num_frames
        if wanted > key.pixel_frames_per_day:
            raise InvalidRequest(
                "size", f"This video alone is more than the {key.pixel_frames_per_day} pixels a day of this API key."
            )
        day = own.since(DAY).exclude(state=State.FAILED)
        used = day.aggregate(sum=Sum(F("width") * F("height") * F("num_frames")))["sum"] or 0
        if used + wanted > key.pixel_frames_per_day:
            times = list(day.order_by("created_at").values_list("created_at", flat=True)[:1])
            raise TooManyRequests(
                f"This API key may make {key.pixel_frames_per_day} pixels a day, in all frames. It has made {used}; "
                f"this video has {wanted}.",
                _seconds_until(times, DAY),
            )


def _seconds_until(times: Iterable[datetime], window: float) -> int:
    """Until the first of them is out of the window."""
    passed = (timezone.now() - min(times)).total_seconds()
    return min(MAX_RETRY_AFTER, max(1, math.ceil(window - passed)))
