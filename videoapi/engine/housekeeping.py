"""A worker's signs of life, and its share of the clearing up."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence

from django.db import Error as DatabaseFailure
from django.db import close_old_connections
from django.utils import timezone

from videoapi.conf import Conf
from videoapi.engine.machine import machine_id
from videoapi.engine.orders import take
from videoapi.engine.reaper import reap, sweep
from videoapi.engine.retention import prune
from videoapi.engine.slot import Slot
from videoapi.models import EVERY_MODEL, Generation, Worker

# Seconds between two looks for results that have expired.
PRUNE_SECONDS = 3600.0

# A difference between the wall clock and the steady one that is more than drift.
CLOCK_JUMP_SECONDS = 5.0

logger = logging.getLogger(__name__)


class HouseKeeping:
    """Of the worker called `name`; `run` is called every `heartbeat_seconds`, and when a model becomes available or
    unavailable. `look` tells which are not, and why.
    """

    def __init__(self, name: str, slots: Sequence[Slot], conf: Conf, look: Callable[[], dict[str, str]] = dict) -> None:
        self._name = name
        self._slots = slots
        self._conf = conf
        self._look = look
        self._offset = time.time() - time.monotonic()
        self._reap_at = self._sweep_at = self._prune_at = 0.0

    def run(self) -> None:
        """A database that fails is logged; the next call tries again."""
        self._watch_clock()
        try:
            self._show_life()
            if time.monotonic() >= self._reap_at:
                reap(self._conf)
            if time.monotonic() >= self._sweep_at:
                sweep(self._conf)
                self._sweep_at = time.monotonic() + self._conf.stale_seconds
            if time.monotonic() >= self._prune_at:
                expired, _ = prune(self._conf)
                # What is left over comes with the next heartbeat.
                self._prune_at = time.monotonic() + (0 if expired else PRUNE_SECONDS)
        except OSError:
            logger.exception("the clearing up failed")
        except DatabaseFailure:
            logger.exception("the database failed")
            self._spare_the_others()
            close_old_connections()

    def close(self) -> None:
        """The worker has stopped in good order."""
        Worker.objects.filter(pk=self._name).delete()

    def _pass_on(self, action: str, model: str) -> None:
        holding = [slot for slot in self._slots if slot.model is not None and model in (slot.model, EVERY_MODEL)]
        if action == "unload":
            for slot in holding:
                slot.unload_requested = True
        elif not holding:
            serving = [slot for slot in self._slots if slot.serves(model)]
            slot = min(serving, key=lambda slot: (bool(slot.running), slot.used))
            slot.load_requested = model

    def _spare_the_others(self) -> None:
        """They need a moment to show that they live."""
        self._reap_at = time.monotonic() + self._conf.stale_seconds

    def _watch_clock(self) -> None:
        """A clock that is put forward makes every sign of life look old."""
        offset = time.time() - time.monotonic()
        if abs(offset - self._offset) > CLOCK_JUMP_SECONDS:
            logger.warning("the clock has jumped by %.0f s", offset - self._offset)
            self._spare_the_others()
        self._offset = offset

    def _show_life(self) -> None:
        now = timezone.now()
        state = {
            "last_seen": now,
            "loaded": [model for slot in self._slots if (model := slot.describe())],
            "unavailable": self._look(),
        }
        worker, _ = Worker.objects.update_or_create(
            name=self._name,
            defaults=state,
            create_defaults={
                **state,
                "slots": [list(slot.models) for slot in self._slots],
                "machine": machine_id(),
                "pid": os.getpid(),
            },
        )
        for order in take(self._name) if worker.orders else ():
            self._pass_on(order["action"], order["model"])
        # A slot's own reports of progress stop while it stores a large file far away.
        for slot in self._slots:
            if running := [generation.pk for generation in slot.running]:
                rows = Generation.objects.in_progress().filter(pk__in=running, worker=slot.name)
                rows.update(heartbeat_at=now)
