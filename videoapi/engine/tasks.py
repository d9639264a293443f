"""The one task of the queue: run the next generation of a model. Which one that is, the rows say.

A delivery for a model that no worker can run now stays in its queue until one can.
"""

from __future__ import annotations

import hashlib
from contextvars import ContextVar
from typing import Protocol

from django.db import transaction
from django_tasks import task

from videoapi.models import Generation

QUEUE_NAME_LENGTH = 32  # django-tasks-db's column


class Runner(Protocol):
    """Who runs what the queue delivers to this thread."""

    def run_next(self, model: str) -> None: ...


current_runner: ContextVar[Runner] = ContextVar("current_runner")


@task()
def run_next(model: str) -> None:
    """Run in the slot that this thread belongs to. One delivery too many does nothing."""
    current_runner.get().run_next(model)


def deliver(model: str) -> None:
    """Announce one more generation in the model's queue."""
    run_next.using(queue_name=queue_name(model)).enqueue(model)


def requeue(generation: Generation, *, count_attempt: bool) -> bool:
    """Take a running generation back into the queue; False when it does not run in its attempt any more."""
    with transaction.atomic():
        if not generation.requeue(count_attempt=count_attempt):
            return False
        deliver(generation.model)
        return True


def queue_name(model: str) -> str:
    """The model's own queue; a long name is cut and made unique by a digest."""
    if len(model) <= QUEUE_NAME_LENGTH:
        return model
    digest = hashlib.blake2b(model.encode(), digest_size=4).hexdigest()
    return f"{model[: QUEUE_NAME_LENGTH - 9]}-{digest}"
