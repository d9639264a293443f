"""A generation's progress as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import contextlib
import json
import queue
import time
from collections.abc import Generator, Iterator
from typing import Any
from uuid import UUID

from django.db import connection
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.views import APIView

from videoapi.api.access import Caller, find_caller
from videoapi.api.bodies import forecast_body, job_body
from videoapi.api.schema import operations
from videoapi.conf import get_conf
from videoapi.engine.wait import waiter
from videoapi.models import Generation

# Seconds between two looks at whether the server is still to run, and between two signs of life to the client.
CHECK_SECONDS, ALIVE_SECONDS = 0.5, 15.0
# Seconds that a stream may go on after its key was revoked.
WELCOME_SECONDS = 5.0
# Milliseconds after which a client that lost the stream comes back.
RETRY_MILLISECONDS = 3000


class EventsView(APIView):
    """Every status and phase, those before too; then each step; the last event is named as the end: `completed`,
    `failed`, `cancelled` or `expired`.

    A client that comes back with `Last-Event-ID` gets what it has missed. Statuses and phases have ids, steps have
    none.
    """

    @operations.stream_events
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        generation = get_object_or_404(find_caller(request).generations(), pk=pk)
        last = request.headers.get("Last-Event-ID", "")
        heard = int(last) + 1 if last.isascii() and last.isdigit() and len(last) < 9 else 0
        generations = generation.of_request()
        if all(each.is_finished for each in generations) and heard >= len(generation.events):
            # This tells a browser not to come back.
            return HttpResponse(status=204)
        # A proxy that gathers the answer would hold back the events.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return HttpResponse(content_type="text/event-stream", headers=headers)
        return StreamingHttpResponse(
            EventStream(generations, heard, find_caller(request)),
            content_type="text/event-stream",
            headers=headers,
        )


class EventStream:
    """The text of the stream. It has its seat from the start, so that no seat is a 429.

    It ends when the caller's key does.
    """

    def __init__(self, generations: list[Generation], heard: int, caller: Caller) -> None:
        self._rows = {row.pk: row for row in generations}
        self._heard = heard
        self._caller = caller
        self._welcome_until = 0.0
        self._seat = contextlib.ExitStack()
        conf = get_conf()
        self._seat.enter_context(waiter.seat(conf.seats, caller.name, conf.own_seats))
        self._text = self._generate()

    def __iter__(self) -> Iterator[str]:
        return self._text

    def close(self) -> None:
        """Django calls it at the end of the answer, however it ends."""
        self._text.close()
        self._seat.close()

    def _generate(self) -> Generator[str, None, None]:
        yield f"retry: {RETRY_MILLISECONDS}\n\n"
        spoken = time.monotonic()
        with waiter.listen(*self._rows) as rows:
            while waiter.is_serving() and self._is_welcome():
                try:
                    row = rows.get(timeout=CHECK_SECONDS)
                except queue.Empty:
                    if time.monotonic() - spoken > ALIVE_SECONDS:
                        spoken = time.monotonic()
                        yield ": the server is there\n\n"
                    continue
                spoken = time.monotonic()
                self._rows[row.pk] = row
                while len(self._rows) > 1 and not rows.empty():
                    other = rows.get()
                    self._rows[other.pk] = other
                yield from self._tell(row)
                if all(each.is_finished for each in self._rows.values()):
                    return

    def _is_welcome(self) -> bool:
        now = time.monotonic()
        if now >= self._welcome_until:
            self._welcome_until = now + WELCOME_SECONDS
            is_welcome = self._caller.is_still_welcome()
            connection.close()
            return is_welcome
        return True

    def _tell(self, row: Generation) -> Iterator[str]:
        rows = list(self._rows.values())
        now = job_body(rows) | forecast_body(rows)
        # A stream can last for hours; a database server counts its connections.
        connection.close()
        if len(rows) > 1:
            # Each tells everything; the end alone has an id, so that nobody comes back after it.
            has_ended = all(each.is_finished for each in rows)
            number = len(rows[0].events) - 1 if has_ended else None
            yield _format(now["status"] if has_ended else "progress", now, number)
            return
        fresh = row.events[self._heard :]
        for number, event in enumerate(fresh, self._heard):
            last = number == len(row.events) - 1
            name = row.state if last and row.is_finished else "progress"
            yield _format(name, now | event if last else event, number)
        self._heard = len(row.events)
        if not fresh and not row.is_finished:
            yield _format("progress", now)


def _format(name: str, data: dict[str, Any], number: int | None = None) -> str:
    identifier = "" if number is None else f"id: {number}\n"
    return f"{identifier}event: {name}\ndata: {json.dumps(data)}\n\n"
