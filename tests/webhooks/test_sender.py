"""What arrives at a receiver, and who can tell that it is from this server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from openai import InvalidWebhookSignatureError, OpenAI
from standardwebhooks import WebhookVerificationError

from tests import generations
from tests.generations import until
from tests.webhooks.receiver import OTHER_SECRET, SECRET, Call, Receiver
from tests.webhooks.rows import claim, make_key, outcomes
from videoapi.api.bodies import generation_body
from videoapi.engine.cancel import cancel
from videoapi.engine.slot import Slot
from videoapi.engine.webhooks import WebhookSender
from videoapi.models import APIKey, Event, WebhookDelivery
from videoapi.models import webhook as rows_module

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]

ENDS = ("video.failed", "video.cancelled")


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
    assert event["data"] == generation_body(row)
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


def test_nothing_is_sent_for_a_revoked_key(start: Callable[..., WebhookSender], receiver: Receiver) -> None:
    generations.make(api_key=make_key("ann", webhook_url=receiver.url)[0])
    APIKey.objects.update(revoked=True)
    start()
    words = "given up: the API key is revoked, or there is no secret to sign with"
    until(lambda: outcomes()["video.created"] == words)
    assert not receiver.calls
