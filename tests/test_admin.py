"""The admin, looked at through Django's client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import generations
from tests.webhooks.receiver import SECRET
from videoapi.engine.housekeeping import HouseKeeping
from videoapi.engine.slot import Slot
from videoapi.exceptions import ModelError
from videoapi.models import Generation, State, WebhookDelivery, Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


@pytest.fixture(autouse=True)
def files(configure: Callable[..., Any]) -> None:
    """Media of the test's own."""


def page(admin_client: Client, path: str) -> str:
    response = admin_client.get(f"/admin/videoapi/{path}")
    assert response.status_code == 200
    return response.content.decode()


def test_the_list_shows_state_prompt_and_progress(admin_client: Client) -> None:
    generations.make(prompt="<script>alert(1)</script> " + "long " * 40)
    row = Generation.objects.claim(str(Generation.objects.get().pk), "host:1/0")
    assert row is not None
    row.report("loading", 0, 0, "shards: 40 % <of 3>")
    assert "loading: shards: 40 % &lt;of 3&gt;" in page(admin_client, "generation/")
    row.report("denoising", 3, 12)
    html = page(admin_client, "generation/")
    assert "In Progress" in html
    assert '<span data-live><progress max="12" value="3"></progress> denoising 3 of 12</span>' in html
    assert "<script>alert(1)" not in html
    assert "…" in html


def test_a_failed_generation_shows_why(admin_client: Client) -> None:
    pk = generations.make().pk
    row = Generation.objects.claim(str(pk), "host:1/0")
    assert row is not None
    row.fail(ModelError("The numbers do not add up."))
    html = page(admin_client, f"generation/{pk}/change/")
    assert "model_error: The numbers do not add up." in html
    assert "<video" not in html


def test_what_a_model_printed_is_shown_with_its_generation_and_read_for_that_alone(
    admin_client: Client, slot: Slot
) -> None:
    spoke, silent = generations.make("faulty-parrot", prompt="<b>bold</b>"), generations.make("faulty-good")
    for row in (spoke, silent):
        slot.run_next(row.model)
    html = page(admin_client, f"generation/{spoke.pk}/change/")
    assert "the parrot wakes up\n&lt;b&gt;bold&lt;/b&gt; in C</pre>" in html
    assert "<pre" not in page(admin_client, f"generation/{silent.pk}/change/")
    with CaptureQueriesContext(connection) as queries:
        assert "the parrot" not in page(admin_client, "generation/")
        assert len(admin_client.get("/video").json()["data"]) == 2
    read = [query["sql"] for query in queries if 'FROM "videoapi_generation"' in query["sql"]]
    assert read
    assert not [sql for sql in read if '"log"' in sql]


def test_a_completed_generation_shows_player_parameters_and_timings(admin_client: Client) -> None:
    pk = generations.make(seed=4711, clip=b"mp4", inputs={"input_reference": {"bytes": 3}}).pk
    row = Generation.objects.claim(str(pk), "host:1/0")
    assert row is not None
    row.complete(video="videos/x.mp4", thumbnail="thumbnails/x.jpg", timings={"denoising": 1.25})
    html = page(admin_client, f"generation/{pk}/change/")
    assert f'<video src="/generated-videos/{pk}.mp4" controls' in html
    assert "<th>seed</th><td>4711</td>" in html
    assert "<th>inputs</th><td>{&quot;input_reference&quot;: {&quot;bytes&quot;: 3}}</td>" in html
    assert "<th>denoising</th><td>1.25</td>" in html
    assert f'src="/thumbnails/{pk}.jpg"' in page(admin_client, "generation/")


def test_the_front_page_shows_plugins_models_and_what_to_mend(admin_client: Client) -> None:
    html = admin_client.get("/admin/").content.decode()
    assert "videoapi-starter 0.1.0" in html
    assert "<strong>starter</strong>, video-model:" in html
    assert "does not load: ImportError: no module named" in html
    assert "pip install --force-reinstall videoapi-broken" in html
    assert "videoapi-starter" not in admin_client.get("/admin/videoapi/").content.decode()


