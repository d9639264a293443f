"""Keys are made in the admin and on the command line."""

from __future__ import annotations

import re

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from videoapi.models import APIKey

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
    assert Client().get("/video", headers={"x-api-key": key}).status_code == 200
    assert key not in admin_client.get(f"/admin/videoapi/apikey/{APIKey.objects.get().pk}/change/").content.decode()


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
