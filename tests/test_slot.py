"""A slot runs a generation: completed, cancelled, handed back, failed, with real model processes and files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import OperationalError
from django_tasks_db.models import DBTaskResult
from PIL import Image

from tests import generations
from tests.generations import in_thread, stored_files, until
from tests.videos import read
from videoapi.engine import slot as slot_module
from videoapi.engine.slot import Slot
from videoapi.engine.tasks import requeue
from videoapi.models import Generation, State

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


def test_a_generation_is_completed_with_video_thumbnail_and_timings(slot: Slot) -> None:
    generation = generations.make(image=Image.new("RGB", (64, 48), "red"))
    slot.run_next(generation.model)
    generation.refresh_from_db()
    assert generation.state == State.COMPLETED
    assert stored_files() == [f"thumbnails/{generation.pk}-1.jpg", f"videos/{generation.pk}-1.mp4"]
    assert {"queued", "loading", "denoising", "encoding", "storing", "total"} <= generation.all_timings().keys()


def test_an_image_that_is_lost_while_it_waits_is_an_error_that_names_it(slot: Slot) -> None:
    generation = generations.make(image=Image.new("RGB", (64, 48), "red"))
    default_storage.delete(str(generation.start_image.name))
    slot.run_next(generation.model)
    generation.refresh_from_db()
    assert (generation.state, generation.error_code) == (State.FAILED, "storage_failed")
    assert generation.error_message == (
        "The start_image of the request could not be fetched from the storage: No such file or directory."
    )
    assert stored_files() == []


def test_one_delivery_too_many_does_nothing(slot: Slot) -> None:
    generation = generations.make()
    slot.run_next(generation.model)
    slot.run_next(generation.model)
    generation.refresh_from_db()
    assert (generation.state, generation.attempt) == (State.COMPLETED, 1)


def test_a_model_that_nobody_asks_for_does_nothing(slot: Slot) -> None:
    slot.run_next("nobody")
    assert slot.describe() is None


def test_another_model_takes_the_slot_and_the_first_process_ends(slot: Slot) -> None:
    first, second = generations.make("faulty-good"), generations.make("faulty-noisy")
    slot.run_next(first.model)
    process = slot._process
    assert process is not None
    slot.run_next(second.model)
    assert not process.is_alive
    assert Generation.objects.filter(state=State.COMPLETED).count() == 2


def test_a_model_that_nobody_uses_is_unloaded_and_comes_back(
    slot: Slot, configure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slot.describe() is None
    slot.run_next(generations.make().model)
    loaded = slot.describe()
    assert loaded is not None
    assert (loaded["slot"], loaded["model"]) == (slot.name, "faulty-good")
    assert 10 < loaded["memory_mib"] < 2000
    slot.rest()
    assert slot.describe()
    slot.unload_requested = True
    slot.rest()
    assert slot.describe() is None
    slot.run_next(generations.make().model)
    slot.rest()
    assert slot.describe()
    monkeypatch.setattr(slot, "_conf", configure(idle_seconds=0.2))
    time.sleep(0.3)
    slot.rest()
    assert slot.describe() is None
    slot.run_next(generations.make().model)
    assert Generation.objects.filter(state=State.COMPLETED).count() == 3


def test_a_model_that_has_crashed_is_not_taken_for_loaded(slot: Slot) -> None:
    slot.run_next(generations.make("faulty-segfault").model)
    assert (slot.model, slot.describe()) == (None, None)


def test_a_queued_generation_is_cancelled_at_once_and_never_run(slot: Slot) -> None:
    generation = generations.make()
    generation.request_cancel()
    slot.run_next(generation.model)
    generation.refresh_from_db()
    assert (generation.state, generation.attempt) == (State.CANCELLED, 0)


def test_a_running_generation_is_cancelled_at_its_next_step(slot: Slot) -> None:
    generation = generations.make("faulty-slow", num_inference_steps=200, image=Image.new("RGB", (64, 48)))
    # The process ends with the thread that starts it.
    slot.preload(generation.model)
    thread = in_thread(lambda: slot.run_next(generation.model))
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


@pytest.mark.parametrize("phase", ["loading", "denoising"])
def test_a_model_that_cannot_be_stopped_is_ended_at_once_by_a_cancel(
    slot: Slot, monkeypatch: pytest.MonkeyPatch, configure: Callable[..., Any], phase: str
) -> None:
    monkeypatch.setattr(slot, "_conf", configure(cancel_seconds=600))
    if phase == "denoising":
        slot.preload("faulty-stubborn")
    generation = generations.make("faulty-stubborn", num_inference_steps=200)
    thread = in_thread(lambda: slot.run_next(generation.model))
    until(lambda: Generation.objects.get(pk=generation.pk).phase == phase)
    started = time.monotonic()
    Generation.objects.get(pk=generation.pk).request_cancel()
    thread.join(20)
    assert time.monotonic() - started < 2
    generation.refresh_from_db()
    assert (generation.state, generation.error_code) == (State.CANCELLED, "cancelled")
    assert generation.error_message == "Cancelled; the model's process was ended by force."
    assert slot.describe() is None
    after = generations.make("faulty-stubborn", num_inference_steps=1)
    slot.run_next(after.model)
    after.refresh_from_db()
    assert after.state == State.COMPLETED


def test_while_a_model_loads_what_it_said_last_tells_how_far_it_is(slot: Slot) -> None:
    generation = generations.make("faulty-load-slow")
    thread = in_thread(lambda: slot.run_next(generation.model))
    until(lambda: Generation.objects.get(pk=generation.pk).detail != "")
    row = Generation.objects.get(pk=generation.pk)
    assert (row.phase, row.detail) == ("loading", "Reading wan.bin: 40 %")
    row.request_cancel()
    slot.stop_at = time.monotonic()
    thread.join(20)
    generation.refresh_from_db()
    assert generation.detail == ""


def test_a_worker_that_must_stop_hands_the_generation_back_without_counting_the_attempt(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = generations.make("faulty-slow", num_inference_steps=200)
    thread = in_thread(lambda: slot.run_next(generation.model))
    until(lambda: Generation.objects.get(pk=generation.pk).step > 0)
    scratch, left = slot._conf.scratch_dir, list[Path]()
    monkeypatch.setattr(
        slot_module, "requeue", lambda *row, **options: left.extend(scratch.iterdir()) or requeue(*row, **options)
    )
    slot.stop_at = 0
    thread.join(20)
    generation.refresh_from_db()
    assert (generation.state, generation.attempt, generation.worker) == (State.QUEUED, 0, "")
    assert left == []
    assert DBTaskResult.objects.ready().count() == 2


def test_a_worker_that_was_given_up_touches_nothing_of_the_next_ones(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = generations.make()
    theirs = f"videos/{generation.pk}-2.mp4"
    original = slot_module.publish

    def publish_after_the_row_is_taken_away(*arguments: Any) -> bool:
        Generation.objects.filter(pk=generation.pk).update(worker="other:2/0", attempt=2)
        default_storage.save(theirs, ContentFile(b"theirs"))
        return original(*arguments)

    monkeypatch.setattr(slot_module, "publish", publish_after_the_row_is_taken_away)
    slot.run_next(generation.model)
    generation.refresh_from_db()
    assert (generation.state, generation.worker) == (State.IN_PROGRESS, "other:2/0")
    assert stored_files() == [theirs]


def test_a_cancel_that_comes_just_before_the_video_is_stored_is_a_cancel(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = slot_module.Monitor.enter

    def cancel_then_enter(monitor: slot_module.Monitor, phase: str) -> None:
        if phase == "storing":
            Generation.objects.get(pk=generation.pk).request_cancel()
        enter(monitor, phase)

    monkeypatch.setattr(slot_module.Monitor, "enter", cancel_then_enter)
    generation = generations.make()
    slot.run_next(generation.model)
    generation.refresh_from_db()
    assert generation.state == State.CANCELLED
    assert stored_files() == []


def test_a_failure_of_the_workers_own_is_an_error_without_details(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> bool:
        raise OSError("/secret/path: disk full")

    monkeypatch.setattr(slot_module, "publish", fail)
    generation = generations.make()
    slot.run_next(generation.model)
    generation.refresh_from_db()
    assert (generation.state, generation.error_code) == (State.FAILED, "internal_error")
    assert "secret" not in generation.error_message


def test_a_database_that_fails_for_a_while_does_not_end_a_running_generation(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, calls = Generation.report, []

    def fail_at_first(self: Generation, *arguments: Any) -> bool:
        calls.append(arguments)
        if len(calls) < 4:
            raise OperationalError("the server closed the connection unexpectedly")
        return report(self, *arguments)

    monkeypatch.setattr(Generation, "report", fail_at_first)
    generation = generations.make("faulty-slow", num_inference_steps=30)
    slot.run_next(generation.model)
    generation.refresh_from_db()
    assert generation.state == State.COMPLETED
    assert len(calls) > 4


def test_after_a_failure_of_the_workers_own_the_next_generation_is_not_mixed_up_with_it(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (generations.make("faulty-slow", num_inference_steps=20, seed=seed) for seed in (1, 150))

    def fail(*arguments: Any) -> bool:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(slot_module.Monitor, "__call__", fail)
        slot.run_next(first.model)
    slot.run_next(second.model)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == (State.FAILED, State.COMPLETED)
    assert read(Path(second.video.path).read_bytes()).frames[0].mean() == pytest.approx(170, abs=3)


def test_a_preload_stops_at_once_when_the_worker_does(slot: Slot) -> None:
    slot.stop_at = time.monotonic() + 1000
    started = time.monotonic()
    slot.preload("faulty-load-slow")
    assert time.monotonic() - started < 5
    assert slot._process is not None
    assert not slot._process.is_alive
