"""Keys are made in the admin and on the command line."""

from __future__ import annotations

import re

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from standardwebhooks import Webhook

from videoapi.models import APIKey, issue_key

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


def test_a_key_is_made_in_the_admin_and_shown_once(admin_client: Client, client: Client) -> None:
    form = {
        "name": "ann",
        "may_generate": "on",
        "may_read": "on",
        **dict.fromkeys(("videos_per_minute", "max_queued", "pixel_frames_per_day"), "0"),
    }
    answer = admin_client.post("/admin/videoapi/apikey/add/", form)
    assert "no-store" in answer.headers["Cache-Control"]
    page = answer.content.decode()
    (key,) = re.findall(r"va-[\w-]{43}", page)
    assert APIKey.objects.get().webhook_secret in re.findall(r"whsec_[\w+/]{32}", page)
    assert Client().get("/video", headers={"x-api-key": key}).status_code == 200
    change = admin_client.get(f"/admin/videoapi/apikey/{APIKey.objects.get().pk}/change/").content.decode()
    assert key not in change
    assert "whsec_" not in change


def test_a_new_secret_for_webhooks_is_made_in_the_admin_and_shown_once(admin_client: Client) -> None:
    row, _ = issue_key("ann")
    data = {"action": "renew_webhook_secrets", "_selected_action": [row.pk]}
    answer = admin_client.post("/admin/videoapi/apikey/", data)
    assert "no-store" in answer.headers["Cache-Control"]
    row.refresh_from_db()
    assert re.findall(r"whsec_[\w+/]{32}", answer.content.decode()) == [row.webhook_secret]
    Webhook(row.webhook_secret)


def test_the_address_of_a_keys_webhooks_must_be_a_plain_one(admin_client: Client) -> None:
    form = dict.fromkeys(("videos_per_minute", "max_queued", "pixel_frames_per_day"), "0")
    answer = admin_client.post("/admin/videoapi/apikey/add/", {"name": "ann", "webhook_url": "ftp://a/", **form})
    assert "It is not a plain http or https address." in answer.content.decode()
    with pytest.raises(CommandError, match="webhook_url: It holds a space, a control character or a backslash"):
        call_command("createkey", "ann", "--webhook-url", "http://a b/")
    assert not APIKey.objects.exists()


@pytest.mark.parametrize("options", [["--webhook-secret"], ["--webhook-url", "https://example.org/hook"]])
def test_the_secret_of_a_keys_webhooks_is_printed_below_it(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("createkey", "ann", *options)
    key, secret = capsys.readouterr().out.splitlines()
    row = APIKey.objects.get()
    assert APIKey.objects.find(key) == row
    assert row.webhook_secret == secret
    assert row.webhook_url == "".join(options[1:])


def test_a_key_is_made_on_the_command_line(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("createkey", "ann", "--days", "1", "--per-minute", "3", "--no-read")
    key = capsys.readouterr().out.strip()
    row = APIKey.objects.get(name="ann")
    assert (row.videos_per_minute, row.may_read, row.may_generate, row.may_operate) == (3, False, True, False)
    assert row.expires_at is not None
    assert APIKey.objects.find(key) == row
    with pytest.raises(CommandError, match="name: There is a key of that name already"):
        call_command("createkey", "ann")
    for options in (["bob", "--days", "nan"], ["bob", "--days", "0"], ["bob", "--per-minute", "-1"], ["b" * 101], [""]):
        with pytest.raises(CommandError):
            call_command("createkey", *options)
    assert APIKey.objects.count() == 1
