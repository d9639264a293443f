"""Runs a loaded diffusers pipeline for one request."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from videoapi import Clip, GenerationRequest, InvalidRequest, Mode, ModelError, Progress
from videoapi_diffusers.arguments import find_mode, make_arguments
from videoapi_diffusers.families import find_family
from videoapi_diffusers.running.audio import read_audio
from videoapi_diffusers.running.choices import NAMES, Choices
from videoapi_diffusers.running.decoding import decoding_for, tidied_up
from videoapi_diffusers.running.frames import read_frames, to_arrays
from videoapi_diffusers.running.memory import LOWER, each_watched, memory_watched
from videoapi_diffusers.running.preview import LatentPreview, in_order, predicted_latents
from videoapi_diffusers.running.siblings import Siblings
from videoapi_diffusers.running.tokens import warn_of_cut_prompts
from videoapi_diffusers.running.watch import Watch, find_denoiser
from videoapi_diffusers.signature import Signature, read_signature

logger = logging.getLogger(__name__)


class DiffusersPipeline:
    """A videoapi pipeline around one of diffusers'. Not for several threads: its scheduler has state."""

    def __init__(
        self,
        pipeline: Any,
        modes: Mapping[Mode, str] | None = None,
        changes: Mapping[str, Any] | None = None,
        remedy: str = LOWER,
    ) -> None:
        """`modes` are the classes to use beside the given pipeline's own, `changes` those that were made to it, and
        `remedy` is what helps where memory lacks.
        """
        self.pipeline = pipeline
        self._siblings = Siblings(pipeline, modes or {})
        self._choices = Choices(pipeline, changes or {})
        self._preview = LatentPreview()
        self._remedy = remedy

    def generate(self, request: GenerationRequest, progress: Progress) -> Clip:
        """Raises ModelError when the result holds NaN or infinity. Cancels between two denoising steps."""
        pipeline = self._siblings.find(find_mode(request))
        signature = read_signature(type(pipeline).__name__)
        if signature is None:
            raise ModelError(f"'{type(pipeline).__name__}' is no pipeline of the installed diffusers.")
        family = find_family(signature.name)
        if family.check is not None:
            family.check(request, pipeline)
        arguments = make_arguments(request, signature, getattr(find_denoiser(pipeline), "config", {}))
        self._check_params(request, signature)
        warn_of_cut_prompts(pipeline, request, signature, progress)
        with memory_watched("the video was being made", self._remedy):
            output, frames = self._run(pipeline, signature, request, arguments, progress)
        decoded = each_watched(to_arrays(frames, request), "the frames were being decoded", self._remedy)
        return Clip(frames=decoded, audio=read_audio(output, pipeline))

    def _run(
        self,
        pipeline: Any,
        signature: Signature,
        request: GenerationRequest,
        arguments: dict[str, Any],
        progress: Progress,
    ) -> tuple[Any, Iterable[torch.Tensor]]:
        family = find_family(signature.name)
        watch = Watch(pipeline, progress, family.count_sections(request.num_frames, arguments))

        def offer_preview(latents: torch.Tensor) -> None:
            if self._preview.is_ready:
                progress.preview(
                    lambda: self._preview.make(in_order(predicted_latents(pipeline, latents), family.latents))
                )

        watch.on_step = offer_preview
        if "guider" in signature.components:
            pipeline.guider = pipeline.guider.new(guidance_scale=request.guidance_scale)
        # On the CPU, so that a seed gives the same noise on every device.
        arguments["generator"] = torch.Generator("cpu").manual_seed(request.seed)
        # I2VGen-XL draws its image's latents without the generator.
        torch.manual_seed(request.seed)
        has_callback = "callback_on_step_end" in signature.parameters
        with (
            tidied_up(pipeline),
            self._choices.made(pipeline, request),
            watch.following(arguments, has_callback=has_callback),
            decoding_for(pipeline, request) as kept,
        ):
            output = pipeline(**arguments, output_type="pt")
        frames = read_frames(output, kept)
        frames.check_count(request)
        if watch.latents is None:
            return output, frames
        return output, self._preview.learning(in_order(watch.latents, family.latents), frames)

    def _check_params(self, request: GenerationRequest, signature: Signature) -> None:
        """What belongs to a sibling has no effect here; its default may stand there."""
        for name, value in request.params.items():
            if name not in (*signature.parameters, *NAMES) and value != self._siblings.find_default(name):
                raise InvalidRequest(f"params.{name}", f"It has no effect on a video from {find_mode(request)}.")
