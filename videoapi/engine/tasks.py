"""The one task of the queue. The queue carries a generation's id; the row says everything else."""

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

    def run(self, generation_id: str) -> None: ...


current_runner: ContextVar[Runner] = ContextVar("current_runner")


@task()
def run_generation(generation_id: str) -> None:
    """Run in the slot that this thread belongs to. A second delivery of one id does nothing."""
    current_runner.get().run(generation_id)


def deliver(generation: Generation) -> None:
    """Put the generation's id into its model's queue."""
    run_generation.using(queue_name=queue_name(generation.model)).enqueue(str(generation.pk))


def requeue(generation: Generation, *, count_attempt: bool) -> bool:
    """Take a running generation back into the queue; False when it does not run in its attempt any more."""
    with transaction.atomic():
        if not generation.requeue(count_attempt=count_attempt):
            return False
        deliver(generation)
        return True


def queue_name(model: str) -> str:
    """The model's own queue; a long name is cut and made unique by a digest."""
    if len(model) <= QUEUE_NAME_LENGTH:
        return model
    digest = hashlib.blake2b(model.encode(), digest_size=4).hexdigest()
    return f"{model[: QUEUE_NAME_LENGTH - 9]}-{digest}"
