"""Loads a diffusers pipeline: safetensors only, no code from the model's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from videoapi import Mode, ModelError, OutOfMemory
from videoapi_diffusers.changes import apply_changes
from videoapi_diffusers.families import find_family
from videoapi_diffusers.shape import Configs
from videoapi_diffusers.source import Source

if TYPE_CHECKING:
    import torch

    from videoapi_diffusers.pipeline import DiffusersPipeline


def load(
    source: str,
    pipeline_class: str,
    dtype: str | None = None,
    modes: Mapping[Mode, str] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> DiffusersPipeline:
    """Load a folder or a hub id onto the best device of this machine.

    `dtype` is torch's name of the precision; by default bfloat16 on a GPU and float32 on a CPU. `modes` are the classes
    that share the weights, for what a request may make a video from; `changes` are those of `read_changes`. Raises
    ModelError.
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
    described = Source(source)
    loaded_class = getattr(diffusers, pipeline_class, None)
    if loaded_class is None:
        raise ModelError(f"'{pipeline_class}' is no pipeline of the installed diffusers.")
    try:
        pipeline: Any = loaded_class.from_pretrained(
            source,
            dtype=find_precisions(described.read_configs(), precision),
            use_safetensors=True,
            local_files_only=described.is_local,
        )
    except (OSError, ValueError, ImportError, TypeError, AttributeError) as error:
        raise ModelError(f"The model cannot be loaded: {describe(error, source)}") from error
    check_components(pipeline)
    prepare(pipeline)
    apply_changes(pipeline, changes or {})
    try:
        pipeline.to(device)
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"The model does not fit into the memory of {device}.") from error
    return DiffusersPipeline(pipeline, modes, changes)


def find_precisions(configs: Configs, precision: torch.dtype) -> dict[str, torch.dtype]:
    """Wan's autoencoder loses too much in half precision, says diffusers' documentation."""
    import torch

    is_wan = configs.get("vae", {}).get("_class_name", "AutoencoderKLWan") == "AutoencoderKLWan"
    return {"default": precision, "vae": torch.float32 if is_wan else precision}


def check_components(pipeline: Any) -> None:
    """Raises ModelError when a component is missing that the pipeline cannot do without."""
    needed = set(pipeline._get_signature_keys(type(pipeline))[0]) - set(pipeline._optional_components)
    missing = sorted(name for name in needed if getattr(pipeline, name, None) is None)
    if missing:
        raise ModelError(f"The model's folder lacks what a {type(pipeline).__name__} needs: {', '.join(missing)}.")


def prepare(pipeline: Any) -> None:
    """Set what the pipeline cannot work without."""
    if find_family(type(pipeline).__name__).needs_tiling:
        pipeline.vae.enable_tiling()
    encoder = getattr(pipeline, "text_encoder", None)
    if type(encoder).__name__ == "CLIPTextModel" and not hasattr(encoder, "text_model"):
        # transformers 5 has made one module of the two, and diffusers' `clip_skip` still asks for the inner one. Past
        # torch's own bookkeeping, which would find a module that is its own child.
        object.__setattr__(encoder, "text_model", encoder)


def find_device() -> torch.device:
    """The accelerator if there is one."""
    import torch

    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")


def describe(error: Exception, source: str) -> str:
    """The error's first sentence, without the folder's path."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return text.replace(source, "the model's folder")
