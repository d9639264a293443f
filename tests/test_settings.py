"""The settings modules, in processes of their own."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT, Server


def check(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {name: value for name, value in os.environ.items() if name not in ("SECRET_KEY", "ALLOWED_HOSTS")}
    return subprocess.run(
        [sys.executable, "manage.py", "check", *options],
        cwd=ROOT,
        env={**base, **environment},
        capture_output=True,
        text=True,
    )


def test_production_refuses_to_start_without_key_and_hosts() -> None:
    assert "SECRET_KEY" in check(DJANGO_SETTINGS_MODULE="settings.prod").stderr
    assert "ALLOWED_HOSTS" in check(DJANGO_SETTINGS_MODULE="settings.prod", SECRET_KEY="x" * 60).stderr


def test_production_starts_with_them() -> None:
    done = check(DJANGO_SETTINGS_MODULE="settings.prod", SECRET_KEY="x" * 60, ALLOWED_HOSTS="video.example.org")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("behind_proxy", ["0", "1"])
def test_production_has_nothing_that_djangos_own_check_of_deployments_minds(behind_proxy: str) -> None:
    settings = {"SECRET_KEY": secrets.token_urlsafe(60), "ALLOWED_HOSTS": "video.example.org"}
    done = check(
        "--deploy",
        "--fail-level=WARNING",
        DJANGO_SETTINGS_MODULE="settings.prod",
        VIDEOAPI_BEHIND_PROXY=behind_proxy,
        **settings,
    )
    assert done.returncode == 0, done.stderr


def test_behind_a_proxy_http_is_sent_to_https_and_browsers_stay_there(tmp_path: Path) -> None:
    code = (
        "from django.test import Client\n"
        "client = Client(headers={'host': 'video.example.org'})\n"
        "for path, scheme in (('/admin/login/', 'http'), ('/readyz', 'http'), ('/admin/login/', 'https')):\n"
        "    answer = client.get(path, headers={'x-forwarded-proto': scheme})\n"
        "    cookie = answer.cookies.get('csrftoken')\n"
        "    safe = bool(cookie and cookie['secure'])\n"
        "    stays = 'Strict-Transport-Security' in answer.headers\n"
        "    print(answer.status_code, answer.headers.get('Location'), safe, stays)"
    )
    settings = {"SECRET_KEY": secrets.token_urlsafe(60), "ALLOWED_HOSTS": "video.example.org"}
    server = Server(tmp_path, DJANGO_SETTINGS_MODULE="settings.prod", VIDEOAPI_BEHIND_PROXY="1", **settings)
    server.manage("migrate", "--verbosity", "0")
    assert server.manage("shell", "--no-imports", "-c", code).splitlines()[:3] == [
        "301 https://video.example.org/admin/login/ False False",
        "503 None False False",
        "200 None True True",
    ]


def test_development_needs_nothing() -> None:
    assert check(DJANGO_SETTINGS_MODULE="settings.dev").returncode == 0


def test_every_environment_variable_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "settings").glob("*.py"))
    used = set(re.findall(r'"(VIDEOAPI_[A-Z_]+|PORT|BIND|SECRET_KEY|ALLOWED_HOSTS|DATABASE_URL)"', sources))
    internal = {"VIDEOAPI_ROLE"}
    assert {name for name in used - internal if f"`{name}`" not in readme} == set()
