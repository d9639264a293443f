"""The states of a generation, and the queries for them."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from datetime import timedelta
from functools import reduce
from itertools import takewhile
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

if TYPE_CHECKING:
    from videoapi.models.generation import Generation


class State(models.TextChoices):
    """OpenAI's words for a video job, and two of our own at the end."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


UNFINISHED = (State.QUEUED, State.IN_PROGRESS)


class GenerationQuerySet(models.QuerySet["Generation"]):
    def since(self, seconds: float) -> Self:
        """Accepted in the last so many seconds."""
        return self.filter(created_at__gt=timezone.now() - timedelta(seconds=seconds))

    def in_progress(self) -> Self:
        return self.filter(state=State.IN_PROGRESS)

    def unfinished(self) -> Self:
        return self.filter(state__in=UNFINISHED)

    def finished(self) -> Self:
        return self.exclude(state__in=UNFINISHED)

    def held_by(self, workers: Iterable[str]) -> Self:
        """Running in a slot of one of those workers."""
        slots = [Q(worker__startswith=f"{worker}/") for worker in workers]
        return self.filter(reduce(operator.or_, slots), state=State.IN_PROGRESS) if slots else self.none()

    def queued(self) -> Self:
        return self.filter(state=State.QUEUED)

    def there(self) -> Self:
        """For their clients, who have not deleted them."""
        return self.filter(deleted=False)

    def completed(self) -> Self:
        return self.filter(state=State.COMPLETED)

    def with_expired_files(self) -> Self:
        return self.filter(state=State.EXPIRED).exclude(video="")

    def with_inputs(self) -> Self:
        """Whose images and clip are still kept."""
        return self.exclude(start_image="", end_image="", clip="")

    def stale(self, seconds: float) -> Self:
        """Running, by a worker that has given no sign for that long."""
        limit = timezone.now() - timedelta(seconds=seconds)
        return self.filter(state=State.IN_PROGRESS, heartbeat_at__lt=limit)

    def in_order(self) -> Self:
        """As they are to be run."""
        return self.order_by("-priority", "turn", "created_at", "pk")

    def next_turn(self, model: str, client: str, priority: int) -> int:
        """The place of the client's next generation among those of the model and the priority.

        Start-time fair queueing (Goyal, Vin and Cheng, 1996) with every generation of equal length: a client's own
        come one after the other, and one who has nothing queued comes in the turn after the one that is being served.
        """
        rows = self.filter(model=model, priority=priority)
        served = rows.filter(started_at__isnull=False).order_by("-turn").values_list("turn", flat=True).first()
        # Not by an order, for which a database might walk through all the past.
        own = rows.filter(client=client, state=State.QUEUED).values_list("turn", flat=True)
        return max(served or 0, *own, 0) + 1

    def waiting(self, model: str) -> Self:
        """The model's queue, as it is to be run."""
        return self.filter(model=model, state=State.QUEUED, cancel_requested=False).in_order()

    def next_batch(self, model: str, size: int) -> list[Generation]:
        """The model's next generation, and those right behind it that can be made in the same run; at most `size`."""
        rows = list(self.waiting(model)[:size])
        key = rows[0].batch_key if rows else None
        return rows[:1] if key is None else list(takewhile(lambda row: row.batch_key == key, rows))

    def claim_batch(self, model: str, worker: str, size: int) -> list[Generation]:
        """Take the model's next batch for `worker`, each generation by itself; empty when none is queued."""
        while batch := self.next_batch(model, size):
            if rows := [row for each in batch if (row := self.claim(str(each.pk), worker))]:
                for row in rows:
                    row.record_batch(len(rows))
                return rows
        return []

    def claim_next(self, model: str, worker: str) -> Generation | None:
        """Take the model's next generation for `worker`; None when none is queued."""
        return next(iter(self.claim_batch(model, worker, 1)), None)

    def claim(self, pk: str, worker: str) -> Generation | None:
        """Take a queued generation for `worker`; None when it is not queued any more or was cancelled."""
        now = timezone.now()
        taken = self.filter(pk=pk, state=State.QUEUED, cancel_requested=False).update(
            state=State.IN_PROGRESS,
            worker=worker,
            attempt=F("attempt") + 1,
            started_at=now,
            heartbeat_at=now,
        )
        return self.get(pk=pk) if taken else None
