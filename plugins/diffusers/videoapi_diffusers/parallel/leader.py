"""The model's process as the first of several: it starts the others, and has them do what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from videoapi import Cancelled, Clip, GenerationRequest, InvalidRequest, Phase, Pipeline, Progress
from videoapi_diffusers.loading import load
from videoapi_diffusers.parallel.asked import count_processes
from videoapi_diffusers.parallel.group import check, find_devices, join, settings_for
from videoapi_diffusers.parallel.team import Team

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# diffusers' words for a video that it cannot divide.
UNDIVIDED = "divisible by mesh size"


def load_parallel(settings: Mapping[str, Any], wanted: Mapping[str, Any]) -> ParallelPipeline:
    """A pipeline whose denoisers calculate in as many processes as `wanted` says; the rest is as with `load`.

    `settings` are those of `load`, `wanted` that of `asked.read`. Raises ModelError.
    """
    import torch

    devices = find_devices(settings["placement"]["device"], count_processes(wanted))
    team = Team(len(devices))
    try:
        pipeline = load(**settings_for(settings, devices[0]))
        check(pipeline.pipeline, wanted, torch.device(devices[0]))
        # Only now: what comes from the hub is here, and the same for all.
        team.tell(kind="load", settings=dict(settings), wanted=dict(wanted), devices=devices)
        team.gather()
        team.tell(kind="join", wanted=dict(wanted), folder=str(team.folder))
        join(pipeline.pipeline, wanted, 0, torch.device(devices[0]), team.folder)
        team.gather()
    except BaseException:
        team.close()
        raise
    return ParallelPipeline(pipeline, team)


class ParallelPipeline:
    """A pipeline that the other processes' pipelines work for."""

    def __init__(self, pipeline: Pipeline, team: Team) -> None:
        self._pipeline = pipeline
        self._team = team
        self._number = 0

    def generate(self, request: GenerationRequest, progress: Progress) -> Clip:
        """As the pipeline's own. Raises InvalidRequest for a video that the processes cannot share."""
        self._number += 1
        self._team.tell_request(self._number, request)
        try:
            clip = self._pipeline.generate(request, LeadingProgress(progress, self._team, self._number))
        except BaseException as error:
            self._team.tell(kind="stop", number=self._number)
            self._team.wait_for_all(error)
            if isinstance(error, AssertionError) and UNDIVIDED in str(error):
                raise InvalidRequest(
                    "size",
                    f"Such a video cannot be shared by the {self._team.count} processes of this model; try another "
                    "size or number of frames.",
                ) from error
            raise
        self._team.gather()
        return clip

    def close(self) -> None:
        self._team.close()


class LeadingProgress:
    """Reports as the kernel's own does, and has the other processes go on, or not, from the same place."""

    def __init__(self, progress: Progress, team: Team, number: int) -> None:
        self._progress = progress
        self._team = team
        self._number = number

    def step(self, done: int, total: int) -> None:
        self._progress.step(done, total)
        self._team.tell(kind="go", number=self._number, place=f"step {done} of {total}")

    def phase(self, name: Phase) -> None:
        self._progress.phase(name)
        self._team.tell(kind="go", number=self._number, place=name)

    def preview(self, make: Callable[[], NDArray[np.uint8]]) -> None:
        """The others have none, so a cancel takes effect at the next step."""
        with suppress(Cancelled):
            self._progress.preview(make)

    def warn(self, message: str) -> None:
        with suppress(Cancelled):
            self._progress.warn(message)
