"""What is to be told to a client's own address: a row for each message, written with the change that it tells of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlsplit

from django.db import models
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from videoapi.models.queryset import State
from videoapi.models.text import storable

if TYPE_CHECKING:
    from videoapi.models.generation import Generation

# Between two messages about the progress of one generation.
PROGRESS_INTERVAL = timedelta(seconds=5)
RECEIVER_LENGTH, ANSWER_LENGTH = 255, 200


class Event(models.TextChoices):
    """OpenAI's words for the two that it has, and three in their manner."""

    CREATED = "video.created"
    PROGRESS = "video.progress"
    COMPLETED = "video.completed"
    FAILED = "video.failed"
    CANCELLED = "video.cancelled"


ENDS: dict[str, Event] = {
    State.COMPLETED: Event.COMPLETED,
    State.FAILED: Event.FAILED,
    State.CANCELLED: Event.CANCELLED,
}


class WebhookDeliveryQuerySet(models.QuerySet["WebhookDelivery"]):
    def ended_before(self, moment: datetime) -> Self:
        """Delivered or given up by then."""
        return self.filter(next_attempt_at__isnull=True, attempted_at__lt=moment)

    def due(self, moment: datetime) -> Self:
        """To be sent by then. A later one of a generation waits until the earlier ones have been tried once."""
        untried = self.model.objects.filter(
            generation=OuterRef("generation"), pk__lt=OuterRef("pk"), next_attempt_at__isnull=False, answer=""
        )
        return self.filter(~Exists(untried), next_attempt_at__lte=moment)

    def add(self, generation: Generation, event: Event, at: datetime | None = None) -> None:
        """Send that about the generation, now or then. To be called in the transaction of what has happened to it."""
        self.create(
            generation=generation,
            event=event,
            receiver=urlsplit(generation.webhook_url).netloc.lower()[:RECEIVER_LENGTH],
            next_attempt_at=at or timezone.now(),
        )

    def tell(self, generation: Generation, changes: Mapping[str, Any]) -> None:
        """Send what there is to tell of changes that the object does not hold yet."""
        if end := ENDS.get(changes.get("state", "")):
            # Progress that nobody has heard of is no news any more.
            self.filter(generation=generation, event=Event.PROGRESS, attempts=0).delete()
            self.add(generation, end)
        elif any(changes.get(name, value) != value for name, value in _progress(generation).items()):
            self._tell_progress(generation)

    def _tell_progress(self, generation: Generation) -> None:
        """At most one message waits, and what it says is looked up when it is sent."""
        rows = self.filter(generation=generation, event=Event.PROGRESS)
        last = rows.order_by("-pk").first()
        at = timezone.now()
        if last is not None:
            if not last.attempts:
                return
            at = max(at, (last.attempted_at or at) + PROGRESS_INTERVAL)
        rows.filter(next_attempt_at__isnull=True).delete()
        self.add(generation, Event.PROGRESS, at)

    def claim_next(
        self, seconds: float, busy: Collection[str], only: Collection[str] | None = None
    ) -> WebhookDelivery | None:
        """Take one that is due, for so long, not for the `busy` receivers and perhaps for the `only` ones; None when
        there is none.

        First attempts come before others, so that a receiver which does not answer holds up no new message.
        """
        while True:
            now = timezone.now()
            waiting = self.due(now).exclude(receiver__in=busy).order_by("attempts", "pk")
            if only is not None:
                waiting = waiting.filter(receiver__in=only)
            first = waiting.values("pk", "attempts", "next_attempt_at").first()
            if first is None:
                return None
            until = now + timedelta(seconds=seconds)
            if not self.filter(**first).update(attempts=F("attempts") + 1, attempted_at=now, next_attempt_at=until):
                continue
            row = self.select_related("generation__api_key").defer("generation__log").get(pk=first["pk"])
            if row.event == Event.PROGRESS and row.generation.is_finished:
                # The sender that had it was killed.
                row.delete()
                continue
            return row


class WebhookDelivery(models.Model):
    """One message about a generation to its `webhook_url`. What it says is made of the generation when it is sent."""

    generation = models.ForeignKey("videoapi.Generation", models.CASCADE, related_name="webhooks")
    event = models.CharField(max_length=20, choices=Event)
    receiver = models.CharField(max_length=RECEIVER_LENGTH, help_text="Host and port.")
    created_at = models.DateTimeField(auto_now_add=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=ANSWER_LENGTH, blank=True, help_text="What became of the last attempt.")

    objects: ClassVar[models.Manager[WebhookDelivery]] = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        verbose_name_plural = "webhook deliveries"
        indexes = (models.Index(fields=("next_attempt_at", "attempted_at")),)

    def __str__(self) -> str:
        return f"{self.event} of {self.generation_id}"

    @property
    def message_id(self) -> str:
        """The same at each attempt, so that a receiver knows what it has had before."""
        return f"evt_{self.generation_id.hex}_{self.pk}"

    @property
    def outcome(self) -> str:
        """For the operator."""
        if self.delivered_at:
            return f"delivered: {self.answer}"
        if self.next_attempt_at is None:
            return f"given up: {self.answer}"
        return f"{self.answer or 'waits'}; next attempt at {self.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC"

    def succeed(self, answer: str) -> None:
        """It has arrived."""
        self._end_attempt(answer, next_attempt_at=None, delivered_at=timezone.now())

    def fail(self, answer: str, retry_in: float | None) -> None:
        """Try again in so many seconds; None gives it up."""
        at = None if retry_in is None else timezone.now() + timedelta(seconds=retry_in)
        self._end_attempt(answer, next_attempt_at=at)

    def resend(self) -> None:
        """Send it as if for the first time."""
        values = {"attempts": 0, "next_attempt_at": timezone.now(), "delivered_at": None, "answer": ""}
        type(self).objects.filter(pk=self.pk).update(**values)

    def _end_attempt(self, answer: str, **values: Any) -> None:
        """Unless another sender has taken it over, who is the one to tell."""
        mine = type(self).objects.filter(pk=self.pk, attempts=self.attempts)
        mine.update(answer=storable(answer, ANSWER_LENGTH), **values)


def _progress(generation: Generation) -> dict[str, Any]:
    return {"phase": generation.phase, "step": generation.step}
