"""From an accepted request to a finished row, with real rows, model processes and files."""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import OperationalError, connection, connections
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from PIL import Image

from tests import generations
from videoapi.engine import slot as slot_module
from videoapi.engine.changes import ChangeFeed
from videoapi.engine.reaper import reap
from videoapi.engine.slot import Slot
from videoapi.engine.submit import submit
from videoapi.engine.tasks import queue_name
from videoapi.engine.wait import Waiter
from videoapi.exceptions import ModelError
from videoapi.models import Generation, State, Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


@pytest.fixture
def slot(configure: Callable[..., Any]) -> Iterator[Slot]:
    made = Slot("host:1/0", configure(cancel_seconds=0.5))
    yield made
    made.kill()


def stored_files() -> list[str]:
    root = Path(default_storage.location)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_submitting_stores_the_row_the_image_and_the_delivery(configure: Any) -> None:
    generation = generations.make(image=Image.new("RGB", (64, 48), "red"))
    row = Generation.objects.get(pk=generation.pk)
    delivery = DBTaskResult.objects.get()
    assert (row.state, row.attempt, row.worker) == (State.QUEUED, 0, "")
    assert stored_files() == [f"inputs/{row.pk}-start_image.png"]
    assert (delivery.queue_name, delivery.args_kwargs["args"]) == ("faulty-good", [str(row.pk)])


