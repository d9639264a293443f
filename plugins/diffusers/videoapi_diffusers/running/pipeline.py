"""Runs a loaded diffusers pipeline for one request, or for several at once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from videoapi import BatchProgress, Clip, GenerationRequest, InvalidRequest, Mode, ModelError, Progress
from videoapi_diffusers.arguments import find_mode, make_batch_arguments
from videoapi_diffusers.families import find_family
from videoapi_diffusers.quality import Profiles
from videoapi_diffusers.running.audio import read_audio
from videoapi_diffusers.running.choices import NAMES, Choices
from videoapi_diffusers.running.clean import CleanLatents, in_order
from videoapi_diffusers.running.decoding import decoding_for, tidied_up
from videoapi_diffusers.running.frames import read_videos, to_arrays
from videoapi_diffusers.running.memory import DECODING, LOWER, each_watched, memory_watched
from videoapi_diffusers.running.preview import LatentPreview
from videoapi_diffusers.running.siblings import Siblings
from videoapi_diffusers.running.tokens import Listener
from videoapi_diffusers.running.watch import Watch, find_denoiser
from videoapi_diffusers.shape import find_scales
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
        profiles: Profiles | None = None,
    ) -> None:
        """`modes` are the classes to use beside the given pipeline's own, `changes` those that were made to it,
        `remedy` is what helps where memory lacks, and `profiles` are what the qualities stand for.
        """
        self.pipeline = pipeline
        self._siblings = Siblings(pipeline, modes or {})
        self._choices = Choices(pipeline, changes or {}, profiles or {})
        self._preview = LatentPreview()
        self._remedy = remedy

    def generate(self, request: GenerationRequest, progress: Progress) -> Clip:
        """Raises ModelError when the result holds NaN or infinity. Cancels between two denoising steps."""
        return self._generate([request], progress, [progress])[0]

    def generate_batch(self, requests: Sequence[GenerationRequest], progress: BatchProgress) -> list[Clip]:
        """In one call of the pipeline. Raises what `generate` does."""
        return self._generate(requests, progress, progress.each)

    def _generate(
        self, requests: Sequence[GenerationRequest], progress: Progress, each: Sequence[Progress]
    ) -> list[Clip]:
        """`each` is for what concerns one of the requests alone."""
        first = requests[0]
        pipeline = self._siblings.find(find_mode(first))
        signature = read_signature(type(pipeline).__name__)
        if signature is None:
            raise ModelError(f"'{type(pipeline).__name__}' is no pipeline of the installed diffusers.")
        family = find_family(signature.name)
        if family.check is not None:
            family.check(first, pipeline)
        arguments = make_batch_arguments(requests, signature, getattr(find_denoiser(pipeline), "config", {}))
        self._check_params(first, signature)
        with memory_watched("the video was being made", self._remedy):
            output, videos = self._run(pipeline, signature, requests, arguments, progress, each)
        return [
            Clip(
                frames=each_watched(to_arrays(frames, first), DECODING, self._remedy),
                audio=read_audio(output, pipeline, index, len(videos)),
            )
            for index, frames in enumerate(videos)
        ]

    def _run(
        self,
        pipeline: Any,
        signature: Signature,
        requests: Sequence[GenerationRequest],
        arguments: dict[str, Any],
        progress: Progress,
        each: Sequence[Progress],
    ) -> tuple[Any, list[Iterable[torch.Tensor]]]:
        first = requests[0]
        family = find_family(signature.name)
        watch = Watch(pipeline, progress, family.count_sections(first.num_frames, arguments))

        clean = CleanLatents()

        def offer_previews(latents: torch.Tensor) -> None:
            if self._preview.can_show(in_order(latents, family.latents)):
                for index, own in enumerate(each):
                    own.preview(partial(self._look_at, clean, latents, family.latents, index))

        listener = Listener(family.lost_tokens)
        watch.on_denoising = partial(listener.warn, requests, each)
        watch.on_step = offer_previews
        if "guider" in signature.components:
            pipeline.guider = pipeline.guider.new(guidance_scale=first.guidance_scale)
        # On the CPU, so that a seed gives the same noise on every device.
        generators = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
        arguments["generator"] = generators if len(requests) > 1 else generators[0]
        # I2VGen-XL draws its image's latents without the generator.
        torch.manual_seed(first.seed)
        has_callback = "callback_on_step_end" in signature.parameters
        with (
            tidied_up(pipeline),
            self._choices.made(pipeline, first),
            listener.listening(pipeline),
            clean.following(pipeline.scheduler),
            watch.following(arguments, has_callback=has_callback),
            decoding_for(pipeline, requests, self._remedy) as kept,
        ):
            output = pipeline(**arguments, output_type="pt")
        videos = read_videos(output, kept)
        if len(videos) != len(requests):
            raise ModelError(f"The pipeline made {len(videos)} videos of {len(requests)}.")
        for frames in videos:
            frames.check_count(first)
        if watch.latents is None or len(watch.latents) != len(requests):
            return output, list(videos)
        latents, scale = in_order(watch.latents, family.latents), _find_time_scale(pipeline, family.scales)
        return output, [
            self._preview.learning(latents[index : index + 1], frames, scale) for index, frames in enumerate(videos)
        ]

    def _look_at(self, clean: CleanLatents, latents: torch.Tensor, axes: str, index: int) -> NDArray[np.uint8]:
        return self._preview.make(clean.find(latents, axes)[index])

    def _check_params(self, request: GenerationRequest, signature: Signature) -> None:
        """What belongs to a sibling has no effect here; its default may stand there."""
        for name, value in request.params.items():
            if name not in (*signature.parameters, *NAMES) and value != self._siblings.find_default(name):
                raise InvalidRequest(f"params.{name}", f"It has no effect on a video from {find_mode(request)}.")


def _find_time_scale(pipeline: Any, default: tuple[int, int]) -> int:
    """The frames that one latent stands for."""
    vae: Any = getattr(pipeline, "vae", None)
    config = {**getattr(vae, "config", {}), "_class_name": type(vae).__name__}
    return find_scales({"vae": config}, default)[1]
