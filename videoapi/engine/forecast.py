"""When will it be done? From what the model's last generations took, phase by phase."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from django.db.models import Q

from videoapi.conf import Conf
from videoapi.models import Generation, State, Worker

# The phases of a run in their order. Loading is left out: most generations find their model warm.
PHASES = ("encoding prompt", "denoising", "decoding", "encoding", "storing")
# Of how many generations the median is taken.
LAST = 20

Seconds = Mapping[str, float]


class History:
    """What a model's last generations took."""

    def __init__(self, model: str) -> None:
        self._rows = _find_last(model, State.COMPLETED) or _find_last(model, State.EXPIRED)

    def seconds(self, work: int) -> Seconds | None:
        """The median of each phase for that much work; None when the model has finished nothing yet.

        Generations of exactly that much work count if there are any, others in proportion. Of a run of several, each
        has its share.
        """
        rows = [row for row in self._rows if row.work == work] or self._rows
        if not rows:
            return None
        shares = {row: work / row.work / row.batch_size for row in rows}
        return {
            phase: statistics.median(row.timings.get(phase, 0.0) * share for row, share in shares.items())
            for phase in PHASES
        }

    def seconds_left(self, generation: Generation) -> float | None:
        """Of a running generation of the model, together with those that share its run; None when there is nothing to
        go by.
        """
        past = self.seconds(generation.work)
        if past is None:
            return None
        seconds = {phase: value * generation.batch_size for phase, value in past.items()}
        if generation.phase not in PHASES:
            return sum(seconds.values())
        reached = PHASES.index(generation.phase)
        here = seconds[generation.phase]
        if generation.phase == "denoising" and generation.total_steps:
            here *= 1 - generation.step / generation.total_steps
        return here + sum(seconds[phase] for phase in PHASES[reached + 1 :])


def _find_last(model: str, state: State) -> list[Generation]:
    rows = Generation.objects.filter(model=model, state=state).order_by("-finished_at")
    return list(rows.only("width", "height", "num_frames", "parameters", "timings", "batch_size")[:LAST])


def queue_position(generation: Generation) -> int:
    """1 for the next one of its model."""
    alike = Q(priority=generation.priority)
    sooner = (
        Q(priority__gt=generation.priority)
        | alike & Q(turn__lt=generation.turn)
        | alike & Q(turn=generation.turn, created_at__lt=generation.created_at)
    )
    return Generation.objects.queued().filter(sooner, model=generation.model).count() + 1


def seconds_until_done(generation: Generation, conf: Conf) -> float | None:
    """Of a queued or a running generation; None when there is nothing to go by."""
    history = History(generation.model)
    if generation.state == State.IN_PROGRESS:
        return history.seconds_left(generation)
    own = history.seconds(generation.work)
    if own is None:
        return None
    alike = sum(own.values())
    running = Generation.objects.in_progress().filter(model=generation.model)
    here = sum((history.seconds_left(row) or 0.0) / row.batch_size for row in running)
    ahead = here + (queue_position(generation) - 1) * alike
    return ahead / max(1, count_slots(generation.model, conf)) + alike


def count_slots(model: str, conf: Conf) -> int:
    """The slots of living workers that serve the model."""
    return sum(worker.count_slots(model) for worker in Worker.objects.live(conf.stale_seconds))
