"""A generation. Its row is the truth about its job; the queue only delivers its id."""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from typing import Any, ClassVar

from django.db import models, transaction
from django.utils import timezone

from videoapi.exceptions import Cancelled, InvalidRequest, VideoAPIError
from videoapi.models.api_key import APIKey
from videoapi.models.queryset import UNFINISHED, GenerationQuerySet, State
from videoapi.models.tally import Tally
from videoapi.models.text import storable
from videoapi.models.webhook import WebhookDelivery

DETAIL_LENGTH = 200
BY_CLIENT = "Cancelled by the client."
LOG_LENGTH = 16 * 2**10
MAX_WARNINGS, WARNING_LENGTH = 20, 300


class Generation(models.Model):
    """One request for a video, from its acceptance to its end.

    State changes are compare-and-set: a method that returns False has changed nothing, because the generation has
    been finished, taken back or given to another worker meanwhile.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model = models.CharField(max_length=200)
    client = models.CharField(max_length=100, blank=True, help_text="Whom it takes turns for.")
    api_key = models.ForeignKey(
        APIKey, models.PROTECT, null=True, blank=True, verbose_name="API key", help_text="Whose it is."
    )
    first = models.ForeignKey(
        "self",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="others",
        help_text="The one that its request is known by, where that asked for several videos and this is another.",
    )
    remixed_from = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="remixes")
    priority = models.SmallIntegerField(default=0)
    turn = models.PositiveBigIntegerField(default=0)
    prompt = models.TextField()
    parameters = models.JSONField(help_text="Every other field of the request, as resolved.")
    seed = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    num_frames = models.PositiveIntegerField()
    fps = models.PositiveIntegerField()
    warnings = models.JSONField(default=list)
    idempotency_key = models.CharField(max_length=300, null=True, unique=True, editable=False)  # noqa: DJ001  (unique)
    request_digest = models.CharField(max_length=64, blank=True, editable=False)
    start_image = models.FileField(blank=True)
    end_image = models.FileField(blank=True)
    clip = models.FileField(blank=True)
    webhook_url = models.CharField(max_length=2048, blank=True, help_text="Where its events are sent.")

    state = models.CharField(max_length=12, choices=State, default=State.QUEUED)
    phase = models.CharField(max_length=20, blank=True)
    detail = models.CharField(
        max_length=DETAIL_LENGTH, blank=True, help_text="What the model's process said last while it loads."
    )
    step = models.PositiveIntegerField(default=0)
    total_steps = models.PositiveIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    worker = models.CharField(max_length=100, blank=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    batch_size = models.PositiveSmallIntegerField(
        default=1, help_text="How many generations its last run made together."
    )

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    events = models.JSONField(default=list, help_text="Every status and phase that it has been in, oldest first.")
    timings = models.JSONField(default=dict, help_text="Seconds by phase.")

    video = models.FileField(blank=True)
    thumbnail = models.FileField(blank=True)
    file_size = models.PositiveBigIntegerField(default=0, help_text="Bytes of the video.")
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    error_field = models.CharField(max_length=40, blank=True)
    deleted = models.BooleanField(default=False, help_text="By its client, for whom it is no longer there.")
    log = models.TextField(blank=True, help_text="What the model's process printed during the job.")

    objects: ClassVar[models.Manager[Generation]] = GenerationQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(fields=("state", "heartbeat_at")),
            models.Index(fields=("model", "state", "-priority", "turn")),
            models.Index(fields=("model", "state", "-finished_at")),
            models.Index(fields=("model", "priority", "-turn")),
            models.Index(fields=("-created_at",)),
            models.Index(fields=("api_key", "-created_at")),
        )

    def __str__(self) -> str:
        return f"{self.model} {self.id} ({self.state})"

    @property
    def is_finished(self) -> bool:
        return self.state not in UNFINISHED

    @property
    def percent(self) -> int:
        """Of its denoising steps; 100 once it is completed."""
        if self.state in (State.COMPLETED, State.EXPIRED):
            return 100
        return min(99, 100 * self.step // self.total_steps) if self.total_steps else 0

    @property
    def work(self) -> int:
        """What its time is about in proportion to."""
        steps: int = self.parameters["num_inference_steps"]
        return self.width * self.height * self.num_frames * steps

    @property
    def batch_key(self) -> tuple[Any, ...] | None:
        """Those that have the same one can be made in one run; None for one that is run alone: with inputs, or after a
        run that did not end, which may have been its fault.
        """
        has_inputs = bool(self.start_image or self.end_image or self.clip)
        if has_inputs or self.attempt or self.batch_size > 1:
            return None
        parameters = {**self.parameters, "negative_prompt": bool(self.parameters["negative_prompt"])}
        return self.width, self.height, self.fps, parameters

    @property
    def seconds(self) -> float:
        """The video's duration."""
        return self.num_frames / self.fps

    def of_request(self) -> list[Generation]:
        """Every generation of its request, by seed; of one that is not its request's first, itself alone."""
        return [self, *self.others.there().order_by("seed")]

    def count_of_request(self) -> int:
        """How many its request asked for, those that have been deleted included."""
        return 1 + self.others.count()

    def all_timings(self) -> dict[str, float]:
        """Seconds of each phase, from the wait in the queue to the total."""
        timings = dict(self.timings)
        if self.started_at:
            timings = {"queued": round((self.started_at - self.created_at).total_seconds(), 4), **timings}
        if self.finished_at:
            timings["total"] = round((self.finished_at - self.created_at).total_seconds(), 4)
        return timings

    def record_batch(self, size: int) -> None:
        """It runs with so many, itself included."""
        if self.batch_size != size:
            self._change(self._mine(), batch_size=size)

    def report(self, phase: str, step: int, total_steps: int, detail: str = "") -> bool:
        """Record progress and what the model has warned of, and that the worker is alive."""
        return self._change(
            self._mine(),
            phase=storable(phase, 20),
            detail=storable(detail, DETAIL_LENGTH),
            step=step,
            total_steps=total_steps,
            warnings=self.warnings,
            heartbeat_at=timezone.now(),
        )

    def warn(self, message: str) -> None:
        """Keep a sentence of the model for the client, once; it is stored with the next report."""
        warning = storable(message, WARNING_LENGTH)
        if warning not in self.warnings and len(self.warnings) < MAX_WARNINGS:
            self.warnings = [*self.warnings, warning]

    def complete(
        self, *, video: str, thumbnail: str, timings: dict[str, float], file_size: int = 0, log: str = ""
    ) -> bool:
        """Also True when it has been completed with that video before: an answer of the database can get lost."""
        completed = self._end(
            self._mine(),
            state=State.COMPLETED,
            phase="",
            detail="",
            video=video,
            thumbnail=thumbnail,
            file_size=file_size,
            timings=timings,
            warnings=self.warnings,
            log=storable(log, LOG_LENGTH),
            finished_at=timezone.now(),
        )
        return completed or type(self).objects.filter(pk=self.pk, state=State.COMPLETED, video=video).exists()

    def fail(self, error: VideoAPIError, log: str = "") -> bool:
        """End with an error; one that is Cancelled ends it as cancelled."""
        return self._end(self._mine(), log=storable(log, LOG_LENGTH), **_ending(error))

    def expire(self) -> bool:
        """A completed one is no longer served. Its files are still named: `forget_results` says that they are gone."""
        return self._change(type(self).objects.filter(pk=self.pk, state=State.COMPLETED), state=State.EXPIRED)

    def hide(self) -> None:
        """Its client has deleted it: the row stays for the operator, and for the limits of its key."""
        self._change(type(self).objects.filter(pk=self.pk), deleted=True, idempotency_key=None)

    def forget_results(self) -> None:
        """The video and the thumbnail are deleted."""
        self._change(type(self).objects.filter(pk=self.pk), video="", thumbnail="")

    def requeue(self, *, count_attempt: bool) -> bool:
        """Back to the queue, from a worker that stops (its attempt does not count) or has died (it does).

        One that was to be cancelled is cancelled instead, and the answer is False.
        """
        requeued = self._change(
            self._mine().filter(cancel_requested=False),
            state=State.QUEUED,
            worker="",
            phase="",
            detail="",
            step=0,
            attempt=self.attempt if count_attempt else self.attempt - 1,
        )
        if not requeued:
            self._end(self._mine().filter(cancel_requested=True), **_ending(Cancelled(BY_CLIENT)))
        return requeued

    def forget_inputs(self) -> None:
        """The images and the clip that came with the request are deleted."""
        if self.start_image or self.end_image or self.clip:
            self._change(type(self).objects.filter(pk=self.pk), start_image="", end_image="", clip="")

    def request_cancel(self) -> None:
        """Cancel at once while queued, at its next step while running; what has ended stays as it is."""
        row = type(self).objects.filter(pk=self.pk)
        # Twice, for it may go back to the queue between the two.
        for _ in range(2):
            if self._end(row.filter(state=State.QUEUED), cancel_requested=True, **_ending(Cancelled(BY_CLIENT))):
                return
            if self._change(row.filter(state=State.IN_PROGRESS), cancel_requested=True):
                return

    def _mine(self) -> models.QuerySet[Generation]:
        """This row while it still runs in this attempt of this worker."""
        return type(self).objects.filter(pk=self.pk, state=State.IN_PROGRESS, worker=self.worker, attempt=self.attempt)

    def log_event(self, state: str, phase: str) -> list[dict[str, Any]]:
        """The events with one more, unless the last one says the same."""
        events: list[dict[str, Any]] = self.events
        last = events[-1] if events else {}
        if (last.get("status"), last.get("phase")) == (state, phase or None):
            return events
        event = {"status": state, "phase": phase or None, "attempt": self.attempt, "at": timezone.now().isoformat()}
        return [*events, event]

    def _end(self, rows: models.QuerySet[Generation], **values: Any) -> bool:
        """A change to the end, and counted with it: both or neither."""
        with transaction.atomic():
            ended = self._change(rows, **values)
            if ended:
                Tally.objects.record(self)
        return ended

    def _change(self, rows: models.QuerySet[Generation], **values: Any) -> bool:
        if "state" in values or "phase" in values:
            values["events"] = self.log_event(values.get("state", self.state), values.get("phase", self.phase))
        # What is told of a change is in the database if and only if the change is.
        with transaction.atomic() if self.webhook_url else nullcontext():
            if not rows.update(**values):
                return False
            if self.webhook_url:
                WebhookDelivery.objects.tell(self, values)
        for name, value in values.items():
            setattr(self, name, value)
        return True


def _ending(error: VideoAPIError) -> dict[str, Any]:
    """What a row holds when it ends with that error."""
    return {
        "state": State.CANCELLED if isinstance(error, Cancelled) else State.FAILED,
        "error_code": storable(error.code, 40),
        "error_message": storable(error.message, 4000),
        "error_field": storable(error.field, 40) if isinstance(error, InvalidRequest) else "",
        "phase": "",
        "detail": "",
        "finished_at": timezone.now(),
    }
