"""Which addresses a request may name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests import generations
from tests.webhooks.receiver import SECRET
from tests.webhooks.rows import CONF, ELSEWHERE, make_key, outcomes
from videoapi.models import Generation, WebhookDelivery, issue_key

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


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


def test_a_keys_own_address_that_cannot_be_called_costs_no_request(
    client: Client, configure: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The client has not named it, and cannot mend it."""
    configure(**{**CONF, "webhook_private": False})
    _, key = make_key("ann", webhook_url="http://10.0.0.5/")
    assert post(client, None, **{"x-api-key": key}).status_code == 202
    assert Generation.objects.get().webhook_url == ""
    assert "the events of API key 'ann' are sent nowhere: The URL is on an address" in caplog.text
