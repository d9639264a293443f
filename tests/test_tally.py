"""The tallies of the models, and what `/metrics` makes of them and of the other rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import generations
from tests.test_metrics import Samples, ended, read, value
from videoapi.engine.slot import Slot
from videoapi.exceptions import ModelError
from videoapi.models import Generation, State, Tally, Worker, issue_key
from videoapi.models.tally import TallyManager

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


@pytest.fixture
def scraped(client: Client) -> Callable[[], Samples]:
    """The samples of this process."""
    return lambda: read(client.get("/metrics").content.decode())


def test_it_is_read_with_a_key_that_may_read(configure: Callable[..., Any], client: Client) -> None:
    configure(anonymous="no")
    assert client.get("/metrics").status_code == 401
    _, blind = issue_key("blind", may_read=False)
    _, key = issue_key("prometheus", may_generate=False)
    assert client.get("/metrics", headers={"x-api-key": blind}).status_code == 403
    assert client.get("/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_a_generation_is_counted_once_however_often_its_end_is_told(slot: Slot, scraped: Callable[[], Samples]) -> None:
    row = generations.make()
    slot.run_next(row.model)
    row.refresh_from_db()
    assert row.complete(video=row.video.name, thumbnail="", timings={})
    assert not row.fail(ModelError("Too late."))
    row.request_cancel()
    assert row.expire()
    assert ended(scraped(), row.model) == {"completed": 1, "failed": 0, "cancelled": 0}


def test_an_end_that_cannot_be_counted_has_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    row = generations.make()

    def fail(*arguments: object) -> None:
        raise DatabaseError

    with monkeypatch.context() as patch:
        patch.setattr(TallyManager, "record", fail)
        with pytest.raises(DatabaseError):
            row.request_cancel()
    assert Generation.objects.get().state == State.QUEUED
    Generation.objects.get().request_cancel()
    assert Tally.objects.get().outcomes == {"cancelled": 1}


def test_a_duration_on_a_bound_is_below_it_and_phases_of_a_plugin_are_others(scraped: Callable[[], Samples]) -> None:
    generations.make()
    row = Generation.objects.claim_next("faulty-good", "host:1/0")
    assert row is not None
    assert row.complete(video="a", thumbnail="", timings={"denoising": 2.5, "polishing": 4000.0, "shining": 1.0})
    samples = scraped()

    def counted(phase: str, bound: str) -> float:
        return value(samples, "videoapi_phase_seconds_bucket", model=row.model, phase=phase, le=bound)

    assert [counted("denoising", bound) for bound in ("1.0", "2.5", "5.0", "+Inf")] == [0, 1, 1, 1]
    assert [counted("other", bound) for bound in ("0.5", "1.0", "3600.0", "+Inf")] == [0, 1, 1, 2]
    assert value(samples, "videoapi_phase_seconds_sum", model=row.model, phase="other") == 4001


def test_a_model_that_is_gone_keeps_its_counts(scraped: Callable[[], Samples]) -> None:
    row = generations.make()
    Generation.objects.filter(pk=row.pk).update(model="gone")
    Generation.objects.get().request_cancel()
    assert ended(scraped(), "gone")["cancelled"] == 1


def test_two_slots_with_one_model_are_two_processes_and_a_silent_worker_is_none(scraped: Callable[[], Samples]) -> None:
    loaded = [{"slot": f"host:1/{number}", "model": "faulty-good", "memory_mib": 3} for number in range(2)]
    for name, age in (("host:1", 0), ("host:2", 600)):
        seen = timezone.now() - timedelta(seconds=age)
        Worker.objects.create(name=name, slots=[["*"], ["*"]], loaded=loaded, last_seen=seen)
    samples = scraped()
    assert value(samples, "videoapi_workers") == 1
    assert value(samples, "videoapi_model_loaded", worker="host:1", model="faulty-good") == 2
    assert value(samples, "videoapi_model_memory_bytes", worker="host:1", model="faulty-good") == 6 * 2**20
    assert not [labels for name, labels in samples if ("worker", "host:2") in labels]


def test_a_scrape_asks_the_database_the_same_however_much_has_ended(slot: Slot, client: Client) -> None:
    questions = []
    for _ in range(2):
        generations.make()
        slot.run_next("faulty-good")
        with CaptureQueriesContext(connection) as queries:
            client.get("/metrics")
        questions.append(len(queries))
    assert questions[0] == questions[1] <= 5


def test_a_method_that_a_client_made_up_is_no_series_of_its_own(scraped: Callable[[], Samples]) -> None:
    Client().generic("BREW", "/video")
    assert not [labels for _, labels in scraped() if ("method", "BREW") in labels]
