"""The settings modules, in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.server import ROOT


def check(**environment: str) -> subprocess.CompletedProcess[str]:
    base = {name: value for name, value in os.environ.items() if name not in ("SECRET_KEY", "ALLOWED_HOSTS")}
    return subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env={**base, **environment}, capture_output=True, text=True
    )


def test_production_refuses_to_start_without_key_and_hosts() -> None:
    assert "SECRET_KEY" in check(DJANGO_SETTINGS_MODULE="settings.prod").stderr
    assert "ALLOWED_HOSTS" in check(DJANGO_SETTINGS_MODULE="settings.prod", SECRET_KEY="x" * 60).stderr


def test_production_starts_with_them() -> None:
    done = check(DJANGO_SETTINGS_MODULE="settings.prod", SECRET_KEY="x" * 60, ALLOWED_HOSTS="video.example.org")
    assert done.returncode == 0, done.stderr


def test_development_needs_nothing() -> None:
    assert check(DJANGO_SETTINGS_MODULE="settings.dev").returncode == 0


def test_every_environment_variable_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "settings").glob("*.py"))
    used = set(re.findall(r'"(VIDEOAPI_[A-Z_]+|PORT|BIND|SECRET_KEY|ALLOWED_HOSTS|DATABASE_URL)"', sources))
    internal = {"VIDEOAPI_ROLE"}
    assert {name for name in used - internal if f"`{name}`" not in readme} == set()
