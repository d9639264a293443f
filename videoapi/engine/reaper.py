"""Brings back what dead workers left: generations, entries of the queue, files, their own rows."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone
from django_tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from videoapi.conf import Conf
from videoapi.engine.machine import is_running, machine_id
from videoapi.engine.storage import (
    SCRATCH_PREFIX,
    delete_orphaned_inputs,
    delete_orphaned_previews,
    delete_results,
    delete_unpublished,
    release_inputs,
    scratch_name,
)
from videoapi.engine.tasks import deliver, queue_name, requeue, run_next
from videoapi.exceptions import WorkerLost
from videoapi.models import Generation, State, WebhookDelivery, Worker

logger = logging.getLogger(__name__)

# Rows of workers that died without a word are kept this long for the admin, entries of the queue for a look at them.
FORGET_WORKERS, FORGET_DELIVERIES = timedelta(days=1), timedelta(hours=1)
# So are webhooks that were delivered or given up.
FORGET_WEBHOOKS = timedelta(days=30)


def reap(conf: Conf) -> None:
    """Bring every generation that a dead worker held to its end or back into the queue."""
    dead = _find_dead_workers()
    for rows in (Generation.objects.stale(conf.stale_seconds), Generation.objects.held_by(dead)):
        _for_each(rows, lambda generation: _take_back(generation, conf))
    Worker.objects.filter(pk__in=dead).delete()


def sweep(conf: Conf) -> None:
    """Clear up what a process that was killed can leave behind. Looks at whole tables, so not for every heartbeat."""
    now = timezone.now()
    stale = now - timedelta(seconds=conf.stale_seconds)
    _close_deliveries(conf, stale)
    _deliver_forgotten(stale)
    _deliveries().finished().filter(finished_at__lt=now - FORGET_DELIVERIES).delete()
    _for_each(Generation.objects.finished().with_inputs(), release_inputs)
    _for_each(Generation.objects.with_expired_files(), delete_results)
    delete_orphaned_inputs(stale)
    delete_orphaned_previews()
    _delete_scratch(conf.scratch_dir)
    Worker.objects.filter(last_seen__lt=now - FORGET_WORKERS).delete()
    WebhookDelivery.objects.ended_before(now - FORGET_WEBHOOKS).delete()


def _find_dead_workers() -> list[str]:
    """Those of this machine whose process is gone; of the others, only their silence tells."""
    workers = Worker.objects.filter(machine=machine_id())
    return [worker.name for worker in workers if not is_running(worker.pid)]


def _for_each(generations: Iterable[Generation], action: Callable[[Generation], None]) -> None:
    for generation in generations:
        try:
            action(generation)
        except OSError:
            # One file that cannot be deleted must not keep the others waiting.
            logger.exception("generation %s could not be cleared up", generation.pk)


def _take_back(generation: Generation, conf: Conf) -> None:
    if generation.attempt >= conf.max_attempts:
        generation.fail(WorkerLost(f"The worker died, {generation.attempt} times."))
    elif requeue(generation, count_attempt=True):
        logger.warning("generation %s goes back to the queue: its worker has died", generation.pk)
    if generation.state == State.IN_PROGRESS:
        # Its worker was late, not dead.
        return
    delete_unpublished(generation)
    if generation.is_finished:
        release_inputs(generation)


def _close_deliveries(conf: Conf, stale: datetime) -> None:
    """End the queue's entries whose worker was killed: django-tasks-db leaves them RUNNING for ever."""
    live = {slot for worker in Worker.objects.live(conf.stale_seconds) for slot in worker.slot_names}
    for delivery in _deliveries().running().filter(started_at__lt=stale):
        if not live.intersection(delivery.worker_ids):
            delivery.set_failed(WorkerLost("The worker died."))


def _deliver_forgotten(stale: datetime) -> None:
    """Announce again what waits without an entry: its worker took the entry, and died before it took the row."""
    waiting = Counter(Generation.objects.queued().filter(created_at__lt=stale).values_list("model", flat=True))
    announced = Counter(_deliveries().filter(status=TaskResultStatus.READY).values_list("queue_name", flat=True))
    for model, count in waiting.items():
        for _ in range(count - announced[queue_name(model)]):
            logger.warning("a generation of %s had fallen out of the queue", model)
            deliver(model)


def _deliveries() -> Any:
    return DBTaskResult.objects.filter(task_path=run_next.module_path)


def _delete_scratch(folder: Path) -> None:
    """Remove the unfinished files of attempts that do not run any more."""
    left = {path.name: path for path in folder.glob(f"{SCRATCH_PREFIX}*")}
    if not left:
        return
    for generation in Generation.objects.in_progress():
        left.pop(scratch_name(generation), None)
    for path in left.values():
        shutil.rmtree(path, ignore_errors=True)
