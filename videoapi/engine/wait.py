"""Lets many requests wait for their generations with one thread that looks."""

from __future__ import annotations

import contextlib
import enum
import logging
import queue
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from uuid import UUID

from django.db import Error as DatabaseFailure
from django.db import close_old_connections, connection, connections

from videoapi.engine.changes import ChangeFeed
from videoapi.exceptions import TooManyRequests
from videoapi.models import Generation

logger = logging.getLogger(__name__)

# Seconds between two looks at whether the client and the server are still there.
CHECK_SECONDS = 0.5
# Seconds after which the thread looks even if nothing seems to have changed.
IDLE_SECONDS = 1.0
INSTEAD = "send 'Prefer: respond-async' and ask later."


class Outcome(enum.Enum):
    """Why a wait is over."""

    ENDED = "the generation has ended"
    TIMEOUT = "the time that the client may wait is over"
    STOPPING = "the server stops"
    GONE = "the client has hung up"


class _Listener:
    """Wants to hear of some generations."""

    def __init__(self) -> None:
        self.rows: queue.SimpleQueue[Generation] = queue.SimpleQueue()
        self._heard: dict[UUID, tuple[str, str, str, int]] = {}

    def tell(self, row: Generation) -> None:
        state = (row.state, row.phase, row.detail, row.step)
        if state != self._heard.get(row.pk):
            self._heard[row.pk] = state
            self.rows.put(row)


class Waiter:
    """One a process. Its thread runs while somebody waits."""

    def __init__(self) -> None:
        self.is_serving: Callable[[], bool] = lambda: True
        """False once the server has been told to stop; gunicorn's configuration sets it."""
        self._events: defaultdict[UUID, list[threading.Event]] = defaultdict(list)
        self._listeners: defaultdict[UUID, list[_Listener]] = defaultdict(list)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._taken = Counter[str]()

    @contextlib.contextmanager
    def seat(self, seats: int, client: str, own_seats: int) -> Iterator[None]:
        """One of the `seats` for requests that hold their thread for long, so that others find a free one.

        A client has at most `own_seats` of them. Raises TooManyRequests.
        """
        with self._lock:
            if self._taken.total() >= seats:
                raise TooManyRequests(f"Too many requests are waiting for their videos; {INSTEAD}")
            if self._taken[client] >= own_seats:
                raise TooManyRequests(f"{own_seats} requests of yours are waiting for their videos; {INSTEAD}")
            self._taken[client] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[client] -= 1
                if not self._taken[client]:
                    del self._taken[client]

    def wait(
        self, pk: UUID, grace: float, limit: float = float("inf"), is_gone: Callable[[], bool] | None = None
    ) -> Outcome:
        """Return when the generation has ended, after `limit` seconds, when `is_gone` says so, or when the server
        stops, `grace` seconds after the order.
        """
        event = threading.Event()
        with self._lock:
            self._events[pk].append(event)
            self._start()
        started, stop_at = time.monotonic(), float("inf")
        try:
            # It may have ended before it was waited for; from here on the thread sees every change.
            if Generation.objects.finished().filter(pk=pk).exists():
                return Outcome.ENDED
            if connection.vendor != "sqlite":
                # Hundreds may wait; a database server counts its connections.
                connection.close()
            while not event.wait(min(CHECK_SECONDS, max(0.0, started + limit - time.monotonic()))):
                now = time.monotonic()
                if stop_at == float("inf") and not self.is_serving():
                    stop_at = now + grace
                if now >= stop_at:
                    return Outcome.STOPPING
                if now >= started + limit:
                    return Outcome.TIMEOUT
                if is_gone and is_gone():
                    return Outcome.GONE
            return Outcome.ENDED
        finally:
            self._forget(pk, event)

    @contextlib.contextmanager
    def listen(self, *pks: UUID) -> Iterator[queue.SimpleQueue[Generation]]:
        """Each generation as it is now, then each time that its status, phase or step has changed."""
        listener = _Listener()
        for row in Generation.objects.filter(pk__in=pks).order_by("seed"):
            listener.tell(row)
        with self._lock:
            for pk in pks:
                self._listeners[pk].append(listener)
            self._start()
        try:
            yield listener.rows
        finally:
            with self._lock:
                for pk in pks:
                    self._listeners[pk].remove(listener)
                    if not self._listeners[pk]:
                        del self._listeners[pk]

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, name="waiter", daemon=True)
            self._thread.start()

    def _forget(self, pk: UUID, event: threading.Event) -> None:
        with self._lock:
            self._events[pk].remove(event)
            if not self._events[pk]:
                del self._events[pk]

    def _look(self) -> None:
        feed = ChangeFeed()
        while True:
            with self._lock:
                waiting, listening = list(self._events), list(self._listeners)
                if not waiting and not listening:
                    self._thread = None
                    break
            try:
                feed.mark()
                ended = Generation.objects.finished().filter(pk__in=waiting).values_list("pk", flat=True)
                with self._lock:
                    for pk in ended:
                        for event in self._events.get(pk, ()):
                            event.set()
                for row in Generation.objects.filter(pk__in=listening):
                    with self._lock:
                        for listener in self._listeners.get(row.pk, ()):
                            listener.tell(row)
                feed.wait(IDLE_SECONDS)
            except DatabaseFailure:
                logger.exception("the database failed")
                close_old_connections()
                time.sleep(IDLE_SECONDS)
        connections.close_all()


waiter = Waiter()
