"""Webhooks within one process: what is told, to whom, in which order, and what happens when nobody listens."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from openai import InvalidWebhookSignatureError, OpenAI
from standardwebhooks import WebhookVerificationError

from tests import generations
from tests.generations import until
from tests.receiver import OTHER_SECRET, SECRET, Call, Receiver
from videoapi.api.bodies import job_body
from videoapi.engine import webhooks as webhooks_module
from videoapi.engine.cancel import cancel
from videoapi.engine.reaper import sweep
from videoapi.engine.slot import Slot
from videoapi.engine.tasks import requeue
from videoapi.engine.webhooks import WebhookSender
from videoapi.exceptions import ModelError
from videoapi.models import APIKey, Event, Generation, State, WebhookDelivery, issue_key
from videoapi.models import webhook as rows_module

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]

CONF = {
    "webhook_private": True,
    "webhook_secret": SECRET,
    "webhook_seconds": 1.0,
    "webhook_retries": (0.05, 0.05),
    "cancel_seconds": 0.5,
}
ENDS = ("video.failed", "video.cancelled")
ELSEWHERE = "https://example.org/hook"


@pytest.fixture(autouse=True)
def conf(configure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(webhooks_module, "POLL_SECONDS", 0.02)
    return configure(**CONF)


@pytest.fixture
def start(conf: Any) -> Iterator[Callable[..., WebhookSender]]:
    """Starts a sender, which the end of the test stops."""
    started: list[WebhookSender] = []

    def start_sender(its_conf: Any = conf, describe: Any = job_body) -> WebhookSender:
        sender = WebhookSender(its_conf, describe)
        sender.start()
        started.append(sender)
        return sender

    yield start_sender
    for sender in started:
        sender.stop()
        assert not sender.is_alive()


@pytest.fixture
def slot(conf: Any) -> Iterator[Slot]:
    made = Slot("host:1/0", conf)
    yield made
    made.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


def claim(row: Generation) -> Generation:
    claimed = Generation.objects.claim(str(row.pk), "host:1/0")
    assert claimed is not None
    return claimed


def make_key(name: str, **values: Any) -> tuple[APIKey, str]:
    """One with a secret for webhooks."""
    row, key = issue_key(name, **values)
    row.renew_webhook_secret()
    row.save()
    return row, key


def outcomes() -> dict[str, str]:
    return {row.event: row.outcome for row in WebhookDelivery.objects.all()}


def test_every_event_comes_in_order_and_both_libraries_verify_it(
    start: Callable[..., WebhookSender], receiver: Receiver, slot: Slot
) -> None:
    start()
    row = generations.make(webhook_url=f"{receiver.url}/hook?who=ann")
    until(lambda: receiver.calls)
    slot.run_next(row.model)
    until(lambda: len(receiver.types) == 2)
    assert receiver.types == ["video.created", "video.completed"]
    for call in receiver.calls:
        event = call.verify()
        assert call.path == "/hook?who=ann"
        assert call.headers["content-type"] == "application/json"
        assert call.headers["webhook-id"] == event["id"]
        assert event["data"]["id"] == str(row.pk)
        assert (event["object"], event["created_at"] > 10**9) == ("event", True)
    assert receiver.calls[0].json["data"]["status"] == "queued"
    row.refresh_from_db()
    assert event["data"] == job_body(row)
    assert event["data"]["data"] == [{"url": f"/generated-videos/{row.pk}.mp4"}]
    until(lambda: outcomes()["video.completed"] == "delivered: HTTP 204")


def test_a_message_that_was_changed_or_signed_by_another_is_refused_by_both_libraries(
    start: Callable[..., WebhookSender], receiver: Receiver
) -> None:
    start()
    generations.make(webhook_url=receiver.url)
    until(lambda: receiver.calls)
    (call,) = receiver.calls
    call.verify()
    with pytest.raises(WebhookVerificationError):
        call.verify(OTHER_SECRET)
    client = OpenAI(api_key="-", webhook_secret=SECRET)
    for body, name in ((call.body + b" ", call.headers["webhook-id"]), (call.body, "another")):
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.unwrap(body, {**call.headers, "webhook-id": name})


def test_each_keys_messages_are_signed_with_its_own_secret_and_go_where_it_says(
    start: Callable[..., WebhookSender], receiver: Receiver
) -> None:
    ann, bob = (make_key(name, webhook_url=f"{receiver.url}/{name}")[0] for name in ("ann", "bob"))
    for key in (ann, bob):
        generations.make(api_key=key)
    generations.make(api_key=ann, webhook_url=f"{receiver.url}/elsewhere")
    start()
    until(lambda: len(receiver.calls) == 3)
    by_path = {call.path: call for call in receiver.calls}
    by_path["/ann"].verify(ann.webhook_secret)
    by_path["/bob"].verify(bob.webhook_secret)
    by_path["/elsewhere"].verify(ann.webhook_secret)
    for secret in (bob.webhook_secret, SECRET):
        with pytest.raises(WebhookVerificationError):
            by_path["/ann"].verify(secret)


def test_the_address_of_a_keys_video_in_a_message_works_without_the_key(
    start: Callable[..., WebhookSender], receiver: Receiver, slot: Slot, client: Client
) -> None:
    slot.run_next(generations.make(api_key=make_key("ann", webhook_url=receiver.url)[0]).model)
    start()
    until(lambda: "video.completed" in receiver.types)
    url = receiver.calls[-1].json["data"]["data"][0]["url"]
    assert client.get(url).getvalue().startswith(b"\0\0\0")


def test_failed_and_cancelled_ones_say_why(start: Callable[..., WebhookSender], receiver: Receiver, slot: Slot) -> None:
    start()
    slot.run_next(generations.make("faulty-model-error", webhook_url=f"{receiver.url}/failed").model)
    cancel(generations.make(webhook_url=f"{receiver.url}/cancelled"))
    until(lambda: len(receiver.types) == 4)
    failed, cancelled = (
        next(call.verify() for call in receiver.calls if call.path == path and call.type in ENDS)
        for path in ("/failed", "/cancelled")
    )
    assert (failed["type"], failed["data"]["status"]) == ("video.failed", "failed")
    assert failed["data"]["error"]["code"] == "model_error"
    assert (cancelled["type"], cancelled["data"]["status"]) == ("video.cancelled", "cancelled")
    assert cancelled["data"]["error"]["message"] == "Cancelled by the client."


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
    assert len(queries) == 2
    assert not WebhookDelivery.objects.exists()


def test_of_progress_the_newest_is_told_and_not_too_often(
    start: Callable[..., WebhookSender], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "PROGRESS_INTERVAL", timedelta(seconds=0.5))
    row = claim(generations.make(webhook_url=receiver.url))
    row.report("loading", 0, 0)
    for step in range(1, 30):
        row.report("denoising", step, 100)
    assert WebhookDelivery.objects.filter(event=Event.PROGRESS).count() == 1
    start()
    until(lambda: outcomes()["video.progress"].startswith("delivered"))
    for step in range(30, 60):
        row.report("denoising", step, 100)
    until(lambda: len(progress_in(receiver)) == 2)
    first, second = progress_in(receiver)
    assert (first.json["data"]["phase"], first.json["data"]["step"]) == ("denoising", 29)
    assert second.json["data"]["progress"] == 59
    assert second.at - first.at > 0.4
    assert first.verify()["id"] != second.verify()["id"]
    until(lambda: outcomes()["video.progress"].startswith("delivered"))
    row.report("denoising", 59, 100, "only a sign of life")
    assert outcomes()["video.progress"].startswith("delivered")
    assert WebhookDelivery.objects.filter(event=Event.PROGRESS).count() == 1


def progress_in(receiver: Receiver) -> list[Call]:
    return [call for call in receiver.calls if call.type == "video.progress"]


def test_progress_that_nobody_has_heard_of_is_not_told_after_the_end() -> None:
    row = claim(generations.make(webhook_url=ELSEWHERE))
    row.report("denoising", 1, 4)
    assert "video.progress" in outcomes()
    row.complete(video="a", thumbnail="b", timings={})
    assert sorted(outcomes()) == ["video.completed", "video.created"]


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
    sender = WebhookSender(configure(**{**CONF, "webhook_retries": retries}), job_body)
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
        until(lambda: len(hanging.calls) == webhooks_module.SEATS_OF_RECEIVER)
        rows.append(generations.make(webhook_url=receiver.url))
        until(lambda: receiver.types == ["video.created"])
        assert len(hanging.calls) == webhooks_module.SEATS_OF_RECEIVER
        for row in rows:
            slot.run_next(row.model)
        until(lambda: receiver.types == ["video.created", "video.completed"])
        assert set(Generation.objects.values_list("state", flat=True)) == {"completed"}
        answers = WebhookDelivery.objects.filter(attempts__gt=0)
        until(lambda: answers.filter(answer="could not be reached").exists())
        until(lambda: answers.filter(answer="took longer than 1 seconds").exists())


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


def test_a_busy_receivers_messages_wait_and_first_attempts_come_first() -> None:
    for host in ("a", "b", "c"):
        generations.make(webhook_url=f"https://{host}.example/")
    WebhookDelivery.objects.filter(receiver="b.example").update(attempts=1, answer="HTTP 500")
    order = [WebhookDelivery.objects.claim_next(60, ("a.example",)) for _ in range(3)]
    assert [row.receiver if row else None for row in order] == ["c.example", "b.example", None]


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
        return job_body(generation)

    generations.make(webhook_url=receiver.url)
    sender = start(describe=describe)
    until(lambda: outcomes()["video.created"] == "delivered: HTTP 204")
    until(lambda: not sender._sending)
    assert len(receiver.calls) == 1


def test_nothing_is_sent_for_a_revoked_key(start: Callable[..., WebhookSender], receiver: Receiver) -> None:
    generations.make(api_key=make_key("ann", webhook_url=receiver.url)[0])
    APIKey.objects.update(revoked=True)
    start()
    words = "given up: the API key is revoked, or there is no secret to sign with"
    until(lambda: outcomes()["video.created"] == words)
    assert not receiver.calls


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


def post(client: Client, webhook_url: Any, **headers: str) -> Any:
    generations.add_worker()
    body = {"model": "faulty-good", "prompt": "anything", "webhook_url": webhook_url}
    headers = {"Prefer": "respond-async", **headers}
    return client.post("/video", body, content_type="application/json", headers=headers)


def test_the_address_in_a_request_is_where_its_events_go(client: Client) -> None:
    assert post(client, ELSEWHERE).status_code == 202
    assert Generation.objects.get().webhook_url == ELSEWHERE
    assert outcomes()["video.created"].startswith("waits; next attempt at ")
    assert post(client, None).status_code == 202
    assert WebhookDelivery.objects.count() == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "may not be blank"),
        (7, "Must be a string."),
        ("ftp://example.org/", "The URL is not a plain http or https address."),
        ("https://ann:secret@example.org/", "The URL is not a plain http or https address."),
        ("https://exa mple.org/", "The URL holds a space, a control character or a backslash."),
        ("https://example.org/" + "a" * 2048, "no more than 2048 characters"),
        ("http://127.0.0.1:22/", "The URL is on an address that this server does not call."),
        ("http://localhost/", "The URL is on an address that this server does not call."),
    ],
)
def test_an_address_that_cannot_be_called_is_a_400(
    client: Client, configure: Callable[..., Any], url: Any, words: str
) -> None:
    configure(**{**CONF, "webhook_private": False})
    answer = post(client, url)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "webhook_url")
    assert words in answer.json()["error"]["message"]
    assert not Generation.objects.exists()


def test_without_a_secret_to_sign_with_it_is_a_400_that_says_what_to_do(
    client: Client, configure: Callable[..., Any]
) -> None:
    row, key = issue_key("ann")
    message = post(client, ELSEWHERE, **{"x-api-key": key}).json()["error"]["message"]
    assert message == "This API key has no secret to sign webhooks with; the operator can make one in the admin."
    row.renew_webhook_secret()
    row.save()
    assert post(client, ELSEWHERE, **{"x-api-key": key}).status_code == 202
    configure(**{**CONF, "webhook_secret": ""}, anonymous="all")
    message = post(client, ELSEWHERE).json()["error"]["message"]
    assert message == "Webhooks are signed: without an API key they need VIDEOAPI_WEBHOOK_SECRET on the server."


def test_a_server_that_sends_none_refuses_the_field_and_ignores_the_keys(
    client: Client, configure: Callable[..., Any]
) -> None:
    configure(**CONF, webhooks=False)
    answer = post(client, ELSEWHERE)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "webhook_url")
    assert answer.json()["error"]["message"] == "This server sends no webhooks; ask for the generation instead."
    assert generations.make(api_key=make_key("ann", webhook_url=ELSEWHERE)[0]).webhook_url == ""


def test_the_secret_and_the_address_are_in_no_answer(client: Client, conf: Any) -> None:
    assert SECRET not in str(conf)
    row, key = make_key("ann", webhook_url=ELSEWHERE)
    headers = {"x-api-key": key}
    pk = post(client, None, **headers).json()["id"]
    for path in (f"/video/{pk}", "/video", "/v1/models", "/readyz"):
        text = client.get(path, headers=headers).content.decode()
        assert row.webhook_secret not in text
        assert "example.org" not in text
