"""The clean latents in a step of a scheduler are those that the noisy ones were made of."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import diffusers
import pytest
import torch

from videoapi_diffusers.running.clean import CleanLatents

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
CLEAN, NOISE = (torch.randn(1, 4, 3, 2, 2, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}


def make(name: str, **options: Any) -> Any:
    scheduler = getattr(diffusers, name)(**options)
    scheduler.set_timesteps(8)
    return scheduler


def take_flow_step(scheduler: Any) -> torch.Tensor:
    """The first one, of a network that is right."""
    sigma = scheduler.sigmas[0]
    noisy = (1 - sigma) * CLEAN + sigma * NOISE
    latents: torch.Tensor = scheduler.step(NOISE - CLEAN, scheduler.timesteps[0], noisy, return_dict=False)[0]
    return latents


def take_noise_step(scheduler: Any) -> torch.Tensor:
    time = scheduler.timesteps[0]
    noisy, output = scheduler.add_noise(CLEAN, NOISE, time[None]), NOISE
    if scheduler.config.prediction_type == "v_prediction":
        share = scheduler.alphas_cumprod[int(time)]
        output = share.sqrt() * NOISE - (1 - share).sqrt() * CLEAN
    latents: torch.Tensor = scheduler.step(output, time, noisy).prev_sample
    return latents


@pytest.mark.parametrize(
    ("take_step", "name", "options"),
    [
        (take_flow_step, "FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
        (take_flow_step, "FlowMapEulerDiscreteScheduler", {}),
        (take_flow_step, "UniPCMultistepScheduler", FLOW),
        (take_flow_step, "DPMSolverMultistepScheduler", FLOW),
        (take_noise_step, "UniPCMultistepScheduler", {}),
        (take_noise_step, "DPMSolverMultistepScheduler", {}),
        (take_noise_step, "DDIMScheduler", {"clip_sample": False}),
        (take_noise_step, "DDIMScheduler", {"clip_sample": False, "prediction_type": "v_prediction"}),
        (take_noise_step, "CogVideoXDDIMScheduler", {"prediction_type": "v_prediction"}),
        (take_noise_step, "EulerDiscreteScheduler", {}),
        (take_noise_step, "EulerAncestralDiscreteScheduler", {}),
    ],
)
def test_a_step_says_what_is_clean(take_step: Callable[..., Any], name: str, options: dict[str, Any]) -> None:
    scheduler, clean = make(name, **options), CleanLatents()
    plain = take_step(make(name, **options))
    with clean.following(scheduler):
        torch.manual_seed(0)
        latents = take_step(scheduler)
    if "Ancestral" not in name:
        assert torch.equal(latents, plain)
    assert not torch.allclose(latents, CLEAN, atol=0.1)
    assert torch.allclose(clean.find(latents, "bcthw"), CLEAN, atol=1e-3)


@pytest.mark.parametrize(
    ("take_step", "name", "options"),
    [
        (take_flow_step, "FlowMatchEulerDiscreteScheduler", {"stochastic_sampling": True}),
        (take_flow_step, "FlowMatchHeunDiscreteScheduler", {}),
        (take_noise_step, "UniPCMultistepScheduler", {"predict_x0": False}),
        (take_noise_step, "PNDMScheduler", {"skip_prk_steps": True}),
    ],
)
def test_what_a_step_does_not_say_is_shown_as_it_is(
    take_step: Callable[..., Any], name: str, options: dict[str, Any]
) -> None:
    scheduler, clean = make(name, **options), CleanLatents()
    with clean.following(scheduler):
        latents = take_step(scheduler)
    assert torch.equal(clean.find(latents, "bcthw"), latents)


@pytest.mark.parametrize(
    ("name", "is_clean"), [("FlowMatchEulerDiscreteScheduler", True), ("FlowMatchHeunDiscreteScheduler", False)]
)
def test_what_is_left_of_the_scheduler_before_says_nothing(name: str, is_clean: bool) -> None:
    before = make("UniPCMultistepScheduler", predict_x0=True, **FLOW).config
    scheduler, clean = getattr(diffusers, name).from_config(before), CleanLatents()
    assert scheduler.config.predict_x0
    scheduler.set_timesteps(8)
    with clean.following(scheduler):
        latents = take_flow_step(scheduler)
    assert torch.equal(clean.find(latents, "bcthw"), latents) is not is_clean


def test_before_the_first_step_and_of_another_shape_they_are_as_they_are() -> None:
    scheduler, clean = make("FlowMatchEulerDiscreteScheduler"), CleanLatents()
    assert torch.equal(clean.find(NOISE, "bcthw"), NOISE)
    with clean.following(scheduler):
        take_flow_step(scheduler)
        for others in (NOISE[..., :1], NOISE[:, :2], NOISE[:, :, 0]):
            assert torch.equal(clean.find(others, "bcthw"), others)


def test_a_part_is_put_where_it_was_taken_from() -> None:
    """Some pipelines step all times but the first one, in some of the channels, and have the channels at the end."""
    scheduler, clean = make("FlowMatchEulerDiscreteScheduler"), CleanLatents()
    with clean.following(scheduler):
        latents = take_flow_step(scheduler)
    given = torch.full((1, 6, 4, 2, 2), 7.0)
    given[:, :4, 1:] = latents
    found = clean.find(given, "bcthw")
    assert torch.allclose(found[:, :4, 1:], CLEAN, atol=1e-3)
    assert (found[:, 4:] == 7).all() and (found[:, :, 0] == 7).all()
    last = CleanLatents()
    scheduler = make("FlowMatchEulerDiscreteScheduler")
    with last.following(scheduler):
        sigma, axes = scheduler.sigmas[0], (0, 2, 3, 4, 1)
        noisy = ((1 - sigma) * CLEAN + sigma * NOISE).permute(axes)
        latents = scheduler.step((NOISE - CLEAN).permute(axes), scheduler.timesteps[0], noisy).prev_sample
    assert torch.allclose(last.find(latents, "bthwc"), CLEAN, atol=1e-3)


def test_the_sounds_scheduler_is_another_one() -> None:
    scheduler, clean = make("FlowMatchEulerDiscreteScheduler"), CleanLatents()
    with clean.following(scheduler):
        sounds = copy.deepcopy(scheduler)
        latents = take_flow_step(scheduler)
        sounds.step(torch.ones(1, 8, 4), sounds.timesteps[0], torch.ones(1, 8, 4))
    assert torch.allclose(clean.find(latents, "bcthw"), CLEAN, atol=1e-3)


def test_a_scheduler_is_what_it_was_and_can_do_what_it_could() -> None:
    scheduler, clean = make("DDIMScheduler"), CleanLatents()
    before = inspect.signature(scheduler.step)
    with pytest.raises(ZeroDivisionError), clean.following(scheduler):
        assert isinstance(scheduler, diffusers.DDIMScheduler)
        assert inspect.signature(scheduler.step) == before
        assert len(scheduler.step(NOISE, 1, NOISE, return_dict=False)) == 2
        assert scheduler.step(NOISE, 1, NOISE).pred_original_sample is not None
        raise ZeroDivisionError
    assert type(scheduler) is diffusers.DDIMScheduler
