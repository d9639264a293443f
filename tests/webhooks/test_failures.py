"""Receivers that fail, hang or are away, and senders that stop or are killed: nothing is lost, nobody is held up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import OperationalError

from tests import generations
from tests.generations import until
from tests.webhooks.receiver import Receiver
from tests.webhooks.rows import CONF, claim, outcomes
from videoapi.api.bodies import generation_body
from videoapi.engine import webhooks as webhooks_module
from videoapi.engine.slot import Slot
from videoapi.engine.webhooks import WebhookSender
from videoapi.exceptions import ModelError
from videoapi.models import Event, Generation, WebhookDelivery

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


def test_progress_that_does_not_arrive_is_not_repeated(start: Callable[..., WebhookSender]) -> None:
    with Receiver(204, 500) as receiver:
        row = claim(generations.make(webhook_url=receiver.url))
        row.report("denoising", 1, 4)
        start()
        until(lambda: outcomes()["video.progress"] == "given up: HTTP 500")
    assert [call.type for call in receiver.calls] == ["video.created", "video.progress"]


def test_a_receiver_that_fails_is_called_again_with_the_same_id(start: Callable[..., WebhookSender]) -> None:
    with Receiver(500, 302, 200) as receiver:
        generations.make(webhook_url=f"{receiver.url}/")
        start()
        until(lambda: outcomes()["video.created"] == "delivered: HTTP 200")
    # A redirect is not followed.
    assert [call.path for call in receiver.calls] == ["/"] * 3
    assert len({call.verify()["id"] for call in receiver.calls}) == 1
    first, second, third = (call.at for call in receiver.calls)
    assert min(second - first, third - second) >= 0.05


def test_after_the_last_attempt_it_is_given_up(
    start: Callable[..., WebhookSender], caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver(503) as receiver:
        generations.make(webhook_url=f"{receiver.url}/?token=hidden")
        start()
        until(lambda: outcomes()["video.created"] == "given up: HTTP 503")
    assert len(receiver.calls) == 3
    assert "HTTP 503; again in 0 s" in caplog.text
    assert "HTTP 503; given up" in caplog.text
    assert "hidden" not in caplog.text


def test_the_time_between_attempts_grows_and_is_never_quite_the_same(conf: Any, configure: Callable[..., Any]) -> None:
    retries = configure(**{name: value for name, value in CONF.items() if name != "webhook_retries"}).webhook_retries
    sender = WebhookSender(configure(**{**CONF, "webhook_retries": retries}), generation_body)
    delivery = WebhookDelivery(event=Event.COMPLETED)
    delays = []
    for delivery.attempts in range(1, len(retries) + 1):
        delay = sender._retry_in(delivery, 500)
        assert delay is not None
        delays.append(delay)
    assert all(least <= delay <= 1.2 * least for least, delay in zip(retries, delays, strict=True))
    assert delays != list(retries)
    assert retries[0] == 5
    assert 3 * 86400 < sum(retries) < 4 * 86400


def test_a_receiver_that_is_gone_is_not_called_again(start: Callable[..., WebhookSender]) -> None:
    with Receiver(410) as receiver:
        generations.make(webhook_url=receiver.url)
        start()
        until(lambda: outcomes()["video.created"] == "given up: HTTP 410")
    assert len(receiver.calls) == 1


def test_a_receiver_that_is_away_or_does_not_answer_changes_nothing_and_holds_up_nobody(
    start: Callable[..., WebhookSender], receiver: Receiver, slot: Slot
) -> None:
    with socket.socket() as closed, Receiver() as hanging:
        closed.bind(("127.0.0.1", 0))
        hanging.awake.clear()
        urls = [f"http://127.0.0.1:{closed.getsockname()[1]}/", hanging.url]
        rows = [generations.make(webhook_url=url) for url in urls * 8]
        start()
        until(lambda: len(hanging.calls) == 1)
        rows.append(generations.make(webhook_url=receiver.url))
        until(lambda: receiver.types == ["video.created"])
        assert len(hanging.calls) == 1
        for row in rows:
            slot.run_next(row.model)
        until(lambda: receiver.types == ["video.created", "video.completed"])
        assert set(Generation.objects.values_list("state", flat=True)) == {"completed"}
        answers = WebhookDelivery.objects.filter(attempts__gt=0)
        until(lambda: answers.filter(answer="could not be reached").exists())
        until(lambda: answers.filter(answer="took longer than 1 seconds").exists())


def test_however_many_do_not_answer_there_is_room_for_those_that_do(
    start: Callable[..., WebhookSender], receiver: Receiver, configure: Callable[..., Any]
) -> None:
    start(configure(**{**CONF, "webhook_seconds": 30}))
    generations.make(webhook_url=receiver.url)
    until(lambda: len(receiver.calls) == 1)
    with ExitStack() as stack:
        hanging = [stack.enter_context(Receiver()) for _ in range(webhooks_module.SEATS + 1)]
        for each in hanging:
            each.awake.clear()
        for each in hanging * 2:
            generations.make(webhook_url=each.url)
        until(lambda: sum(len(each.calls) for each in hanging) == webhooks_module.SEATS_OF_SILENT)
        receiver.awake.clear()
        for _ in range(webhooks_module.SEATS_OF_RECEIVER + 1):
            generations.make(webhook_url=receiver.url)
        until(lambda: len(receiver.calls) == 1 + webhooks_module.SEATS_OF_RECEIVER)
        receiver.awake.set()
        until(lambda: len(receiver.calls) == 2 + webhooks_module.SEATS_OF_RECEIVER)
        assert max(len(each.calls) for each in hanging) == 1


def test_the_end_waits_until_the_beginning_has_been_tried(start: Callable[..., WebhookSender]) -> None:
    with Receiver(500, 204) as receiver:
        receiver.awake.clear()
        claim(generations.make(webhook_url=receiver.url)).fail(ModelError("No."))
        start()
        until(lambda: receiver.calls)
        time.sleep(0.2)
        assert receiver.types == ["video.created"]
        receiver.awake.set()
        until(lambda: len(receiver.calls) == 3)
    assert receiver.types[0] == "video.created"
    assert sorted(receiver.types) == ["video.created", "video.created", "video.failed"]


def test_an_address_that_turns_out_to_be_private_is_not_called(
    start: Callable[..., WebhookSender], configure: Callable[..., Any], connected: list[Any], resolve: Any
) -> None:
    conf = configure(**{**CONF, "webhook_private": False})
    generations.make(webhook_url="http://inside.example/")
    resolve(["10.0.0.1"])
    start(conf)
    until(lambda: outcomes()["video.created"] == "given up: is on an address that this server does not call")
    assert connected == []


def test_several_senders_deliver_each_message_once(start: Callable[..., WebhookSender], receiver: Receiver) -> None:
    for _ in range(30):
        generations.make(webhook_url=receiver.url)
    for _ in range(3):
        start()
    delivered = WebhookDelivery.objects.filter(delivered_at__isnull=False)
    until(lambda: delivered.count() == 30)
    assert len(receiver.calls) == 30
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 30


def test_what_a_killed_sender_had_taken_is_sent_by_the_next_one(
    start: Callable[..., WebhookSender], receiver: Receiver
) -> None:
    generations.make(webhook_url=receiver.url)
    taken = WebhookDelivery.objects.claim_next(0.3, ())
    assert taken is not None
    assert WebhookDelivery.objects.claim_next(0.3, ()) is None
    start()
    until(lambda: outcomes()["video.created"] == "delivered: HTTP 204")
    # The first one was not dead after all: its answer comes too late.
    taken.fail("HTTP 500", 1)
    assert outcomes()["video.created"] == "delivered: HTTP 204"


def test_a_stop_waits_for_what_is_on_its_way(start: Callable[..., WebhookSender], receiver: Receiver) -> None:
    receiver.awake.clear()
    generations.make(webhook_url=receiver.url)
    sender = start()
    until(lambda: receiver.calls)
    threading.Timer(0.3, receiver.awake.set).start()
    sender.stop()
    assert outcomes()["video.created"] == "delivered: HTTP 204"


def test_an_outage_of_the_database_is_outlived(
    start: Callable[..., WebhookSender], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = WebhookDelivery.succeed, iter([OperationalError("away")])

    def succeed(self: WebhookDelivery, answer: str) -> None:
        for error in failures:
            raise error
        real(self, answer)

    monkeypatch.setattr(WebhookDelivery, "succeed", succeed)
    generations.make(webhook_url=receiver.url)
    start()
    until(lambda: outcomes()["video.created"] == "delivered: HTTP 204")
    assert len(receiver.calls) == 1


def test_a_fault_of_ours_is_tried_again_and_costs_no_seat(
    start: Callable[..., WebhookSender], receiver: Receiver
) -> None:
    failures = iter([ValueError("first"), ValueError("second")])

    def describe(generation: Generation) -> dict[str, Any]:
        for error in failures:
            raise error
        return generation_body(generation)

    generations.make(webhook_url=receiver.url)
    sender = start(describe=describe)
    until(lambda: outcomes()["video.created"] == "delivered: HTTP 204")
    until(lambda: not sender._sending)
    assert len(receiver.calls) == 1
