"""How the generations of each model have ended, counted as they end."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, ClassVar, get_args

from django.db import models

from videoapi.models.queryset import State
from videoapi.types import Phase

if TYPE_CHECKING:
    from videoapi.models.generation import Generation

# Upper bounds of the classes of a duration, in seconds: from a warm model's storing to a long video's denoising.
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, math.inf)
TOTAL, OTHER = "total", "other"
PHASES = ("queued", "generating", *get_args(Phase), TOTAL)


class TallyManager(models.Manager["Tally"]):
    def record(self, generation: Generation) -> None:
        """Add one that has ended; within the transaction that ends it, so that it is counted once."""
        tally, _ = self.select_for_update().get_or_create(model=generation.model)
        tally.add(generation)
        tally.save()


class Tally(models.Model):
    """Of one model, one row. It only grows: what becomes of the generations later does not change it."""

    model = models.CharField(max_length=200, primary_key=True)
    outcomes = models.JSONField(default=dict, help_text="Generations by the state in which they ended.")
    frames = models.PositiveBigIntegerField(default=0, help_text="Of completed generations.")
    durations = models.JSONField(
        default=dict, help_text="Of completed generations, by phase: seconds in all, and how many up to each bound."
    )

    objects: ClassVar[TallyManager] = TallyManager()

    class Meta:
        verbose_name_plural = "tallies"

    def __str__(self) -> str:
        return self.model

    def add(self, generation: Generation) -> None:
        """Count its outcome and, if it was completed, its frames and the seconds of its phases."""
        outcome = str(generation.state)
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        if outcome != State.COMPLETED:
            return
        self.frames += generation.num_frames
        for name, seconds in generation.all_timings().items():
            # A plugin can make up phases of its own, without end.
            phase = name if name in PHASES else OTHER
            duration = self.durations.setdefault(phase, {"seconds": 0.0, "counts": {}})
            # Two clocks that disagree can make a wait negative.
            seconds = max(0.0, seconds)
            bound = str(BOUNDS[bisect_left(BOUNDS, seconds)])
            duration["seconds"] += seconds
            duration["counts"][bound] = duration["counts"].get(bound, 0) + 1

    def cumulate(self, phase: str) -> list[tuple[float, int]]:
        """(bound, how many took at most so many seconds) for each bound; also what was counted by other bounds."""
        counts = {float(bound): count for bound, count in self.durations[phase]["counts"].items()}
        return [(bound, sum(count for at, count in counts.items() if at <= bound)) for bound in BOUNDS]
