"""Brings back what dead workers left: their generations, their queue entries, their rows."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone
from django_tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from videoapi.conf import Conf
from videoapi.engine.storage import delete_inputs
from videoapi.engine.tasks import requeue, run_generation
from videoapi.exceptions import WorkerLost
from videoapi.models import Generation, Worker

logger = logging.getLogger(__name__)

# Rows of workers that died without a word are kept this long for the admin.
FORGET = timedelta(days=1)


def reap(conf: Conf) -> None:
    """Give every stale generation another attempt, or end it as lost; forget workers that are long gone."""
    for generation in Generation.objects.stale(conf.stale_seconds):
        if generation.attempt >= conf.max_attempts:
            if generation.fail(WorkerLost(f"The worker died, {generation.attempt} times.")):
                delete_inputs(generation)
        elif requeue(generation, count_attempt=True):
            logger.warning("generation %s goes back to the queue: its worker has died", generation.pk)
        _close_deliveries(generation)
    Worker.objects.filter(last_seen__lt=timezone.now() - FORGET).delete()


def _close_deliveries(generation: Generation) -> None:
    """django-tasks-db leaves the entry of a killed worker RUNNING for ever."""
    for delivery in DBTaskResult.objects.running().filter(
        task_path=run_generation.module_path, args_kwargs__args=[str(generation.pk)]
    ):
        if delivery.status == TaskResultStatus.RUNNING:
            delivery.set_failed(WorkerLost("The worker died."))
