"""Requests of one shape that wait anyway are made in one run: what joins, in which order, and what becomes of each."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from PIL import Image

from tests import generations
from tests.distributions import write_together
from tests.generations import in_thread, stored_files, until
from tests.server import Server
from tests.videos import read
from videoapi import ConfigurationError, Limits
from videoapi.engine import slot as slot_module
from videoapi.engine.forecast import past_seconds, seconds_left
from videoapi.engine.reaper import reap, sweep
from videoapi.engine.registry import get_catalog
from videoapi.engine.slot import Slot
from videoapi.engine.storage import preview_name
from videoapi.exceptions import StorageFailed
from videoapi.models import Generation, State, Worker

pytestmark = pytest.mark.django_db(transaction=True)

SEEDS = (60, 120, 180)


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the backend `together`."""
    folder = tmp_path_factory.mktemp("together")
    write_together(folder)
    return folder


@pytest.fixture(autouse=True)
def together(plugins: Path, clean_catalog: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The backend in this process and in model processes."""
    monkeypatch.syspath_prepend(str(plugins))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")]))
    yield
    sys.modules.pop("together", None)


def ask(kind: str = "good", seeds: tuple[int, ...] = SEEDS, **values: Any) -> list[Generation]:
    return [generations.make(f"together-{kind}", seed=seed, **values) for seed in seeds]


def claim(size: int = 8, model: str = "together-good") -> list[Generation]:
    return Generation.objects.claim_batch(model, "host:1/0", size)


def refreshed(rows: list[Generation]) -> list[Generation]:
    for row in rows:
        row.refresh_from_db()
    return rows


def states(rows: list[Generation]) -> list[str]:
    return [row.state for row in refreshed(rows)]


def grey(row: Generation) -> int:
    """Of the video, whose seed it is."""
    return round(float(read(Path(row.video.path).read_bytes()).frames.mean()))


def greys(rows: list[Generation]) -> list[int]:
    return [grey(row) for row in refreshed(rows)]


def run_all(slot: Slot, rows: list[Generation]) -> None:
    for _ in rows:
        slot.run_next(rows[0].model)


def test_those_right_behind_the_next_one_join_it_up_to_the_size(configure: Any) -> None:
    rows = ask(seeds=(1, 2, 3, 4, 5))
    first, second = claim(3), claim(3)
    assert (first, second, claim(3)) == (rows[:3], rows[3:], [])
    assert [row.batch_size for row in refreshed(rows)] == [3, 3, 3, 2, 2]
    assert {(row.state, row.worker, row.attempt) for row in rows} == {(State.IN_PROGRESS, "host:1/0", 1)}


@pytest.mark.parametrize(
    "change",
    [
        {"width": 80},
        {"height": 64},
        {"num_frames": 9, "frames": 9},
        {"fps": 6},
        {"num_inference_steps": 5},
        {"guidance_scale": 1.0},
        {"negative_prompt": "blurred"},
        {"params": {"sampler": "heun"}},
        {"image": Image.new("RGB", (64, 48), "red")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_shape_does_not_join_and_nobody_passes_it_by(configure: Any, change: dict[str, Any]) -> None:
    first, (other,), last = ask(seeds=(1,)), ask(seeds=(2,), **change), ask(seeds=(3,))
    assert [claim() for _ in range(3)] == [first, [other], last]


def test_prompt_seed_client_and_trimmed_frames_may_differ(configure: Any) -> None:
    rows = [
        *ask(seeds=(1,), prompt="a", client="one", negative_prompt="x"),
        *ask(seeds=(2,), prompt="b", client="two", negative_prompt="y", frames=4),
    ]
    assert claim() == rows


def test_images_are_run_alone(configure: Any) -> None:
    rows = ask(image=Image.new("RGB", (64, 48), "red"))
    assert [claim() for _ in rows] == [[row] for row in rows]


def test_turns_and_priority_are_the_same_with_batches_as_without(configure: Any) -> None:
    def fill() -> None:
        Generation.objects.all().delete()
        for client, count, priority in (("greedy", 4, 0), ("second", 2, 0), ("third", 1, 5), ("second", 1, -1)):
            for _ in range(count):
                generations.make("together-good", client=client, priority=priority)

    orders = []
    for size in (1, 2, 3, 8):
        fill()
        order: list[tuple[str, int]] = []
        while batch := claim(size):
            order += [(row.client, row.priority) for row in batch]
        orders.append(order)
    assert len(orders[0]) == 8
    assert orders[1:] == orders[:1] * 3


def test_many_workers_at_once_take_each_generation_once(configure: Any) -> None:
    rows, taken = ask(seeds=tuple(range(12))), list[Generation]()
    threads = [
        in_thread(lambda i=i: taken.extend(Generation.objects.claim_batch("together-good", f"w{i}/0", 3)))  # type: ignore[misc]
        for i in range(6)
    ]
    for thread in threads:
        thread.join()
    while batch := claim():
        taken += batch
    assert sorted(row.seed for row in taken) == [row.seed for row in rows]


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


def test_a_free_slot_waits_for_others_as_long_as_the_model_says_and_no_longer_than_they_fill_a_run(slot: Slot) -> None:
    rows = ask("waiting", seeds=SEEDS[:1])
    thread = in_thread(lambda: slot.run_next("together-waiting"))
    rows += ask("waiting", seeds=SEEDS[1:2])
    time.sleep(0.5)
    assert states(rows) == [State.QUEUED] * 2
    rows += ask("waiting", seeds=SEEDS[2:])
    thread.join(30)
    assert states(rows) == [State.COMPLETED] * 3
    assert rows[0].batch_size == 3


def test_the_wait_ends_for_one_that_nobody_joins(slot: Slot) -> None:
    rows = ask("brief", seeds=SEEDS[:1])
    slot.run_next("together-brief")
    assert states(rows) == [State.COMPLETED]
    assert rows[0].all_timings()["queued"] >= 0.5


@pytest.mark.parametrize("end", ["another shape", "an image", "a cancel", "a stop"])
def test_the_wait_is_over_when_nothing_can_come_of_it(slot: Slot, end: str) -> None:
    image = {"image": Image.new("RGB", (64, 48), "red")} if end == "an image" else {}
    rows = ask("waiting", seeds=SEEDS[:1], **image)
    thread = in_thread(lambda: slot.run_next("together-waiting"))
    if end == "another shape":
        ask("waiting", seeds=(1,), width=80)
    elif end == "a cancel":
        Generation.objects.get(pk=rows[0].pk).request_cancel()
    elif end == "a stop":
        slot.stop_at = time.monotonic() + 60
    thread.join(30)
    assert not thread.is_alive()
    assert states(rows) == [State.CANCELLED if end == "a cancel" else State.COMPLETED]


def test_a_model_that_cannot_make_several_does_not_load_with_the_reason(slot: Slot) -> None:
    rows = ask("incapable", seeds=SEEDS[:1])
    slot.run_next(rows[0].model)
    assert states(rows) == [State.FAILED]
    assert rows[0].error_message == "'limits.max_batch_size' is 2, but this model makes one video at a time."


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_batch_size": 0}, "limits.max_batch_size must be at least 1, not 0."),
        ({"max_batch_wait": -1.0}, "limits.max_batch_wait must be at least 0, not -1.0."),
    ],
)
def test_limits_that_mean_nothing_are_refused(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        Limits(**limits)
    assert error.value.message == message


def test_a_model_file_says_how_many(configure: Callable[..., Any], tmp_path: Path) -> None:
    text = "name: together-single\nbackend: together\nlimits: {max_batch_size: 4, max_batch_wait: 1}\n"
    (tmp_path / "models" / "single.yaml").write_text(text)
    get_catalog.cache_clear()
    limits = get_catalog().find("together-single").spec.limits
    assert (limits.max_batch_size, limits.max_batch_wait) == (4, 1.0)
    assert get_catalog().problems == []


def test_each_of_a_run_counts_with_its_share_in_a_forecast(configure: Any) -> None:
    rows = ask()
    for row in claim():
        assert row.complete(video="v", thumbnail="t", timings={"denoising": 30.0})
    past = past_seconds("together-good", rows[0].work)
    assert past is not None
    assert sum(past.values()) == pytest.approx(10.0)
    ask()
    running = claim()
    assert seconds_left(running[0]) == pytest.approx(30.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, plugins: Path) -> Iterator[Server]:
    """A real server with the models that make several videos in one run."""
    with Server(tmp_path_factory.mktemp("server"), plugins, VIDEOAPI_PRELOAD="together-slow") as server:
        yield server


def post(server: Server, **values: Any) -> str:
    """The address of a request that nobody waits for."""
    body = {"model": "together-slow", "prompt": "anything", **values}
    path: str = server.post(body, Prefer="respond-async").headers["Location"]
    return path


def post_batch(server: Server, step: int) -> list[str]:
    """Three that wait while another one runs, and then run together."""
    first = post(server, seed=30, step=20, width=80)
    server.wait_until(lambda: server.get(first).json["status"] == "in_progress", "the first one to run")
    paths = [post(server, seed=seed, step=step) for seed in SEEDS]
    server.wait_until(lambda: all(server.get(path).json["step"] > 0 for path in paths), "the batch to run")
    return paths


def seeds_of(server: Server, paths: list[str]) -> list[int]:
    """What the videos show."""
    made = [server.wait_for(path, "completed", "failed") for path in paths]
    assert [each["status"] for each in made] == ["completed"] * 3, made
    return [round(float(read(server.get(each["data"][0]["url"]).body).frames.mean())) for each in made]


def pids(server: Server, role: str) -> list[int]:
    return [pid for pid, command in sorted(server.processes()) if role in command]


def test_through_the_server_those_that_wait_are_made_together(server: Server) -> None:
    paths = post_batch(server, step=40)
    steps = [server.get(path).json for path in paths]
    assert {(each["phase"], each["total_steps"]) for each in steps} == {("denoising", 40)}
    assert server.delete(paths[1]).json["status"] in ("in_progress", "cancelled")
    server.wait_for(paths[1], "cancelled")
    assert {server.get(path).json["status"] for path in (paths[0], paths[2])} == {"in_progress"}
    made = [server.wait_for(path, "completed") for path in (paths[0], paths[2])]
    assert [each["seed"] for each in made] == [60, 180]
    assert "3 together" in server.log


@pytest.mark.parametrize("role", ["videoapi.engine.model_process", "videoworker"])
def test_through_the_server_a_kill_in_the_middle_of_a_batch_loses_nobody(server: Server, role: str) -> None:
    paths = post_batch(server, step=60)
    os.kill(pids(server, role)[0], signal.SIGKILL)
    assert seeds_of(server, paths) == pytest.approx(SEEDS, abs=2)
    assert sorted(name for name in server.files() if name.startswith("scratch/")) == []
