"""From a request to the arguments of a pipeline's call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from videoapi import GenerationRequest, InvalidRequest, Mode
from videoapi_diffusers.families import Family, find_family
from videoapi_diffusers.inputs import CLIP, FIRST, FRAMES, GUIDANCE, LAST, NEGATIVE_PROMPT, PROMPT, RATE, STEPS
from videoapi_diffusers.signature import Signature


def find_mode(request: GenerationRequest) -> Mode:
    """What the request makes a video from."""
    if request.clip is not None:
        return "clip"
    if request.start_image is None:
        return "text"
    return "first_frame" if request.end_image is None else "first_and_last_frame"


def make_arguments(request: GenerationRequest, signature: Signature, denoiser: Mapping[str, Any]) -> dict[str, Any]:
    """Every argument that says what video to make.

    `denoiser` is its configuration. Raises InvalidRequest for what does not go together.
    """
    family = find_family(signature.name)
    _check_counts(request, family)
    values = {
        PROMPT: request.prompt,
        FRAMES: max(request.num_frames, family.min_frames) + family.count_extra_frames(denoiser),
        RATE: request.fps,
        STEPS: family.make_steps(request.num_inference_steps),
        GUIDANCE: request.guidance_scale,
        ("height",): request.height,
        ("width",): request.width,
    }
    # An empty one is left to the pipeline, which may have one of its own.
    if request.negative_prompt:
        values[NEGATIVE_PROMPT] = request.negative_prompt
    named = {signature.first(*names): value for names, value in values.items()}
    arguments = {name: value for name, value in named.items() if name is not None}
    if "true_cfg_scale" in signature.parameters:
        _set_guidance(arguments, request, embeds_guidance=bool(denoiser.get("guidance_embeds", True)))
    inputs = family.make_inputs(request) if family.make_inputs else _make_inputs(request, signature)
    params = {name: value for name, value in request.params.items() if name in signature.parameters}
    fixed = {name: value for name, value in family.fixed.items() if name in signature.parameters}
    every = {**family.preset, **arguments, **inputs, **params, **fixed}
    _check_strength(every, signature, request.num_inference_steps)
    return every


def make_batch_arguments(
    requests: Sequence[GenerationRequest], signature: Signature, denoiser: Mapping[str, Any]
) -> dict[str, Any]:
    """Every argument of one call that makes the videos of all these requests, which differ in their texts and seeds."""
    arguments = make_arguments(requests[0], signature, denoiser)
    if len(requests) > 1:
        arguments["prompt"] = [request.prompt for request in requests]
        if "negative_prompt" in arguments:
            preset = arguments["negative_prompt"]
            arguments["negative_prompt"] = [request.negative_prompt or preset for request in requests]
    return arguments


def _check_counts(request: GenerationRequest, family: Family) -> None:
    """Raises InvalidRequest for less than the pipeline can work with, and for two inputs where it takes one."""
    clip, frames, steps = request.clip, request.num_frames, request.num_inference_steps
    if steps < family.min_steps:
        raise InvalidRequest("step", f"This model needs at least {family.min_steps} steps, not {steps}.")
    if clip is not None and request.start_image is not None and not family.takes_both:
        raise InvalidRequest("start_image", "This model takes a clip or a start image, not both.")
    if clip is not None and len(clip) < family.min_clip:
        raise InvalidRequest(
            "input_reference",
            f"This model goes on from a clip of at least {family.min_clip} frames; this one has {len(clip)}.",
        )
    least = family.min_given_frames if find_mode(request) != "text" else 1
    if request.end_image is not None:
        least = max(least, 2)
    if frames < least:
        raise InvalidRequest(
            "num_frames", f"From what is given, this model makes at least {least} frames, not {frames}."
        )


def _set_guidance(arguments: dict[str, Any], request: GenerationRequest, *, embeds_guidance: bool) -> None:
    """Where the denoiser does not take the scale as a number, `true_cfg_scale` is the one that counts."""
    if not embeds_guidance:
        arguments["true_cfg_scale"] = arguments.pop("guidance_scale")
    elif request.negative_prompt and request.params.get("true_cfg_scale", 1) <= 1:
        raise InvalidRequest(
            "negative_prompt", "It has no effect on this model unless params.true_cfg_scale is more than 1."
        )


def _check_strength(arguments: Mapping[str, Any], signature: Signature, steps: int) -> None:
    """A pipeline that makes something anew in part leaves out the first steps: some must be left."""
    name = signature.first("denoise_strength", "strength")
    strength = None if name is None else arguments.get(name, signature.number(name))
    if strength is not None and int(steps * strength) < 1:
        raise InvalidRequest(
            f"params.{name}", f"A strength of {strength:g} leaves none of {steps} steps; ask for more of either."
        )


def _make_inputs(request: GenerationRequest, signature: Signature) -> dict[str, Any]:
    clip = request.clip
    if clip is not None and find_family(signature.name).clip == "whole":
        clip = list(clip) + [clip[-1]] * (request.num_frames - len(clip))
    given = {FIRST: request.start_image, LAST: request.end_image, CLIP: None if clip is None else list(clip)}
    named = {signature.first(*names): value for names, value in given.items() if value is not None}
    return {name: value for name, value in named.items() if name is not None}
