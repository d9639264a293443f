"""The admin's login, and what browsers may do: tries are counted, cookies are safe, foreign pages are kept out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)

LOGIN = "/admin/login/"
ORIGIN = "https://app.example"


@pytest.fixture
def operator() -> User:
    return User.objects.create_superuser("operator", password="right")


def log_in(client: Client, password: str, **where: Any) -> int:
    return client.post(LOGIN, {"username": "operator", "password": password}, **where).status_code


def test_after_ten_wrong_passwords_the_right_one_is_not_taken_either(client: Client, operator: User) -> None:
    assert [log_in(client, "wrong") for _ in range(9)] == [200] * 9
    assert log_in(client, "wrong") == 429
    answer = client.post(LOGIN, {"username": "operator", "password": "right"})
    assert answer.status_code == 429
    assert "too many login attempts" in answer.content.decode()


def test_who_is_locked_out_is_the_address_and_not_the_operator(client: Client, operator: User) -> None:
    for _ in range(10):
        log_in(client, "wrong", REMOTE_ADDR="192.0.2.7")
    assert log_in(client, "right", REMOTE_ADDR="192.0.2.7") == 429
    assert log_in(client, "right", REMOTE_ADDR="192.0.2.8") == 302


def test_a_lock_ends(client: Client, operator: User, settings: Any) -> None:
    for _ in range(10):
        log_in(client, "wrong")
    AccessAttempt.objects.update(attempt_time=timezone.now() - settings.AXES_COOLOFF_TIME)
    assert log_in(client, "right") == 302


def test_the_right_password_clears_the_wrong_ones(client: Client, operator: User) -> None:
    for _ in range(3):
        assert [log_in(client, "wrong") for _ in range(5)] == [200] * 5
        assert log_in(client, "right") == 302


@pytest.mark.parametrize(("proxies", "statuses"), [(0, [200] * 9 + [429] * 3), (1, [200] * 12)])
def test_a_header_says_where_a_login_comes_from_only_behind_a_proxy(
    client: Client, operator: User, settings: Any, proxies: int, statuses: list[int]
) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}
    addresses = (f"192.0.2.{number}" for number in range(12))
    assert [log_in(client, "wrong", HTTP_X_FORWARDED_FOR=address) for address in addresses] == statuses


def test_a_form_of_another_site_does_nothing(operator: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    assert strict.post("/admin/videoapi/apikey/add/", {"name": "evil"}).status_code == 403
    assert strict.post(LOGIN, {"username": "operator", "password": "right"}).status_code == 403


def preflight(client: Client, path: str, origin: str = ORIGIN) -> Any:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    return client.options(path, headers={"Origin": origin, **asked}).headers


def test_without_the_setting_no_foreign_page_reads_anything(client: Client) -> None:
    assert "Access-Control-Allow-Origin" not in preflight(client, "/video")
    assert "Access-Control-Allow-Origin" not in client.get("/healthz", headers={"Origin": ORIGIN}).headers


def test_with_it_pages_of_that_origin_call_the_api_but_not_the_admin(client: Client, settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    headers = preflight(client, "/video")
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "x-api-key" in headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in headers
    answer = client.get("/healthz", headers={"Origin": ORIGIN})
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in preflight(client, LOGIN)
    assert "Access-Control-Allow-Origin" not in preflight(client, "/video", "https://evil.example")
    assert "Access-Control-Allow-Origin" not in preflight(client, "/video", "null")


@pytest.mark.parametrize(
    ("value", "everyone", "origins"), [("", False, []), ("*", True, []), (ORIGIN, False, [ORIGIN])]
)
def test_the_origins_come_from_the_environment(value: str, everyone: bool, origins: list[str], tmp_path: Path) -> None:
    code = "from django.conf import settings as s; print(s.CORS_ALLOW_ALL_ORIGINS, s.CORS_ALLOWED_ORIGINS)"
    out = Server(tmp_path, VIDEOAPI_CORS_ORIGINS=value).manage("shell", "--no-imports", "-c", code)
    assert f"{everyone} {origins}" in out.splitlines()