def test_a_submission_that_fails_leaves_nothing(configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(generation: Generation) -> None:
        raise OperationalError("the disk is full")

    monkeypatch.setattr("videoapi.engine.submit.deliver", fail)
    with pytest.raises(OperationalError):
        generations.make(image=Image.new("RGB", (64, 48), "red"))
    assert not Generation.objects.exists()
    assert stored_files() == []


def test_a_generation_is_completed_with_video_thumbnail_and_timings(slot: Slot) -> None:
    generation = generations.make(image=Image.new("RGB", (64, 48), "red"))
    slot.run(str(generation.pk))
    generation.refresh_from_db()
    assert generation.state == State.COMPLETED
    assert stored_files() == [f"thumbnails/{generation.pk}.jpg", f"videos/{generation.pk}.mp4"]
    assert {"queued", "loading", "denoising", "encoding", "storing", "total"} <= generation.all_timings().keys()


def test_a_second_delivery_of_one_id_does_nothing(slot: Slot) -> None:
    generation = generations.make()
    slot.run(str(generation.pk))
    slot.run(str(generation.pk))
    generation.refresh_from_db()
    assert (generation.state, generation.attempt) == (State.COMPLETED, 1)


def test_an_unknown_id_does_nothing(slot: Slot) -> None:
    slot.run(str(uuid.uuid4()))


def test_another_model_takes_the_slot_and_the_first_process_ends(slot: Slot) -> None:
    first, second = generations.make("faulty-good"), generations.make("faulty-noisy")
    slot.run(str(first.pk))
    process = slot._process
    assert process is not None
    slot.run(str(second.pk))
    assert not process.is_alive
    assert Generation.objects.filter(state=State.COMPLETED).count() == 2


def test_a_queued_generation_is_cancelled_at_once_and_never_run(slot: Slot) -> None:
    generation = generations.make()
    generation.request_cancel()
    slot.run(str(generation.pk))
    generation.refresh_from_db()
    assert (generation.state, generation.attempt) == (State.CANCELLED, 0)


def test_a_running_generation_is_cancelled_at_its_next_step(slot: Slot) -> None:
    generation = generations.make("faulty-slow", num_inference_steps=200, image=Image.new("RGB", (64, 48)))
    thread = in_thread(lambda: slot.run(str(generation.pk)))
    until(lambda: Generation.objects.get(pk=generation.pk).step > 0)
    running = Generation.objects.get(pk=generation.pk)
    assert (running.state, running.phase, running.total_steps) == (State.IN_PROGRESS, "denoising", 200)
    running.request_cancel()
    thread.join(20)
    generation.refresh_from_db()
    assert generation.state == State.CANCELLED
    assert slot._process is not None
    assert slot._process.is_alive
    assert stored_files() == []


def test_a_worker_that_must_stop_hands_the_generation_back_without_counting_the_attempt(slot: Slot) -> None:
    generation = generations.make("faulty-slow", num_inference_steps=200)
    thread = in_thread(lambda: slot.run(str(generation.pk)))
    until(lambda: Generation.objects.get(pk=generation.pk).step > 0)
    slot.stop_at = 0
    thread.join(20)
    generation.refresh_from_db()
    assert (generation.state, generation.attempt, generation.worker) == (State.QUEUED, 0, "")
    assert DBTaskResult.objects.ready().count() == 2


def test_a_worker_that_was_given_up_cannot_overwrite(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    generation = generations.make()
    original = slot_module.publish

    def publish_after_the_row_is_taken_away(*arguments: Any) -> bool:
        Generation.objects.filter(pk=generation.pk).update(worker="other:2/0", attempt=2)
        return original(*arguments)

    monkeypatch.setattr(slot_module, "publish", publish_after_the_row_is_taken_away)
    slot.run(str(generation.pk))
    generation.refresh_from_db()
    assert (generation.state, generation.worker) == (State.IN_PROGRESS, "other:2/0")
    assert stored_files() == []


def test_a_failure_of_the_workers_own_is_an_error_without_details(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> bool:
        raise OSError("/secret/path: disk full")

    monkeypatch.setattr(slot_module, "publish", fail)
    generation = generations.make()
    slot.run(str(generation.pk))
    generation.refresh_from_db()
    assert (generation.state, generation.error_code) == (State.FAILED, "internal_error")
    assert "secret" not in generation.error_message


def make_stale(generation: Generation, attempt: int) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    Generation.objects.filter(pk=generation.pk).update(
        state=State.IN_PROGRESS, worker="dead:1/0", attempt=attempt, started_at=long_ago, heartbeat_at=long_ago
    )


def test_a_dead_workers_generation_is_run_once_more(slot: Slot, configure: Any) -> None:
    generation = generations.make(image=Image.new("RGB", (64, 48), "red"))
    DBTaskResult.objects.get().claim("dead:1/0")
    make_stale(generation, attempt=1)
    reap(configure())
    generation.refresh_from_db()
    assert (generation.state, generation.attempt) == (State.QUEUED, 1)
    assert not DBTaskResult.objects.running().exists()
    assert DBTaskResult.objects.ready().count() == 1
    slot.run(str(generation.pk))
    generation.refresh_from_db()
    assert (generation.state, generation.attempt) == (State.COMPLETED, 2)


def test_a_generation_whose_worker_died_twice_is_lost(configure: Any) -> None:
    generation = generations.make(image=Image.new("RGB", (64, 48), "red"))
    make_stale(generation, attempt=2)
    reap(configure())
    generation.refresh_from_db()
    assert (generation.state, generation.error_code) == (State.FAILED, "worker_lost")
    assert stored_files() == []


def test_the_reaper_leaves_the_living_alone(configure: Any) -> None:
    generation = generations.make()
    assert Generation.objects.claim(str(generation.pk), "alive:1/0")
    Worker.objects.create(name="alive:1", last_seen=timezone.now())
    Worker.objects.create(name="gone:1", last_seen=timezone.now() - timedelta(days=2))
    reap(configure())
    generation.refresh_from_db()
    assert generation.state == State.IN_PROGRESS
    assert list(Worker.objects.values_list("name", flat=True)) == ["alive:1"]


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


def test_the_change_feed_wakes_at_another_connections_commit_and_not_before(configure: Any) -> None:
    feed = ChangeFeed()
    feed.mark()
    started = time.monotonic()
    feed.wait(0.2)
    assert time.monotonic() - started >= 0.2
    feed.mark()
    thread = in_thread(lambda: (time.sleep(0.2), generations.make()))
    feed.wait(10)
    assert Generation.objects.exists()
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
        slot.run(str(row.pk))
    for thread in threads:
        thread.join(20)
    assert results == [True] * 12
    until(lambda: waiter._thread is None)


def test_waiting_for_what_has_ended_returns_at_once(configure: Any) -> None:
    generation = generations.make()
    generation.request_cancel()
    assert Waiter().wait(generation.pk, 1)


def test_waiting_ends_when_the_server_stops(configure: Any) -> None:
    waiter, generation = Waiter(), generations.make()
    waiter.is_serving = lambda: False
    assert not waiter.wait(generation.pk, 0.1)
    until(lambda: waiter._thread is None)


@pytest.mark.parametrize("name", ["starter", "a" * 32, "Wan-AI/Wan2.1-T2V-14B-Diffusers-with-a-long-name"])
def test_queue_names_fit_the_column(name: str) -> None:
    assert len(queue_name(name)) <= 32
    assert queue_name(name) != queue_name(f"{name}x")


def test_sqlite_is_in_wal_mode() -> None:
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert sqlite3.sqlite_version_info >= (3, 35)


def test_submit_is_what_the_view_uses() -> None:
    from videoapi.api import video

    assert video.submit is submit
