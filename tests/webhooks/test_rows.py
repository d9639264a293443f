"""What is written for a receiver, with which change of a generation, and in which order it is taken."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import generations
from tests.webhooks.rows import ELSEWHERE, claim, outcomes
from videoapi.engine.reaper import sweep
from videoapi.engine.tasks import requeue
from videoapi.exceptions import ModelError
from videoapi.models import Generation, State, WebhookDelivery
from videoapi.models import webhook as rows_module

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


def test_a_running_one_that_is_cancelled_is_told_of_when_it_ends() -> None:
    row = claim(generations.make(webhook_url=ELSEWHERE))
    row.request_cancel()
    assert "video.cancelled" not in outcomes()
    assert not requeue(row, count_attempt=True)
    assert "video.cancelled" in outcomes()


def test_what_is_told_is_written_with_the_change_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    row = claim(generations.make(webhook_url=ELSEWHERE))

    def fail(*args: Any, **values: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(rows_module.WebhookDeliveryQuerySet, "create", fail)
    with pytest.raises(OperationalError):
        row.fail(ModelError("No."))
    assert row.state == State.IN_PROGRESS
    row.refresh_from_db()
    assert row.state == State.IN_PROGRESS
    with pytest.raises(OperationalError):
        generations.make(webhook_url=ELSEWHERE)
    assert Generation.objects.count() == 1


def test_a_change_that_comes_too_late_tells_nothing() -> None:
    row = claim(generations.make(webhook_url=ELSEWHERE))
    late = Generation.objects.get(pk=row.pk)
    assert row.fail(ModelError("No."))
    assert not late.complete(video="a", thumbnail="b", timings={})
    assert not late.report("denoising", 1, 4)
    assert sorted(outcomes()) == ["video.created", "video.failed"]


def test_what_expires_is_not_told() -> None:
    row = claim(generations.make(webhook_url=ELSEWHERE))
    row.complete(video="a", thumbnail="b", timings={})
    assert row.expire()
    assert sorted(outcomes()) == ["video.completed", "video.created"]


def test_a_generation_without_an_address_costs_no_query_more() -> None:
    row = claim(generations.make())
    with CaptureQueriesContext(connection) as queries:
        row.report("denoising", 1, 4)
        row.complete(video="a", thumbnail="b", timings={})
    tally = ["SELECT", "SAVEPOINT", "INSERT", "RELEASE", "UPDATE"]
    assert [query["sql"].split()[0] for query in queries] == ["UPDATE", "BEGIN", "UPDATE", *tally, "COMMIT"]
    assert not WebhookDelivery.objects.exists()


def test_progress_that_nobody_has_heard_of_is_not_told_after_the_end() -> None:
    row = claim(generations.make(webhook_url=ELSEWHERE))
    row.report("denoising", 1, 4)
    assert "video.progress" in outcomes()
    row.complete(video="a", thumbnail="b", timings={})
    assert sorted(outcomes()) == ["video.completed", "video.created"]


def test_progress_whose_sender_was_killed_is_not_told_after_the_end() -> None:
    row = claim(generations.make(webhook_url=ELSEWHERE))
    WebhookDelivery.objects.all().delete()
    row.report("denoising", 1, 4)
    assert WebhookDelivery.objects.claim_next(0, ()) is not None
    row.complete(video="a", thumbnail="b", timings={})
    assert sorted(outcomes()) == ["video.completed", "video.progress"]
    taken = WebhookDelivery.objects.claim_next(60, ())
    assert taken is not None
    assert taken.event == "video.completed"
    assert sorted(outcomes()) == ["video.completed"]


def test_a_busy_receivers_messages_wait_and_first_attempts_come_first() -> None:
    for host in ("a", "b", "c"):
        generations.make(webhook_url=f"https://{host}.example/")
    WebhookDelivery.objects.filter(receiver="b.example").update(attempts=1, answer="HTTP 500")
    order = [WebhookDelivery.objects.claim_next(60, ("a.example",)) for _ in range(3)]
    assert [row.receiver if row else None for row in order] == ["c.example", "b.example", None]


def test_old_ones_are_cleared_up(conf: Any) -> None:
    for _ in range(3):
        generations.make(webhook_url=ELSEWHERE)
    old = timezone.now() - timedelta(days=31)
    waiting, ended, fresh = WebhookDelivery.objects.order_by("pk")
    WebhookDelivery.objects.filter(pk=waiting.pk).update(attempted_at=old)
    WebhookDelivery.objects.filter(pk=ended.pk).update(attempted_at=old, next_attempt_at=None)
    WebhookDelivery.objects.filter(pk=fresh.pk).update(attempted_at=timezone.now(), next_attempt_at=None)
    sweep(conf)
    assert list(WebhookDelivery.objects.order_by("pk")) == [waiting, fresh]