def test_the_selected_are_cancelled_at_once_or_at_their_next_step(admin_client: Client) -> None:
    queued, running = generations.make(), generations.make()
    assert Generation.objects.claim(str(running.pk), "host:1/0")
    data = {"action": "cancel_selected", "_selected_action": [queued.pk, running.pk]}
    response = admin_client.post("/admin/videoapi/generation/", data, follow=True)
    assert "2 asked for; 1 still run, until their next step." in response.content.decode()
    queued.refresh_from_db()
    running.refresh_from_db()
    assert (queued.state, running.state, running.cancel_requested) == (State.CANCELLED, State.IN_PROGRESS, True)


def test_webhooks_are_listed_with_their_generation_and_sent_again(
    admin_client: Client, configure: Callable[..., Any]
) -> None:
    configure(webhook_secret=SECRET)
    row = generations.make(webhook_url="https://example.org/hook")
    assert "waits; next attempt at 2" in page(admin_client, f"generation/{row.pk}/change/")
    delivery = WebhookDelivery.objects.get()
    WebhookDelivery.objects.update(attempts=10, answer="HTTP <500>", next_attempt_at=None)
    html = page(admin_client, f"generation/{row.pk}/change/")
    assert "https://example.org/hook" in html
    assert f'webhookdelivery/{delivery.pk}/change/">video.created</a></td><td>10</td><td>given up: HTTP &lt;500' in html
    assert "given up: HTTP" in page(admin_client, f"webhookdelivery/{delivery.pk}/change/")
    with CaptureQueriesContext(connection) as queries:
        assert "given up: HTTP" in page(admin_client, "webhookdelivery/")
    assert not [query["sql"] for query in queries if '"log"' in query["sql"]]
    data = {"action": "send_again", "_selected_action": [delivery.pk]}
    response = admin_client.post("/admin/videoapi/webhookdelivery/", data, follow=True)
    assert "1 will be sent now." in response.content.decode()
    claimed = WebhookDelivery.objects.claim_next(60, ())
    assert claimed is not None
    assert (claimed.attempts, claimed.message_id) == (1, delivery.message_id)
    claimed.succeed("HTTP 204")
    assert "delivered: HTTP 204" in page(admin_client, f"generation/{row.pk}/change/")
    assert "Webhooks</h2>" not in page(admin_client, f"generation/{generations.make().pk}/change/")


def test_nothing_can_be_added_changed_or_deleted(admin_client: Client) -> None:
    pk = generations.make().pk
    for path in ("generation/add/", f"generation/{pk}/delete/", "worker/add/"):
        assert admin_client.get(f"/admin/videoapi/{path}").status_code == 403
    assert admin_client.post(f"/admin/videoapi/generation/{pk}/change/", {"prompt": "x"}).status_code == 403


def test_workers_are_listed(admin_client: Client) -> None:
    loaded = [{"slot": "host:42/0", "model": "wan", "memory_mib": 4711}]
    Worker.objects.create(name="host:42", slots=[["*"]], loaded=loaded, last_seen=timezone.now())
    html = page(admin_client, "worker/")
    assert "host:42" in html
    assert "wan (4711 MiB)" in html
    assert "wan (4711 MiB)" in page(admin_client, "worker/host_3A42/change/")


def test_the_models_of_a_worker_are_unloaded_on_request(admin_client: Client, slot: Slot) -> None:
    slot.run_next(generations.make().model)
    house = HouseKeeping("host:1", [slot], slot._conf)
    house.run()
    assert "faulty-good (" in page(admin_client, "worker/")
    data = {"action": "unload_models", "_selected_action": ["host:1"]}
    assert admin_client.post("/admin/videoapi/worker/", data).status_code == 302
    house.run()
    slot.rest()
    house.run()
    assert "faulty-good (" not in page(admin_client, "worker/")
    assert Worker.objects.get(pk="host:1").orders == []


def test_a_stranger_must_log_in(client: Client) -> None:
    response = client.get("/admin/videoapi/generation/")
    assert (response.status_code, response["Location"].split("?")[0]) == (302, "/admin/login/")
