"""The videoworker: slot threads that take jobs from the queue, one thread that keeps house, and one for each model that
has to be asked whether it can be served. Imports no torch.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType

from django.db import Error as DatabaseFailure
from django.db import close_old_connections, connections
from django_tasks_db.management.commands.db_worker import Worker as DatabaseWorker

from videoapi.conf import Conf
from videoapi.engine.assignment import choose_models, introduce, leave_to_others
from videoapi.engine.changes import ChangeFeed
from videoapi.engine.housekeeping import HouseKeeping
from videoapi.engine.slot import Slot
from videoapi.engine.tasks import current_runner, queue_name
from videoapi.engine.watch import Watch
from videoapi.models import EVERY_MODEL, slot_name

logger = logging.getLogger(__name__)

# Seconds after which an idle slot looks at the queue even if nothing seems to have changed.
IDLE_SECONDS = 1.0
# Seconds to wait after the database has failed.
BACKOFF_SECONDS = 2.0


class Deliveries(DatabaseWorker):
    """Of one slot. What another slot is better placed for is left to that one.

    What is for a `withheld` model, one that this worker cannot run now, stays in the queue: it keeps its place, other
    models' deliveries pass it by, a cancel needs no more than its row, and another worker may take it. Once the model
    is back, the slot takes it at its next look, which the write of the worker's own row brings on.
    """

    def __init__(self, slot: Slot, withheld: Callable[[], set[str]]) -> None:
        self._slot = slot
        self._withheld = withheld
        # In batch mode it runs what is outstanding and returns; when to look again is the change feed's business.
        super().__init__(
            queue_names=[model if model == EVERY_MODEL else queue_name(model) for model in slot.models],
            interval=0,
            batch=True,
            backend_name="default",
            startup_delay=False,
            max_tasks=None,
            worker_id=slot.name,
            excluded_queue_names=[],
        )

    @property
    def excluded_queue_names(self) -> list[str]:
        """Asked for at every look at the queue."""
        return [queue_name(model) for model in leave_to_others(self._slot) | self._withheld()]

    @excluded_queue_names.setter
    def excluded_queue_names(self, names: list[str]) -> None:
        """The base class sets it once."""


class SlotThread(threading.Thread):
    """Takes jobs of its models' queues, one after the other."""

    def __init__(
        self, name: str, models: list[str], preload: str | None, conf: Conf, withheld: Callable[[], set[str]]
    ) -> None:
        super().__init__(name=name)
        self.slot = Slot(name, conf, models)
        self._preload = preload
        self._deliveries = Deliveries(self.slot, withheld)

    def run(self) -> None:
        current_runner.set(self.slot)
        feed = ChangeFeed()
        try:
            if self._preload:
                self.slot.preload(self._preload)
            while self._deliveries.running:
                try:
                    feed.mark()
                    self.slot.is_free = False
                    self._deliveries.run()
                    self.slot.rest()
                    if self._deliveries.running:
                        self.slot.is_free = True
                        feed.wait(IDLE_SECONDS)
                except DatabaseFailure:
                    self.slot.is_free = False
                    logger.exception("the database failed; trying again in %.0f s", BACKOFF_SECONDS)
                    close_old_connections()
                    time.sleep(BACKOFF_SECONDS)
        finally:
            self.slot.close()
            connections.close_all()

    def stop(self, grace: float) -> None:
        """Take no more jobs; the running one has `grace` seconds."""
        self.slot.stop_at = time.monotonic() + grace
        self._deliveries.running = False


def run_worker(conf: Conf) -> None:
    """Serve until SIGTERM or SIGINT, then let running jobs finish within the grace or hand them back.

    Raises InvalidRequest for a slot's model that is not installed.
    """
    # In a container that is started anew, host and pid are those of the one before.
    name = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(3)}"
    stopping, wake = threading.Event(), threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()
        wake.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    slots = choose_models(conf)
    watch = Watch([models for models, _ in slots], conf, wake.set)
    threads = [
        SlotThread(slot_name(name, number), models, preload, conf, watch.withheld)
        for number, (models, preload) in enumerate(slots)
    ]
    house = HouseKeeping(name, [thread.slot for thread in threads], conf, watch.look)
    introduce(thread.slot for thread in threads)
    watch.start()
    for thread in threads:
        thread.start()
    logger.info("worker %s serves %s", name, " and ".join(",".join(models) for models, _ in slots))
    try:
        while all(thread.is_alive() for thread in threads):
            house.run()
            wake.wait(conf.heartbeat_seconds)
            wake.clear()
            if stopping.is_set():
                break
        else:
            logger.error("a slot has ended; the worker stops so that its supervisor starts it anew")
    finally:
        watch.stop()
        for thread in threads:
            thread.stop(conf.grace_seconds)
        for thread in threads:
            thread.join()
    house.close()
    logger.info("worker %s has stopped", name)
