"""What a worker does while a model's process works for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import Error as DatabaseFailure
from django.db import close_old_connections

from videoapi.engine.process import PREVIEW, Message
from videoapi.engine.storage import store_preview
from videoapi.exceptions import Cancelled
from videoapi.models import BY_CLIENT, Generation

if TYPE_CHECKING:
    from videoapi.engine.slot import Slot

logger = logging.getLogger(__name__)

REPORT_SECONDS = 0.5  # between two writes of progress


class HandedBack(Exception):
    """The worker stops before the generation is finished; another one runs it."""


class Monitor:
    """Listens to the model process for the generations of one run: writes progress and heartbeats, reads the wish to
    cancel.
    """

    def __init__(self, generations: Sequence[Generation], slot: Slot) -> None:
        """`generations` are in the order of the job."""
        self._generations = generations
        self._wanted = list(generations)
        self._slot = slot
        self._phase, self._step, self._total = "", 0, 0
        self._written = 0.0

    def wants(self, generation: Generation) -> bool:
        """Nobody has cancelled it or taken it away."""
        return generation in self._wanted

    def enter(self, phase: str) -> None:
        """Record the phase."""
        self._phase = phase
        self._write()

    def __call__(self, message: Message | None) -> bool:
        """True when nobody wants the run any more. Raises HandedBack when the worker must stop now."""
        if message is not None:
            self._hear(message)
        now = time.monotonic()
        if now - self._written >= REPORT_SECONDS:
            self._write()
        if now > self._slot.stop_at:
            raise HandedBack
        return not self._wanted

    def _hear(self, message: Message) -> None:
        if message["kind"] == "phase":
            self._phase = message["phase"]
        elif message["kind"] == "step":
            self._step, self._total = message["done"], message["total"]
        elif message["kind"] == "preview":
            generation = self._generations[message["index"]]
            if self.wants(generation):
                store_preview(generation, self._slot.folder(generation) / PREVIEW)
        elif message["kind"] == "warning":
            self._generations[message["index"]].warn(message["message"])
            self._written = 0.0  # now: the model may fail before the next report, and this may tell why

    def _detail(self) -> str:
        """Loading has no steps, so what the process printed last tells how far it is."""
        return self._slot.last_line() if self._phase == "loading" else ""

    def _write(self) -> None:
        self._written = time.monotonic()
        for generation in [each for each in self._wanted if not each.is_finished]:
            try:
                self._report(generation)
            except DatabaseFailure:
                # A long generation outlives a short outage; a long one makes the row stale, and it is run again.
                logger.exception("the progress of generation %s could not be written", generation.pk)
                close_old_connections()
                return

    def _report(self, generation: Generation) -> None:
        is_ours = generation.report(self._phase, self._step, self._total, self._detail())
        if is_ours and not Generation.objects.filter(pk=generation.pk, cancel_requested=True).exists():
            return
        if len(self._wanted) > 1:
            # The run goes on without it; the last one ends when the run does.
            generation.fail(Cancelled(BY_CLIENT), self._slot.log())
            self._slot.drop(self._generations.index(generation))
        self._wanted.remove(generation)
