"""What a request chooses of what its model file has loaded: the weights of LoRAs, and how exact the video is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from videoapi import GenerationRequest
from videoapi_diffusers.changes import cache, lora
from videoapi_diffusers.quality import QUALITY, Profiles, find_cache

LORAS = "loras"
NAMES = (LORAS, QUALITY)
"""The keys of `params` that choose, and that no pipeline's call takes."""


class Choices:
    """Makes a loaded pipeline what one request chooses, and what none does again for the next."""

    def __init__(self, pipeline: Any, changes: Mapping[str, Any], profiles: Profiles) -> None:
        self._profiles = profiles
        self._pipeline = pipeline
        self._changes = changes
        self._scales = lora.find_scales(changes.get(LORAS, {}))
        self._set: dict[str, float] | None = None

    @contextmanager
    def made(self, pipeline: Any, request: GenerationRequest) -> Iterator[None]:
        """Within it, `pipeline`, which shares the components of the loaded one, is as the request's `params` say.

        Raises InvalidRequest for a quality that this pipeline does not have.
        """
        self._weigh({**self._scales, **request.params.get(LORAS, {})})
        wanted = find_cache(pipeline, request, self._changes, self._profiles)
        steps = request.num_inference_steps
        with cache.switched_on(pipeline, wanted, steps) if wanted else nullcontext():
            yield

    def _weigh(self, weights: Mapping[str, float]) -> None:
        """Without any, the layers of LoRAs are left out of the calculation: nothing is added, not even zeros."""
        wanted = {name: weight for name, weight in weights.items() if weight}
        if not self._scales or wanted == self._set:
            return
        # Half set is nothing that a later request could rely on.
        self._set = None
        if wanted:
            self._pipeline.enable_lora()
            self._pipeline.set_adapters(list(wanted), list(wanted.values()))
        else:
            self._pipeline.disable_lora()
        self._set = wanted
