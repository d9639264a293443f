"""What dead, late and killed processes leave, and who clears it up."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from PIL import Image

from tests import generations
from tests.generations import stored_files
from videoapi.engine.cancel import cancel
from videoapi.engine.housekeeping import HouseKeeping
from videoapi.engine.machine import machine_id
from videoapi.engine.reaper import reap, sweep
from videoapi.engine.slot import Slot
from videoapi.engine.storage import preview_name, scratch_name
from videoapi.engine.tasks import requeue
from videoapi.exceptions import ModelError
from videoapi.models import Generation, State, Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


def make_stale(generation: Generation, attempt: int) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    Generation.objects.filter(pk=generation.pk).update(
        state=State.IN_PROGRESS, worker="dead:1/0", attempt=attempt, started_at=long_ago, heartbeat_at=long_ago
    )
    DBTaskResult.objects.running().update(started_at=long_ago)


def test_a_dead_workers_generation_is_run_once_more(slot: Slot, configure: Any) -> None:
    generation = generations.make(image=Image.new("RGB", (64, 48), "red"))
    DBTaskResult.objects.get().claim("dead:1/0")
    make_stale(generation, attempt=1)
    reap(configure())
    sweep(configure())
    generation.refresh_from_db()
    assert (generation.state, generation.attempt) == (State.QUEUED, 1)
    assert not DBTaskResult.objects.running().exists()
    assert DBTaskResult.objects.ready().count() == 1
    slot.run_next(generation.model)
    generation.refresh_from_db()
    assert (generation.state, generation.attempt) == (State.COMPLETED, 2)


def test_a_generation_whose_worker_died_twice_is_lost(configure: Any) -> None:
    generation = generations.make(image=Image.new("RGB", (64, 48), "red"))
    make_stale(generation, attempt=2)
    reap(configure())
    generation.refresh_from_db()
    assert (generation.state, generation.error_code) == (State.FAILED, "worker_lost")
    assert stored_files() == []


def test_what_was_to_be_cancelled_when_its_worker_died_is_cancelled(configure: Any) -> None:
    generation = generations.make(image=Image.new("RGB", (64, 48), "red"))
    make_stale(generation, attempt=1)
    generation.request_cancel()
    reap(configure())
    generation.refresh_from_db()
    assert (generation.state, generation.error_code) == (State.CANCELLED, "cancelled")
    assert stored_files() == []


def test_a_late_worker_that_completes_just_before_it_is_given_up_keeps_its_video(
    configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = generations.make()
    make_stale(generation, attempt=1)
    late = Generation.objects.get()

    def complete_then_requeue(row: Generation, *, count_attempt: bool) -> bool:
        name = default_storage.save(f"videos/{row.pk}-1.mp4", ContentFile(b"video"))
        assert late.complete(video=name, thumbnail="", timings={})
        return requeue(row, count_attempt=count_attempt)

    monkeypatch.setattr("videoapi.engine.reaper.requeue", complete_then_requeue)
    reap(configure())
    generation.refresh_from_db()
    assert generation.state == State.COMPLETED
    assert stored_files() == [f"videos/{generation.pk}-1.mp4"]


def test_a_worker_shows_life_for_what_it_runs_and_for_nothing_else_of_its_name(configure: Any, slot: Slot) -> None:
    mine, abandoned = generations.make(), generations.make()
    for row in (mine, abandoned):
        make_stale(row, attempt=1)
        Generation.objects.filter(pk=row.pk).update(worker=slot.name)
    slot.running = [Generation.objects.get(pk=mine.pk)]
    HouseKeeping("host:1", [slot], configure()).run()
    states = {row.pk: row.state for row in Generation.objects.all()}
    assert states == {mine.pk: State.IN_PROGRESS, abandoned.pk: State.QUEUED}


def test_a_worker_of_this_machine_whose_process_is_gone_is_given_up_at_once(configure: Any) -> None:
    process = subprocess.Popen(["sleep", "60"])
    elsewhere, here = generations.make(), generations.make()
    for row, name, machine in ((elsewhere, "far:1:a", "another"), (here, "here:1:b", machine_id())):
        assert Generation.objects.claim(str(row.pk), f"{name}/0")
        Worker.objects.create(name=name, machine=machine, pid=process.pid, last_seen=timezone.now())
    reap(configure())
    assert not Generation.objects.queued().exists()
    process.kill()
    process.wait()
    reap(configure())
    assert list(Generation.objects.queued()) == [here]
    assert not Worker.objects.filter(name="here:1:b").exists()
    assert Worker.objects.filter(name="far:1:a").exists()


def test_after_an_outage_nobody_is_given_up_at_once(configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    generation = generations.make()
    make_stale(generation, attempt=1)
    house = HouseKeeping("host:1", [], configure(stale_seconds=0.3))
    with monkeypatch.context() as patch:
        patch.setattr(HouseKeeping, "_show_life", lambda self: Generation.objects.raw("SELECT nonsense")[0])
        house.run()
    house.run()
    generation.refresh_from_db()
    assert generation.state == State.IN_PROGRESS
    time.sleep(0.3)
    house.run()
    generation.refresh_from_db()
    assert generation.state == State.QUEUED


def test_after_a_jump_of_the_clock_nobody_is_given_up_at_once(configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    generation = generations.make()
    make_stale(generation, attempt=1)
    house = HouseKeeping("host:1", [], configure(stale_seconds=0.3))
    jumped = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: jumped)
    house.run()
    generation.refresh_from_db()
    assert generation.state == State.IN_PROGRESS
    monkeypatch.undo()
    time.sleep(0.3)
    house = HouseKeeping("host:1", [], configure(stale_seconds=0.3))
    house.run()
    generation.refresh_from_db()
    assert generation.state == State.QUEUED


def test_a_cancel_that_meets_a_requeue_is_not_lost(configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    generation = generations.make()
    assert Generation.objects.claim(str(generation.pk), "host:1/0")
    change, calls = Generation._change, []

    def change_after_requeue(self: Generation, rows: Any, **values: Any) -> bool:
        calls.append(values)
        if len(calls) == 2:
            Generation.objects.update(state=State.QUEUED, worker="")
        return change(self, rows, **values)

    monkeypatch.setattr(Generation, "_change", change_after_requeue)
    generation.request_cancel()
    generation.refresh_from_db()
    assert generation.state == State.CANCELLED


def test_images_and_clips_of_what_has_ended_are_removed(configure: Any) -> None:
    image = Image.new("RGB", (64, 48), "red")
    cancelled, killed = (generations.make(image=image, clip=b"mp4") for _ in range(2))
    cancel(cancelled)
    assert stored_files() == [f"inputs/{killed.pk}-clip", f"inputs/{killed.pk}-start_image.png"]
    row = Generation.objects.claim(str(killed.pk), "host:1/0")
    assert row is not None
    row.fail(ModelError("no"))
    sweep(configure())
    assert stored_files() == []
    assert not Generation.objects.with_inputs().exists()


def test_images_and_clips_of_requests_that_were_never_accepted_are_removed(configure: Any) -> None:
    conf = configure()
    image = Image.new("RGB", (64, 48), "red")
    accepted, lost = (generations.make(image=image, clip=b"mp4") for _ in range(2))
    lost.delete()
    sweep(conf)
    assert len(stored_files()) == 4
    for name in stored_files():
        os.utime(default_storage.path(name), (0, 0))
    sweep(conf)
    assert stored_files() == [f"inputs/{accepted.pk}-clip", f"inputs/{accepted.pk}-start_image.png"]


def test_a_clip_without_an_image_is_removed_too(configure: Any) -> None:
    row = generations.make(clip=b"mp4")
    Generation.objects.filter(pk=row.pk).update(state=State.FAILED)
    sweep(configure())
    assert stored_files() == []
    assert Generation.objects.get().clip == ""


def test_previews_of_attempts_that_do_not_run_are_removed(configure: Any) -> None:
    conf = configure()
    row = Generation.objects.claim(str(generations.make().pk), "host:1/0")
    assert row is not None
    for name in (preview_name(row), f"previews/{row.pk}-7.jpg"):
        default_storage.save(name, ContentFile(b"jpeg"))
    sweep(conf)
    assert stored_files() == [preview_name(row)]
    make_stale(row, attempt=1)
    reap(conf)
    assert stored_files() == []


def test_entries_of_the_queue_are_forgotten(configure: Any) -> None:
    old, new = generations.make(), generations.make("faulty-slow")
    for row, age in ((old, timedelta(hours=2)), (new, timedelta())):
        entry = DBTaskResult.objects.get(queue_name=row.model)
        entry.set_successful(None)
        DBTaskResult.objects.filter(pk=entry.pk).update(finished_at=timezone.now() - age)
        row.request_cancel()
    sweep(configure())
    assert [entry.queue_name for entry in DBTaskResult.objects.all()] == [new.model]


def test_what_waits_without_an_entry_in_the_queue_is_delivered_again(configure: Any, slot: Slot) -> None:
    """A worker that is killed between taking the entry and taking the row leaves this."""
    generation, waiting = generations.make(), generations.make("faulty-slow")
    DBTaskResult.objects.get(queue_name="faulty-good").claim("dead:1/0")
    long_ago = timezone.now() - timedelta(hours=1)
    DBTaskResult.objects.running().update(started_at=long_ago)
    Generation.objects.update(created_at=long_ago)
    sweep(configure())
    ready = DBTaskResult.objects.ready()
    assert sorted(entry.queue_name for entry in ready) == [generation.model, waiting.model]
    assert not DBTaskResult.objects.running().exists()
    slot.run_next(generation.model)
    generation.refresh_from_db()
    assert generation.state == State.COMPLETED


def test_unfinished_files_of_attempts_that_do_not_run_are_removed(configure: Any) -> None:
    conf = configure()
    gone, running = generations.make(), generations.make()
    mine = Generation.objects.claim(str(running.pk), "alive:1/0")
    assert mine is not None
    for name in (f"generation-{gone.pk}-1", scratch_name(mine), "somebody-elses"):
        (conf.scratch_dir / name).mkdir(parents=True)
        (conf.scratch_dir / name / "video.mp4").write_bytes(b"half")
    sweep(conf)
    assert sorted(path.name for path in conf.scratch_dir.iterdir()) == [scratch_name(mine), "somebody-elses"]


def test_a_file_that_cannot_be_deleted_keeps_no_other_generation_waiting(
    configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [generations.make() for _ in range(2)]
    for row in rows:
        make_stale(row, attempt=1)

    def fail(generation: Generation) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr("videoapi.engine.reaper.delete_unpublished", fail)
    reap(configure())
    assert Generation.objects.filter(state=State.QUEUED).count() == 2


def test_the_reaper_leaves_the_living_alone(configure: Any) -> None:
    generation = generations.make()
    assert Generation.objects.claim(str(generation.pk), "alive:1/0")
    Worker.objects.create(name="alive:1", last_seen=timezone.now())
    Worker.objects.create(name="gone:1", last_seen=timezone.now() - timedelta(days=2))
    reap(configure())
    sweep(configure())
    generation.refresh_from_db()
    assert generation.state == State.IN_PROGRESS
    assert list(Worker.objects.values_list("name", flat=True)) == ["alive:1", "host:1"]
