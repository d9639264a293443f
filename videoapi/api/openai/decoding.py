"""Room for those that decode a whole video in the web server, which takes seconds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from videoapi.exceptions import TooManyRequests

# At once, and how many more may wait for them: of the server's threads most stay free, whoever asks.
WORKING, WAITING = 2, 8
RETRY_SECONDS = 5

_all = threading.BoundedSemaphore(WORKING + WAITING)
_working = threading.BoundedSemaphore(WORKING)


@contextmanager
def place_to_decode() -> Iterator[None]:
    """One of the places, perhaps after a while. Raises TooManyRequests."""
    if not _all.acquire(blocking=False):
        raise TooManyRequests("Too many videos are being read; try again in a moment.", RETRY_SECONDS)
    try:
        with _working:
            yield
    finally:
        _all.release()
