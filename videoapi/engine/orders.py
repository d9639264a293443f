"""What an operator asks of the workers: to load or to unload a model."""

from __future__ import annotations

from typing import Literal

from django.db import transaction

from videoapi.conf import Conf
from videoapi.exceptions import NoWorker
from videoapi.models import EVERY_MODEL, Worker

Action = Literal["load", "unload"]


def order(action: Action, model: str, conf: Conf) -> int:
    """Load the model on the living worker that serves it and holds the fewest, or unload it wherever it is loaded.

    Returns how many workers were asked; each does it when a slot has no other work. Raises NoWorker.
    """
    with transaction.atomic():
        workers = [worker for worker in Worker.objects.live(conf.stale_seconds) if worker.count_slots(model)]
        if not workers:
            raise NoWorker(f"No living worker serves '{model}'.")
        if action == "load":
            workers = [min(workers, key=lambda worker: len(worker.loaded))]
        for worker in workers:
            place(worker, action, model)
    return len(workers)


def place(worker: Worker, action: Action, model: str = EVERY_MODEL) -> None:
    """Ask one worker."""
    Worker.objects.filter(pk=worker.pk).update(orders=[*worker.orders, {"action": action, "model": model}])


def take(name: str) -> list[dict[str, str]]:
    """What the worker of that name has been asked for since the last time."""
    with transaction.atomic():
        worker = Worker.objects.select_for_update().get(pk=name)
        if worker.orders:
            Worker.objects.filter(pk=name).update(orders=[])
    orders: list[dict[str, str]] = worker.orders
    return orders
