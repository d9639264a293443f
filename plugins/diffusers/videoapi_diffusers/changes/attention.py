"""Which implementation calculates attention."""

from __future__ import annotations

from typing import Any

from videoapi import ModelError, ModelFile
from videoapi_diffusers.components import TRANSFORMERS, parts_of
from videoapi_diffusers.signature import known_attention_backends
from videoapi_diffusers.words import describe_failure, did_you_mean

KEY = "diffusers.attention_backend"


def read(config: ModelFile) -> str:
    """diffusers' name of it; empty where diffusers chooses."""
    name = config.get(KEY, str, "")
    if not name:
        return ""
    if name.endswith("_hub"):
        raise config.error(KEY, f"is refused: {name} downloads a program and runs it; install its package instead")
    known = [each for each in known_attention_backends() if not each.endswith("_hub")]
    if name not in known:
        hint = did_you_mean(name, known)
        raise config.error(KEY, f"is no attention backend of the installed diffusers: {name}{hint}")
    return name


def apply(pipeline: Any, wanted: str) -> None:
    """For this model alone. Raises ModelError."""
    from diffusers.models.attention_dispatch import attention_backend

    parts = parts_of(pipeline, TRANSFORMERS)
    if not any(_has_choice(part) for part in parts):
        raise ModelError(f"{type(pipeline).__name__} has no attention that could be calculated by '{wanted}'.")
    for part in parts:
        try:
            # diffusers would take it from then on wherever nothing else was asked for, in other models too.
            with attention_backend(wanted):
                part.set_attention_backend(wanted)
        # A library's own errors, of any kind: it is not installed, too old, or made for another device.
        except Exception as error:
            text = describe_failure(error)
            raise ModelError(f"The attention backend '{wanted}' does not work here: {text}") from error


def _has_choice(part: Any) -> bool:
    """diffusers passes over attention of the older kind without a word."""
    return any(hasattr(getattr(module, "processor", None), "_attention_backend") for module in part.modules())
