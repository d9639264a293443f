"""Waiting for another process to change the database."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests import generations
from tests.generations import in_thread, until
from videoapi.engine.changes import ChangeFeed
from videoapi.engine.slot import Slot
from videoapi.engine.wait import Outcome, Waiter
from videoapi.exceptions import TooManyRequests
from videoapi.models import Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


def test_the_change_feed_wakes_at_another_connections_commit_and_not_before(configure: Any) -> None:
    feed = ChangeFeed()
    feed.mark()
    started = time.monotonic()
    feed.wait(0.2)
    assert time.monotonic() - started >= 0.2
    feed.mark()
    thread = in_thread(lambda: (time.sleep(0.2), generations.add_worker()))
    started = time.monotonic()
    feed.wait(10)
    assert time.monotonic() - started < 5
    assert Worker.objects.exists()
    thread.join()


def test_a_change_between_mark_and_wait_is_not_missed(configure: Any) -> None:
    feed = ChangeFeed()
    feed.mark()
    in_thread(generations.make).join()
    started = time.monotonic()
    feed.wait(10)
    assert time.monotonic() - started < 5


def test_many_wait_for_one_generation_and_for_several(configure: Any, slot: Slot) -> None:
    waiter, rows, results = Waiter(), [generations.make() for _ in range(3)], []
    threads = [
        in_thread(lambda row=row: results.append(waiter.wait(row.pk, 1)))  # type: ignore[misc]
        for row in rows * 4
    ]
    for row in rows:
        slot.run_next(row.model)
    for thread in threads:
        thread.join(20)
    assert results == [Outcome.ENDED] * 12
    until(lambda: waiter._thread is None)


def test_waiting_for_what_has_ended_returns_at_once(configure: Any) -> None:
    generation = generations.make()
    generation.request_cancel()
    assert Waiter().wait(generation.pk, 1) is Outcome.ENDED


def test_waiting_ends_when_the_server_stops(configure: Any) -> None:
    waiter, generation = Waiter(), generations.make()
    waiter.is_serving = lambda: False
    assert waiter.wait(generation.pk, 0.1) is Outcome.STOPPING
    until(lambda: waiter._thread is None)


def test_waiting_ends_at_the_limit_and_when_the_client_is_gone(configure: Any) -> None:
    waiter, generation = Waiter(), generations.make()
    assert waiter.wait(generation.pk, 1, limit=0.1) is Outcome.TIMEOUT
    assert waiter.wait(generation.pk, 1, is_gone=lambda: True) is Outcome.GONE


def test_seats_are_given_back(configure: Any) -> None:
    waiter = Waiter()
    for _ in range(2):
        with waiter.seat(2, "ann", 2), waiter.seat(2, "bob", 2), pytest.raises(TooManyRequests, match="respond-async"):
            waiter.seat(2, "eve", 2).__enter__()


def test_one_client_does_not_get_every_seat(configure: Any) -> None:
    waiter = Waiter()
    for _ in range(2):
        with waiter.seat(9, "ann", 2), waiter.seat(9, "ann", 2):
            with pytest.raises(TooManyRequests, match="2 requests of yours are waiting for their videos"):
                waiter.seat(9, "ann", 2).__enter__()
            with waiter.seat(9, "bob", 2):
                pass
    assert not waiter._taken


def test_a_quarter_of_the_seats_is_for_others(configure: Any) -> None:
    conf = configure(threads=132)
    assert (conf.seats, conf.own_seats) == (100, 75)
    assert configure(threads=132, max_waiting_per_client=7).own_seats == 7
    assert configure(threads=1).own_seats == 1
