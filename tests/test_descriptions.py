"""What is said of a model by its workers and its limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils import timezone

from videoapi.models import Worker


def test_the_workers_of_a_model_are_counted(
    faulty: None, transactional_db: None, configure: Callable[..., Any], client_of_django: Client
) -> None:
    now = timezone.now()
    held = {"loaded": [{"model": "starter", "memory_mib": 90}], "last_seen": now}
    Worker.objects.create(name="host:1", slots=[["starter"]], **held)
    Worker.objects.create(name="host:2", slots=[["*"], ["starter"]], last_seen=now)
    Worker.objects.create(name="host:3", slots=[["faulty-good"]], last_seen=now)
    for name, workers, is_loaded in (("starter", 2, True), ("faulty-good", 2, False), ("faulty-slow", 1, False)):
        about = client_of_django.get(f"/models/{name}").json()
        assert (about["workers"], about["loaded"], about["available"]) == (workers, is_loaded, True)
    Worker.objects.all().delete()
    about = client_of_django.get("/models/starter").json()
    assert (about["workers"], about["loaded"], about["available"]) == (0, False, False)
    assert about["reason"].startswith("No worker for model 'starter' is alive")


@pytest.fixture
def client_of_django() -> Client:
    return Client()


def test_a_native_size_over_the_operators_limits_is_not_shown(
    configure: Callable[..., Any], clean_catalog: None, db: None, client_of_django: Client, tmp_path: Path
) -> None:
    model = {"name": "starter", "backend": "starter", "limits": {"max_side": 140}}
    (tmp_path / "models" / "starter.yaml").write_text(yaml.safe_dump(model))
    about = client_of_django.get("/models/starter").json()
    assert about["limits"]["max_side"] == 140
    assert about["native_sizes"] == ["128x128"]
