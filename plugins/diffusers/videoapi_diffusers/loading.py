"""Loads a diffusers pipeline: safetensors only, no code from the model's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from videoapi import Mode, ModelError
from videoapi_diffusers.changes import apply_changes
from videoapi_diffusers.components import DENOISERS, parts_of
from videoapi_diffusers.embeddings import MEMORY_MIB
from videoapi_diffusers.families import find_family
from videoapi_diffusers.placement import find_device, place
from videoapi_diffusers.quality import Profiles
from videoapi_diffusers.shape import Configs
from videoapi_diffusers.source import Source
from videoapi_diffusers.weights.casting import cast_weights
from videoapi_diffusers.weights.encoders import whole_encoders
from videoapi_diffusers.weights.stored import find_folder, load_stored

if TYPE_CHECKING:
    import torch

    from videoapi_diffusers.running.pipeline import DiffusersPipeline


# Of diffusers and transformers, for a folder that is not as they want it.
FAILURES = (OSError, ValueError, ImportError, TypeError, AttributeError, KeyError, RuntimeError)
SMALLER = "the model file can ask for smaller ones"
LEAST = "'diffusers.offload: group' needs the least"


def load(
    source: str,
    pipeline_class: str,
    dtype: str | None = None,
    modes: Mapping[Mode, str] | None = None,
    changes: Mapping[str, Any] | None = None,
    revision: str | None = None,
    weights: Mapping[str, Any] | None = None,
    placement: Mapping[str, str] | None = None,
    embeddings: Mapping[str, Any] | None = None,
    profiles: Profiles | None = None,
) -> DiffusersPipeline:
    """Load a folder or a hub id.

    `dtype` is torch's name of the precision; by default bfloat16 on a GPU and float32 on a CPU. `modes` are the classes
    that share the weights, for what a request may make a video from; `changes` are those of `read_changes`, `weights`
    those of `read_weights`, `placement` that of `placement.read`, `embeddings` that of `embeddings.read`, `profiles`
    those of `find_profiles`. A hub id is downloaded first, at that `revision`. Raises ModelError.
    """
    os.environ.setdefault("DIFFUSERS_DISABLE_REMOTE_CODE", "1")
    import diffusers
    import torch
    import transformers
    from safetensors import SafetensorError

    from videoapi_diffusers.running.embedding_files import open_files
    from videoapi_diffusers.running.embeddings import EmbeddingCache
    from videoapi_diffusers.running.memory import find_remedy, memory_watched
    from videoapi_diffusers.running.pipeline import DiffusersPipeline

    # The server's log is no terminal.
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    device, offload = find_device((placement or {}).get("device", "")), (placement or {}).get("offload", "auto")
    precision = getattr(torch, dtype) if dtype else torch.float32 if device.type == "cpu" else torch.bfloat16
    if device.index is not None and device.type != "cpu":
        # Some libraries load, and take their streams, where torch is at work.
        torch.accelerator.set_device_index(device)
    weights = weights or {}
    loaded_class = getattr(diffusers, pipeline_class, None)
    if loaded_class is None:
        raise ModelError(f"'{pipeline_class}' is no pipeline of the installed diffusers.")
    folder = find_folder(source, revision, weights)
    precisions = find_precisions(Source(str(folder)).read_configs(), precision)
    try:
        with memory_watched("the weights were being read", SMALLER), whole_encoders():
            pipeline: Any = load_stored(loaded_class, folder, weights, precisions, device)
    except (*FAILURES, SafetensorError) as error:
        raise ModelError(f"The model cannot be loaded: {describe(error, str(folder))}") from error
    check_components(pipeline)
    prepare(pipeline)
    apply_changes(pipeline, changes or {})
    # After a LoRA, whose layers it has to leave alone.
    cast_weights(pipeline, weights)
    with memory_watched(f"the weights were going to {device}", SMALLER if device.type == "cpu" else LEAST):
        chosen = place(pipeline, device, offload)
    embeddings = embeddings or {"memory_mib": MEMORY_MIB}
    files = open_files(pipeline, embeddings, folder, weights, device)
    EmbeddingCache(embeddings["memory_mib"], files).attach(pipeline)
    return DiffusersPipeline(pipeline, modes, changes, find_remedy(pipeline, device, chosen), profiles)


def find_precisions(configs: Configs, precision: torch.dtype) -> dict[str, torch.dtype]:
    """Wan's autoencoder loses too much in half precision, says diffusers' documentation."""
    import torch

    is_wan = configs.get("vae", {}).get("_class_name", "AutoencoderKLWan") == "AutoencoderKLWan"
    return {"default": precision, "vae": torch.float32 if is_wan else precision}


def check_components(pipeline: Any) -> None:
    """Raises ModelError when a component is missing that the pipeline cannot do without."""
    components = set(pipeline._get_signature_keys(type(pipeline))[0])
    needed = components - set(pipeline._optional_components)
    missing = sorted(name for name in needed if getattr(pipeline, name, None) is None)
    # Those of two experts may each be left out, but not both.
    if components & set(DENOISERS) and not parts_of(pipeline, DENOISERS):
        missing.append("a denoiser")
    if missing:
        raise ModelError(f"The model's folder lacks what a {type(pipeline).__name__} needs: {', '.join(missing)}.")


def prepare(pipeline: Any) -> None:
    """Set what the pipeline cannot work without."""
    family = find_family(type(pipeline).__name__)
    if family.needs_tiling:
        pipeline.vae.enable_tiling()
    encoder = getattr(pipeline, "text_encoder", None)
    if type(encoder).__name__ == "CLIPTextModel" and not hasattr(encoder, "text_model"):
        # transformers 5 has made one module of the two, and diffusers' `clip_skip` still asks for the inner one. Past
        # torch's own bookkeeping, which would find a module that is its own child.
        object.__setattr__(encoder, "text_model", encoder)
    if family.prepare is not None:
        family.prepare(pipeline)


def describe(error: Exception, source: str) -> str:
    """The error's first sentence, without the folder's path."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return text.replace(source, "the model's folder")
