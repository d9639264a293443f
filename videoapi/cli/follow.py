"""A generation until its end, over lost connections and restarts of the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from videoapi.cli.client import ENDS, Client, Job, Refusal, Unreachable

T = TypeVar("T")

RETRY_SECONDS = 2.0
# How long a server may be away.
LOST_SECONDS = 300.0


def follow(client: Client, job: Job, say: Callable[[str], None]) -> Iterator[Job]:
    """The generation each time that it has changed, until it has ended.

    By its stream of events, and by asking while the server has no place for another stream.
    """
    last = ""
    while job["status"] not in ENDS:
        try:
            for event in client.listen(job["id"], last):
                # While it waits there are no events, but its place in the queue changes.
                job = job | event.data if event else client.show(job["id"])
                last = (event and event.id) or last
                yield job
        except (Unreachable, Refusal):
            # What is wrong, the next question tells.
            pass
        if job["status"] not in ENDS:
            time.sleep(RETRY_SECONDS)
            job = persist(lambda job=job: client.show(job["id"]), say)  # type: ignore[misc]
            yield job


def persist(action: Callable[[], T], say: Callable[[str], None], *, is_known: bool = True) -> T:
    """The action's result, tried again while the server is away.

    Unless it `is_known` that there is one, nothing at its address is an error at once.
    """
    give_up_at = time.monotonic() + LOST_SECONDS
    is_told = False
    while True:
        try:
            return action()
        except (Unreachable, Refusal) as error:
            is_away = error.is_passing and (is_known or is_told or not getattr(error, "is_refused", False))
            if not is_away or time.monotonic() > give_up_at:
                raise
            if not is_told:
                say(f"{error} Trying again.")
            is_told = True
            time.sleep(RETRY_SECONDS)
