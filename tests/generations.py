"""Submits generations for tests of the engine, and looks at what became of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.core.files.storage import default_storage
from django.db import connections
from django.utils import timezone
from PIL.Image import Image

from videoapi.engine.submit import Idempotency, submit
from videoapi.models import APIKey, Generation, Worker
from videoapi.types import GenerationRequest


def make(
    model: str = "faulty-good",
    *,
    frames: int = 5,
    image: Image | None = None,
    clip: bytes | None = None,
    inputs: Mapping[str, Any] | None = None,
    idempotency: Idempotency | None = None,
    client: str = "",
    api_key: APIKey | None = None,
    priority: int = 0,
    n: int = 1,
    webhook_url: str = "",
    **values: Any,
) -> Generation:
    request = GenerationRequest(
        **{
            "prompt": "anything",
            "negative_prompt": "",
            "width": 64,
            "height": 48,
            "num_frames": 5,
            "fps": 5,
            "num_inference_steps": 4,
            "guidance_scale": 5.0,
            "seed": 1,
            "start_image": image,
            **values,
        }
    )
    add_worker()
    return submit(
        model,
        request,
        frames,
        [],
        clip=clip,
        inputs=inputs,
        idempotency=idempotency,
        client=client,
        api_key=api_key,
        priority=priority,
        n=n,
        webhook_url=webhook_url,
    )


def add_worker(*slots: str, name: str = "host:1") -> None:
    """A living worker; by default one slot for every model."""
    values = {"slots": [slot.split(",") for slot in slots or ("*",)], "last_seen": timezone.now()}
    Worker.objects.update_or_create(name=name, defaults=values)


def stored_files() -> list[str]:
    root = Path(default_storage.location)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
