"""Submitting, claiming, taking turns."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from django.db import OperationalError, connection
from django_tasks_db.models import DBTaskResult
from PIL import Image

from tests import generations
from tests.generations import in_thread, stored_files
from videoapi.engine import forecast
from videoapi.engine.tasks import queue_name
from videoapi.exceptions import InvalidRequest, ModelError
from videoapi.models import Generation, State
from videoapi.models.generation import LOG_LENGTH

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


def test_submitting_stores_the_row_the_image_and_the_delivery(configure: Any) -> None:
    generation = generations.make(image=Image.new("RGB", (64, 48), "red"))
    row = Generation.objects.get(pk=generation.pk)
    delivery = DBTaskResult.objects.get()
    assert (row.state, row.attempt, row.worker) == (State.QUEUED, 0, "")
    assert stored_files() == [f"inputs/{row.pk}-start_image.png"]
    assert (delivery.queue_name, delivery.args_kwargs["args"]) == ("faulty-good", ["faulty-good"])


def test_a_submission_that_fails_leaves_nothing(configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(generation: Generation) -> None:
        raise OperationalError("the disk is full")

    monkeypatch.setattr("videoapi.engine.submit.deliver", fail)
    with pytest.raises(OperationalError):
        generations.make(image=Image.new("RGB", (64, 48), "red"), clip=b"mp4")
    assert not Generation.objects.exists()
    assert stored_files() == []


def test_clients_take_turns(configure: Any) -> None:
    """One asks for four at once, another for two a moment later, a third when two have been run."""
    order = []

    def ask(client: str, count: int) -> None:
        for _ in range(count):
            generations.make(client=client)

    def serve(count: int) -> None:
        for _ in range(count):
            row = Generation.objects.claim_next("faulty-good", "host:1/0")
            order.append(row.client if row else "")

    ask("greedy", 4)
    ask("second", 2)
    serve(2)
    ask("third", 1)
    serve(6)
    assert order == ["greedy", "second", "greedy", "second", "third", "greedy", "greedy", ""]


def test_a_higher_priority_comes_first(configure: Any) -> None:
    made = [generations.make(client="one", priority=priority) for priority in (0, -5, 10, 0)]
    assert [forecast.queue_position(row) for row in made] == [2, 4, 1, 3]
    taken = [Generation.objects.claim_next("faulty-good", "host:1/0") for _ in made]
    assert taken == [made[2], made[0], made[3], made[1]]


def test_a_priority_costs_nobody_else_their_turn(configure: Any) -> None:
    for _ in range(3):
        generations.make(client="one")
    generations.make(client="one", priority=5)
    first = Generation.objects.claim_next("faulty-good", "host:1/0")
    generations.make(client="two")
    rows = [first, *(Generation.objects.claim_next("faulty-good", "host:1/0") for _ in range(4))]
    assert [(row.client, row.priority) for row in rows if row] == [
        ("one", 5),
        ("one", 0),
        ("two", 0),
        ("one", 0),
        ("one", 0),
    ]


def test_a_plugins_words_are_stored_whatever_they_are(configure: Any) -> None:
    generations.make()
    row = Generation.objects.claim_next("faulty-good", "host:1/0")
    assert row is not None
    assert row.report("a phase that is much too long for the column", 1, 4)
    assert row.fail(InvalidRequest("f" * 90, "no \x00 such \ud800 thing"), log="a\0 \ud800" + "b" * 20_000)
    stored = Generation.objects.get()
    assert (stored.phase, stored.error_field) == ("", "f" * 40)
    assert stored.error_message == "no  such \\ud800 thing"
    assert stored.log == "a \\ud800" + "b" * (LOG_LENGTH - 8)


def test_a_client_who_asks_again_and_again_keeps_nobody_waiting(configure: Any) -> None:
    for _ in range(3):
        generations.make(client="patient")
    order = []
    for _ in range(6):
        generations.make(client="busy")
        row = Generation.objects.claim_next("faulty-good", "host:1/0")
        assert row is not None
        order.append(row.client)
    assert order.count("patient") == 3


def test_only_one_of_many_workers_claims_a_generation(configure: Any) -> None:
    generation = generations.make()
    claimed = []
    threads = [
        in_thread(lambda i=i: claimed.append(Generation.objects.claim(str(generation.pk), f"w{i}")))  # type: ignore[misc]
        for i in range(8)
    ]
    for thread in threads:
        thread.join()
    assert len([row for row in claimed if row]) == 1


def test_state_changes_are_fenced(configure: Any) -> None:
    generations.make()
    row = Generation.objects.get()
    error = ModelError("no")
    assert not row.fail(error)
    mine = Generation.objects.claim(str(row.pk), "me")
    assert mine is not None
    assert mine.report("denoising", 1, 4)
    assert mine.fail(error)
    assert not mine.report("denoising", 2, 4)
    assert not mine.complete(video="x", thumbnail="y", timings={})
    assert not mine.requeue(count_attempt=True)


@pytest.mark.parametrize("name", ["starter", "a" * 32, "Wan-AI/Wan2.1-T2V-14B-Diffusers-with-a-long-name"])
def test_queue_names_fit_the_column(name: str) -> None:
    assert len(queue_name(name)) <= 32
    assert queue_name(name) != queue_name(f"{name}x")


def test_sqlite_is_in_wal_mode() -> None:
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert sqlite3.sqlite_version_info >= (3, 35)
