"""What is accepted into the queue, and what is said of how long it takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests import generations
from videoapi.engine import forecast
from videoapi.engine.submit import Idempotency
from videoapi.exceptions import IdempotencyConflict, NoWorker, TooManyRequests
from videoapi.models import Generation, State, Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]

Configure = Callable[..., Any]


def finish(model: str = "faulty-good", seconds: float = 2.0, **values: Any) -> None:
    """A completed generation that took that long to denoise and a tenth of it to decode."""
    row = generations.make(model, **values)
    mine = Generation.objects.claim(str(row.pk), "host:1/0")
    assert mine is not None
    assert mine.complete(video="x", thumbnail="y", timings={"denoising": seconds, "decoding": seconds / 10})


def test_a_full_queue_says_when_to_come_back(configure: Configure) -> None:
    configure(max_queued=3, max_queued_per_model=2)
    generations.make()
    generations.make()
    with pytest.raises(TooManyRequests, match="2 generations of model 'faulty-good' are waiting") as error:
        generations.make()
    assert error.value.retry_after == 10
    generations.make("faulty-slow")
    with pytest.raises(TooManyRequests, match="3 generations are waiting"):
        generations.make("faulty-slow")
    assert Generation.objects.count() == 3
    assert generations.stored_files() == []


def test_one_client_leaves_room_for_the_others(configure: Configure) -> None:
    configure(max_queued=10, max_queued_per_client=2)
    for _ in range(2):
        generations.make(client="greedy")
    with pytest.raises(TooManyRequests, match="2 generations of yours are waiting"):
        generations.make("faulty-slow", client="greedy")
    generations.make(client="modest")


def test_when_to_come_back_is_measured(configure: Configure) -> None:
    for _ in range(3):
        finish(seconds=20)
    configure(max_queued=1)
    generations.make()
    with pytest.raises(TooManyRequests) as error:
        generations.make()
    assert error.value.retry_after == 22


def test_without_a_living_worker_for_the_model_nothing_is_accepted(configure: Configure) -> None:
    generations.make()
    Worker.objects.update(slots=[["faulty-slow"]])
    with pytest.raises(NoWorker, match="No worker for model 'faulty-good'"):
        submit_without_worker()
    Worker.objects.update(slots=[["*"]], last_seen=timezone.now() - timedelta(minutes=5))
    with pytest.raises(NoWorker):
        submit_without_worker()
    assert Generation.objects.count() == 1


def submit_without_worker() -> None:
    workers = list(Worker.objects.values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generations, "add_worker", lambda: None)
        generations.make()
    assert list(Worker.objects.values()) == workers


def test_one_key_is_one_generation(configure: Configure) -> None:
    key = Idempotency(key="order 66", digest="a")
    first = generations.make(idempotency=key)
    assert generations.make(idempotency=key).pk == first.pk
    with pytest.raises(IdempotencyConflict):
        generations.make(idempotency=Idempotency(key="order 66", digest="b"))
    assert Generation.objects.count() == 1
    assert generations.make(idempotency=Idempotency(key="order 67", digest="a")).pk != first.pk


def test_the_forecast_comes_from_the_models_past(configure: Configure) -> None:
    waiting = generations.make()
    assert forecast.seconds_until_done(waiting, configure()) is None
    for seconds in (1.0, 10.0, 100.0):
        finish(seconds=seconds)
    finish("faulty-slow", seconds=5000.0)
    assert forecast.seconds_until_done(waiting, configure()) == pytest.approx(11)
    second = generations.make(num_inference_steps=8)
    assert forecast.queue_position(second) == 2
    assert forecast.seconds_until_done(second, configure()) == pytest.approx(22 + 22)


def test_the_forecast_of_a_running_generation_follows_its_steps(configure: Configure) -> None:
    finish(seconds=10)
    row = Generation.objects.claim(str(generations.make().pk), "host:1/0")
    assert row is not None
    expected = {("loading", 0): 11, ("denoising", 1): 8.5, ("denoising", 4): 1, ("decoding", 4): 1, ("encoding", 4): 0}
    for (phase, step), seconds in expected.items():
        row.report(phase, step, 4)
        assert forecast.seconds_until_done(row, configure()) == pytest.approx(seconds)
    assert row.percent == 99
    row.complete(video="x", thumbnail="y", timings={})
    assert (row.state, row.percent) == (State.COMPLETED, 100)
