"""A pipeline's components by their usual names in diffusers."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

TRANSFORMERS = ("transformer", "transformer_2")
DENOISERS = (*TRANSFORMERS, "unet")
SOUND = ("vocoder", "sound_tokenizer", "audio_vae")


def is_text_encoder(name: str) -> bool:
    return name.startswith("text_encoder")


def modules_of(pipeline: Any) -> dict[str, Any]:
    """Every network of the pipeline, by its name."""
    import torch

    return {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}


def parts_of(pipeline: Any, names: Iterable[str]) -> list[Any]:
    """The components of these names that it has."""
    return [part for name in names if (part := getattr(pipeline, name, None)) is not None]


def read_options(scheduler: Any) -> dict[str, Any]:
    """The scheduler's configuration without what it does not know: diffusers keeps the options of the one before it."""
    known = inspect.signature(type(scheduler).__init__).parameters
    return {name: value for name, value in scheduler.config.items() if name in known}
