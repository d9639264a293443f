"""The workers that are, or were lately, alive."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Self

from django.db import models
from django.utils import timezone

EVERY_MODEL = "*"


def slot_name(worker: str, number: int) -> str:
    """Unique; at most 64 characters with the names that workers give themselves, for the queue's sake."""
    return f"{worker}/{number}"


class WorkerQuerySet(models.QuerySet["Worker"]):
    def live(self, seconds: float) -> Self:
        """Seen within that time."""
        return self.filter(last_seen__gte=timezone.now() - timedelta(seconds=seconds))


class Worker(models.Model):
    """A videoworker process and when it was last alive."""

    name = models.CharField(max_length=100, primary_key=True)
    slots = models.JSONField(default=list, help_text="For each slot, the models that it serves; * is every one.")
    loaded = models.JSONField(default=list, help_text="The models that its slots hold now, and their memory.")
    unavailable = models.JSONField(default=dict, help_text="The models that it serves but cannot run now, and why.")
    orders = models.JSONField(default=list, editable=False, help_text="Models to load and to unload.")
    machine = models.CharField(
        max_length=32, blank=True, help_text="Workers of one machine see each other's processes."
    )
    pid = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(auto_now_add=True)
    last_seen = models.DateTimeField()

    objects: ClassVar[models.Manager[Worker]] = WorkerQuerySet.as_manager()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def slot_names(self) -> list[str]:
        """As the queue's entries name them."""
        return [slot_name(self.name, number) for number in range(len(self.slots))]

    def count_slots(self, model: str) -> int:
        """How many of its slots serve the model."""
        return sum(1 for models in self.slots if model in models or EVERY_MODEL in models)

    def holds(self, model: str) -> bool:
        """One of its slots has the model loaded."""
        return any(each["model"] == model for each in self.loaded)
