"""What the latents of a video will be without their noise, as far as its scheduler says before the last step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch

from videoapi_diffusers.components import read_options

# Of a scheduler's `algorithm_type`: what it keeps of the steps before are clean latents.
KEEPS_CLEAN = ("dpmsolver++", "sde-dpmsolver++", "data_prediction")
# Those whose step is a straight line from the noise to the clean latents, as far as the next sigma.
STRAIGHT = ("FlowMatchEulerDiscreteScheduler", "FlowMapEulerDiscreteScheduler")


class CleanLatents:
    """Keeps the last step of a pipeline's scheduler: what is clean in it is found when somebody looks."""

    def __init__(self) -> None:
        self._last: tuple[Any, torch.Tensor, Any] | None = None

    @contextmanager
    def following(self, scheduler: Any) -> Iterator[None]:
        """Within it, the steps of the scheduler are kept, and those of its copies, which some pipelines make."""
        kind = type(scheduler)

        # Pipelines look for `eta` and `generator` in the signature.
        @wraps(kind.step)
        def step(own: Any, *positional: Any, **named: Any) -> Any:
            output = kind.step(own, *positional, **{**named, "return_dict": True})
            # What has other axes is another scheduler's, such as that of the sound.
            if output.prev_sample.ndim == 5:
                self._last = own, positional[0] if positional else named["model_output"], output
            return output if named.get("return_dict", True) else output.to_tuple()

        scheduler.__class__ = type(kind.__name__, (kind,), {"step": step})
        try:
            yield
        finally:
            scheduler.__class__ = kind

    def find(self, latents: torch.Tensor, axes: str) -> torch.Tensor:
        """(batch, channels, time, height, width): the clean ones of these latents, whose axes those are, after a step.

        As they are where the scheduler does not say, and those that were not in the step.
        """
        whole = in_order(latents, axes)
        clean = _find_clean(*self._last) if self._last else None
        if clean is None:
            return whole
        clean = in_order(clean, axes)
        channels, times = clean.shape[1:3]
        # What is given comes before it in time, and after it in the channels.
        place = whole[:, :channels, -times:]
        if place.shape != clean.shape:
            return whole
        if place.shape == whole.shape:
            return clean
        made = whole.clone()
        made[:, :channels, -times:] = clean
        return made


def in_order(latents: torch.Tensor, axes: str) -> torch.Tensor:
    """The latents, whose axes these are, as (1, channels, time, height, width); others as they are."""
    return latents.permute([axes.index(axis) for axis in "bcthw"]) if latents.ndim == len(axes) else latents


def _find_clean(scheduler: Any, model_output: torch.Tensor, output: Any) -> torch.Tensor | None:
    """What a step of the scheduler took for the clean latents."""
    for name in ("pred_original_sample", "denoised"):
        if isinstance(found := getattr(output, name, None), torch.Tensor):
            return found
    options = read_options(scheduler)
    if options.get("predict_x0") or options.get("algorithm_type") in KEEPS_CLEAN:
        kept: torch.Tensor | None = scheduler.model_outputs[-1]
        return kept
    if type(scheduler).__name__ in STRAIGHT and not options.get("stochastic_sampling"):
        rest: torch.Tensor = output.prev_sample - scheduler.sigmas[scheduler.step_index] * model_output
        return rest
    return None
