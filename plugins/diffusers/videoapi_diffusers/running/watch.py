"""Follows a pipeline's call: phases, steps, and a way to stop it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch

from videoapi import Progress
from videoapi_diffusers.components import DENOISERS, parts_of


def find_denoiser(pipeline: Any) -> Any:
    """The network that is run in every step; None where it has another name than the usual ones."""
    return next(iter(parts_of(pipeline, DENOISERS)), None)


class Watch:
    """Counts the steps of one call and reports them. `latents` are those after the last step, where there are any."""

    def __init__(self, pipeline: Any, progress: Progress, sections: int) -> None:
        self._pipeline = pipeline
        self._progress = progress
        self._sections_left = sections
        self._done = 0
        self._done_in_section = 0
        # Of the scheduler's steps: a clip with some noise begins in the middle of them.
        self._share = 1.0
        self._is_denoising = False
        self.latents: torch.Tensor | None = None
        self.on_denoising: Callable[[], None] | None = None
        """Called once, when the prompts have been encoded."""
        self.on_step: Callable[[torch.Tensor], None] | None = None
        """Called with the latents after each step but the last."""

    @contextmanager
    def following(self, arguments: dict[str, Any], *, has_callback: bool) -> Iterator[None]:
        """Within it, the pipeline may be called with the arguments, to which a callback is added where it takes one.

        Where it takes none, the scheduler's steps are the pipeline's.
        """
        scheduler = self._pipeline.scheduler
        self._share = 1.0 if has_callback else arguments.get("strength", 1.0)
        if has_callback:
            arguments["callback_on_step_end"] = self._end_step
        else:
            scheduler.step = self._after(scheduler.step)
        denoisers = parts_of(self._pipeline, DENOISERS)
        hooks = [each.register_forward_pre_hook(self._start_denoising) for each in denoisers]
        self._progress.phase("encoding prompt")
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            if not has_callback:
                del scheduler.step

    def _start_denoising(self, *_: object) -> None:
        if not self._is_denoising:
            self._is_denoising = True
            self._progress.phase("denoising")
            if self.on_denoising is not None and not self._done:
                self.on_denoising()

    def _after(self, step: Callable[..., Any]) -> Callable[..., Any]:
        # Pipelines look for `eta` and `generator` in the signature.
        @wraps(step)
        def wrapped(*positional: Any, **named: Any) -> Any:
            result = step(*positional, **named)
            self._count(result[0] if isinstance(result, tuple) else result.prev_sample)
            return result

        return wrapped

    def _end_step(self, pipeline: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        self._count(tensors.get("latents"))
        return tensors

    def _count(self, latents: torch.Tensor | None) -> None:
        self._done += 1
        self._done_in_section += 1
        self.latents = latents
        in_section = self._find_total()
        if self._done_in_section >= in_section:
            self._sections_left -= 1
            self._done_in_section = 0
        # The sections to come may have fewer steps than this one.
        total = self._done + max(0, self._sections_left * in_section - self._done_in_section)
        self._progress.step(self._done, total)
        if self._done == total:
            self._is_denoising = False
            self._progress.phase("decoding")
        elif self.on_step is not None and latents is not None:
            self.on_step(latents)

    def _find_total(self) -> int:
        """The steps of one section. Some pipelines' count is another than the request's."""
        total = getattr(self._pipeline, "num_timesteps", None)
        if isinstance(total, int):
            return total
        steps = len(self._pipeline.scheduler.timesteps)
        return min(int(steps * self._share), steps)
