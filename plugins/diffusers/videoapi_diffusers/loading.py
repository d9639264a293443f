"""Loads a diffusers pipeline: safetensors only, no code from the model's folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from videoapi import ModelError, OutOfMemory
from videoapi_diffusers.families import FAMILIES
from videoapi_diffusers.source import Source

if TYPE_CHECKING:
    import torch

    from videoapi_diffusers.pipeline import DiffusersPipeline


def load(source: str, pipeline_class: str, dtype: str | None = None) -> DiffusersPipeline:
    """Load a folder or a hub id onto the best device of this machine.

    `dtype` is torch's name of the precision; by default bfloat16 on a GPU and float32 on a CPU. Raises ModelError.
    """
    os.environ.setdefault("DIFFUSERS_DISABLE_REMOTE_CODE", "1")
    import diffusers
    import torch
    import transformers

    from videoapi_diffusers.pipeline import DiffusersPipeline

    # The server's log is no terminal.
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    device = find_device()
    precision = getattr(torch, dtype) if dtype else torch.float32 if device.type == "cpu" else torch.bfloat16
    family = FAMILIES[pipeline_class]
    try:
        pipeline: Any = getattr(diffusers, family.pipeline_class).from_pretrained(
            source,
            # Wan's autoencoder loses too much in half precision, says diffusers' documentation.
            dtype={"default": precision, "vae": torch.float32},
            use_safetensors=True,
            local_files_only=Source(source).is_local,
        )
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"The model cannot be loaded: {describe(error, source)}") from error
    try:
        pipeline.to(device)
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"The model does not fit into the memory of {device}.") from error
    return DiffusersPipeline(pipeline, family)


def find_device() -> torch.device:
    """The accelerator if there is one."""
    import torch

    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")


def describe(error: Exception, source: str) -> str:
    """The error's first sentence, without the folder's path."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return text.replace(source, "the model's folder")
