"""What joins a run, in which order, and how long it is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import generations
from tests.batching.rows import SEEDS, ask, claim, refreshed, states
from tests.generations import in_thread
from videoapi import ConfigurationError, Limits
from videoapi.engine.forecast import History
from videoapi.engine.registry import get_catalog
from videoapi.engine.slot import Slot
from videoapi.models import Generation, State

pytestmark = pytest.mark.django_db(transaction=True)


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
    past = History("together-good").seconds(rows[0].work)
    assert past is not None
    assert sum(past.values()) == pytest.approx(10.0)
    ask()
    running = claim()
    assert History("together-good").seconds_left(running[0]) == pytest.approx(30.0)
