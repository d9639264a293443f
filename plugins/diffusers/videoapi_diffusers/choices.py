"""What a request chooses of what its model file has loaded: the weights of LoRAs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from videoapi_diffusers.changes import lora

LORAS = "loras"
NAMES = (LORAS,)
"""The keys of `params` that choose, and that no pipeline's call takes."""


def find_choices(changes: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The schema of each choice that these changes leave to the request, for its spec's `params`."""
    return lora.make_params(changes[LORAS]) if LORAS in changes else {}


class Choices:
    """Makes a loaded pipeline what one request chooses, and what none does again for the next."""

    def __init__(self, pipeline: Any, changes: Mapping[str, Any]) -> None:
        self._pipeline = pipeline
        self._scales = lora.find_scales(changes.get(LORAS, {}))
        self._set: dict[str, float] | None = None

    @contextmanager
    def made(self, pipeline: Any, params: Mapping[str, Any]) -> Iterator[None]:
        """Within it, `pipeline`, which shares the components of the loaded one, is as `params` say."""
        self._weigh({**self._scales, **params.get(LORAS, {})})
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
