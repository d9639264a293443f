"""A run of several: each has its own video, cancel and failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from PIL import Image

from tests import generations
from tests.batching.rows import SEEDS, ask, claim, grey, greys, refreshed, run_all, states
from tests.generations import in_thread, stored_files, until
from tests.videos import read
from videoapi.engine import slot as slot_module
from videoapi.engine.reaper import reap, sweep
from videoapi.engine.slot import Slot
from videoapi.engine.storage import preview_name
from videoapi.exceptions import StorageFailed
from videoapi.models import Generation, State, Worker

pytestmark = pytest.mark.django_db(transaction=True)


def test_three_that_wait_are_made_in_one_run_each_with_its_own_video(slot: Slot) -> None:
    rows = ask()
    slot.run_next(rows[0].model)
    assert states(rows) == [State.COMPLETED] * 3
    assert greys(rows) == pytest.approx(SEEDS, abs=2)
    assert [(row.batch_size, row.attempt, row.log) for row in rows] == [(3, 1, "3 together")] * 3
    names = [name for row in rows for name in (f"thumbnails/{row.pk}-1.jpg", f"videos/{row.pk}-1.mp4")]
    assert stored_files() == sorted(names)
    assert all(
        {"queued", "loading", "denoising", "encoding", "storing", "total"} <= row.all_timings().keys() for row in rows
    )
    metadata = [read(Path(row.video.path).read_bytes()).metadata["comment"] for row in rows]
    assert [f'"seed": {seed}' in text for seed, text in zip(SEEDS, metadata, strict=True)] == [True] * 3
    assert slot.running == ()
    # The deliveries of the other two have nothing to do.
    slot.run_next(rows[0].model)
    assert states(rows) == [State.COMPLETED] * 3


def test_a_video_of_a_batch_is_the_one_that_is_made_alone(slot: Slot) -> None:
    alone = ask(seeds=SEEDS[:1], frames=4)
    slot.run_next(alone[0].model)
    rows = ask(frames=4)
    slot.run_next(rows[0].model)
    videos = [read(Path(row.video.path).read_bytes()).frames for row in refreshed([*alone, rows[0]])]
    assert (videos[0] == videos[1]).all()
    assert [row.batch_size for row in (*alone, rows[0])] == [1, 3]


def test_a_model_that_says_nothing_makes_one_at_a_time(slot: Slot) -> None:
    rows = ask("single")
    slot.run_next(rows[0].model)
    assert states(rows) == [State.COMPLETED, State.QUEUED, State.QUEUED]
    assert rows[0].log == "alone"


def test_a_model_that_is_gone_fails_each_generation_with_the_reason(slot: Slot) -> None:
    rows = ask()
    Generation.objects.update(model="gone")
    for _ in rows:
        slot.run_next("gone")
    assert states(rows) == [State.FAILED] * 3
    assert "Unknown model 'gone'" in rows[2].error_message


def test_progress_is_everybodys_and_warnings_and_previews_are_each_ones_own(slot: Slot) -> None:
    rows = ask("telling")
    thread = in_thread(lambda: slot.run_next(rows[0].model))
    until(lambda: all(row.step > 0 for row in refreshed(rows)))
    assert [(row.phase, row.total_steps) for row in rows] == [("encoding prompt", 100)] * 3
    until(lambda: all(default_storage.exists(preview_name(row)) for row in rows))
    for row in rows:
        with Image.open(default_storage.path(preview_name(row))) as picture:
            assert picture.convert("L").getpixel((9, 9)) == pytest.approx(row.seed, abs=3)
    thread.join(30)
    assert states(rows) == [State.COMPLETED] * 3
    assert [row.warnings for row in rows] == [["Said to all.", f"Said to {seed}."] for seed in SEEDS]
    assert not [name for name in stored_files() if name.startswith("previews/")]


def test_one_that_is_cancelled_ends_at_once_and_the_others_go_on(slot: Slot) -> None:
    rows = ask("slow", num_inference_steps=60)
    thread = in_thread(lambda: slot.run_next(rows[0].model))
    until(lambda: all(row.step > 0 for row in refreshed(rows)))
    Generation.objects.get(pk=rows[1].pk).request_cancel()
    until(lambda: states(rows)[1] == State.CANCELLED)
    assert states(rows) == [State.IN_PROGRESS, State.CANCELLED, State.IN_PROGRESS]
    # What the reaper does meanwhile to the files of a generation that has ended harms nobody.
    sweep(slot._conf)
    thread.join(30)
    assert states(rows) == [State.COMPLETED, State.CANCELLED, State.COMPLETED]
    assert (rows[1].error_code, rows[1].error_message) == ("cancelled", "Cancelled by the client.")
    assert [grey(row) for row in (rows[0], rows[2])] == pytest.approx([60, 180], abs=2)
    assert {row.attempt for row in rows} == {1}
    assert not [name for name in stored_files() if str(rows[1].pk) in name]


def test_when_all_are_cancelled_the_run_is_and_the_model_stays(slot: Slot) -> None:
    rows = ask("slow", num_inference_steps=10_000)
    # The process ends with the thread that starts it.
    slot.preload(rows[0].model)
    process = slot._process
    thread = in_thread(lambda: slot.run_next(rows[0].model))
    until(lambda: all(row.step > 0 for row in refreshed(rows)))
    for row in rows:
        Generation.objects.get(pk=row.pk).request_cancel()
    thread.join(30)
    assert not thread.is_alive()
    assert states(rows) == [State.CANCELLED] * 3
    assert slot.model == "together-slow"
    assert stored_files() == []
    (after,) = ask("slow", seeds=(90,))
    slot.run_next(after.model)
    assert greys([after]) == pytest.approx([90], abs=2)
    assert slot._process is process is not None


@pytest.mark.parametrize("kind", ["raise", "kill", "segfault", "hang", "greedy", "few", "torn", "black"])
def test_a_batch_that_fails_is_nobodys_failure_and_each_is_made_alone(
    slot: Slot, kind: str, configure: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slot, "_conf", configure(stall_seconds=2.0))
    rows = ask(kind)
    slot.run_next(rows[0].model)
    assert states(rows) == [State.QUEUED] * 3
    assert stored_files() == []
    told = [record.getMessage() for record in caplog.records if "run alone" in record.getMessage()]
    assert told == [
        f"generation {row.pk} goes back to the queue: it is run alone after a batch that failed" for row in rows
    ]
    later = ask(kind, seeds=(200,))
    run_all(slot, [*rows, *later])
    assert states(rows) == [State.COMPLETED] * 3
    assert greys(rows) == pytest.approx(SEEDS, abs=2)
    assert [(row.batch_size, row.attempt, row.error_code) for row in rows] == [(1, 1, "")] * 3
    assert rows[2].log.endswith("alone")


def test_a_model_that_does_not_load_is_loaded_once_for_all_of_a_batch(slot: Slot, caplog: Any) -> None:
    rows = ask("incapable", seeds=SEEDS[:2])
    slot.run_next(rows[0].model)
    assert states(rows) == [State.FAILED] * 2
    assert "run alone" not in caplog.text


def test_only_the_one_at_fault_fails_in_the_end(slot: Slot) -> None:
    rows = [*ask("refuse", seeds=(60,)), *ask("refuse", seeds=(120,), prompt="bad"), *ask("refuse", seeds=(180,))]
    slot.run_next(rows[0].model)
    run_all(slot, rows)
    assert states(rows) == [State.COMPLETED, State.FAILED, State.COMPLETED]
    assert (rows[1].error_code, rows[1].error_field) == ("invalid_value", "prompt")


def test_a_video_that_cannot_be_stored_is_its_own_failure(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, publish = ask(), slot_module.publish

    def fail_for_one(generation: Generation, *arguments: Any) -> bool:
        if generation == rows[0]:
            raise StorageFailed("The video could not be stored: No space left on device.")
        return publish(generation, *arguments)

    monkeypatch.setattr(slot_module, "publish", fail_for_one)
    slot.run_next(rows[0].model)
    assert states(rows) == [State.FAILED, State.COMPLETED, State.COMPLETED]
    assert rows[0].error_code == "storage_failed"
    assert greys(rows[1:]) == pytest.approx(SEEDS[1:], abs=2)


def test_one_that_was_given_to_another_worker_is_left_to_it(slot: Slot) -> None:
    rows = ask("slow", num_inference_steps=60)
    thread = in_thread(lambda: slot.run_next(rows[0].model))
    until(lambda: all(row.step > 0 for row in refreshed(rows)))
    Generation.objects.filter(pk=rows[0].pk).update(worker="other:2/0", attempt=2)
    thread.join(30)
    assert states(rows) == [State.IN_PROGRESS, State.COMPLETED, State.COMPLETED]
    assert (rows[0].worker, rows[0].attempt) == ("other:2/0", 2)
    assert not [name for name in stored_files() if str(rows[0].pk) in name]


def test_a_worker_that_stops_hands_all_of_them_back_and_loses_none(
    slot: Slot, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ask("slow", num_inference_steps=200)
    thread = in_thread(lambda: slot.run_next(rows[0].model))
    until(lambda: all(row.step > 0 for row in refreshed(rows)))
    Generation.objects.get(pk=rows[1].pk).request_cancel()
    until(lambda: states(rows)[1] == State.CANCELLED)
    slot.stop_at = 0
    thread.join(30)
    assert states(rows) == [State.QUEUED, State.CANCELLED, State.QUEUED]
    assert [(row.attempt, row.worker) for row in (rows[0], rows[2])] == [(0, "")] * 2
    assert list(slot._conf.scratch_dir.iterdir()) == []


def test_what_a_dead_worker_made_together_is_run_again_alone(configure: Any, slot: Slot) -> None:
    rows = ask()
    Worker.objects.all().delete()
    assert claim() == rows
    generations.add_worker(name="other:1")
    Generation.objects.update(heartbeat_at=rows[0].created_at.replace(year=2001))
    reap(configure())
    assert states(rows) == [State.QUEUED] * 3
    run_all(slot, rows)
    assert states(rows) == [State.COMPLETED] * 3
    assert [(row.attempt, row.batch_size, row.log) for row in rows][1:] == [(2, 1, "alone")] * 2
