"""Runs a loaded stable-diffusion.cpp model for one request."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from videoapi import Clip, GenerationRequest, InvalidRequest, ModelError, OutOfMemory, Progress
from videoapi_stablediffusion.buffers import Buffers
from videoapi_stablediffusion.library import Context, Frame, Library, open_library
from videoapi_stablediffusion.loras import Layers, check_lora
from videoapi_stablediffusion.memory import OVERHEAD, format_bytes, free_memory, within_free_memory
from videoapi_stablediffusion.request import Arguments
from videoapi_stablediffusion.stages import Stages
from videoapi_stablediffusion.threads import count_free_cores
from videoapi_stablediffusion.variants import VARIANTS

# Parts that keep_clip_on_cpu, keep_vae_on_cpu and offload_params_to_cpu leave in main memory, by the option.
ON_CPU = {
    "keep_clip_on_cpu": ("t5xxl_path", "clip_vision_path"),
    "keep_vae_on_cpu": ("vae_path", "taesd_path"),
}
SMALLER = "try a smaller width, height or num_frames, or vae_tiling in params"
NAMED = {
    "wtype": "str_to_sd_type",
    "rng_type": "str_to_rng_type",
    "sampler_rng_type": "str_to_rng_type",
    "lora_apply_mode": "str_to_lora_apply_mode",
}
"""Settings that the library has by number, and its functions that know the numbers."""


def load(
    variant: str,
    paths: Mapping[str, str],
    context: Mapping[str, Any],
    loras: Mapping[str, str],
    layers: Mapping[str, int],
    weights: Mapping[str, int],
) -> StableDiffusionPipeline:
    """Load a model. `layers` are the inputs of its layers, `weights` the bytes of each of its parts.

    Raises ModelError and OutOfMemory.
    """
    library = open_library()
    check_memory(library, weights, context)
    settings = {"n_threads": count_free_cores(), **context}
    for name, function in NAMED.items():
        if name in settings:
            settings[name] = getattr(library.functions, function)(settings[name].encode())
    recorder = _VariantRecorder(variant)
    library.listener = recorder
    try:
        loaded = Context(library, {**paths, **settings})
    finally:
        library.listener = None
    if not recorder.confirmed:
        loaded.close()
        raise ModelError(f"stable-diffusion.cpp takes the model for another than {variant}; its log says for which.")
    return StableDiffusionPipeline(
        loaded,
        {name: (Path(path), layers) for name, path in loras.items()},
        partial(
            Buffers,
            variant=VARIANTS[variant],
            is_tiny="taesd_path" in paths,
            flash_attention=context["diffusion_flash_attn"],
        ),
    )


def check_memory(library: Library, weights: Mapping[str, int], context: Mapping[str, Any]) -> None:
    """Raises OutOfMemory when the weights do not fit into what is free; the library would be killed half-way."""
    on_device = library.free_device_memory()
    need = dict(weights)
    if on_device is not None:
        stays = {part for option, parts in ON_CPU.items() if context.get(option) for part in parts}
        moved = {} if context.get("offload_params_to_cpu") else {k: v for k, v in need.items() if k not in stays}
        _check_fits(sum(moved.values()), on_device, "the GPU", "offload_params_to_cpu, ")
        need = {part: size for part, size in need.items() if part not in moved}
    _check_fits(sum(need.values()) + OVERHEAD, free_memory(), "main memory", "")


def _check_fits(need: int, free: int, where: str, remedy: str) -> None:
    if need > free:
        raise OutOfMemory(
            f"The model needs {format_bytes(need)} of {where}, and {format_bytes(free)} are free. Use {remedy}files of "
            "a smaller type (q4_0 has half the size of q8_0), or unload other models."
        )


class _VariantRecorder:
    """Hears whether the library takes the model for what the spec says."""

    def __init__(self, variant: str) -> None:
        self._variant = variant
        self.confirmed = False

    def log(self, line: str) -> None:
        self.confirmed |= line == self._variant

    def step(self, done: int, total: int) -> None: ...

    def preview(self, frame: Frame) -> None: ...


class StableDiffusionPipeline:
    """A videoapi pipeline around one loaded model."""

    def __init__(
        self, context: Context, loras: Mapping[str, tuple[Path, Layers]], plan: Callable[..., Buffers]
    ) -> None:
        """`plan` tells what a `request` needs."""
        self.context = context
        self._loras = loras
        self._plan = plan
        self._in_main_memory = context.library.free_device_memory() is None

    def generate(self, request: GenerationRequest, progress: Progress) -> Clip:
        """Raises ModelError, OutOfMemory, and InvalidRequest for params that do not go together. Cannot be stopped."""
        buffers = self._plan(request=request)
        files = {name: str(path) for name, (path, _) in self._loras.items()}
        arguments = Arguments(self.context, request, files, is_tiled=buffers.is_tiled)
        for choice in request.params.get("loras", ()):
            if problem := check_lora(*self._loras[choice["name"]]):
                raise InvalidRequest("params.loras", f"'{choice['name']}' {problem}.")
        if self._in_main_memory and buffers.total > (free := free_memory()):
            raise OutOfMemory(
                f"This needs about {format_bytes(buffers.total)} beside the model, and {format_bytes(free)} are free; "
                f"{SMALLER}."
            )
        stages = Stages(progress, request.num_inference_steps)
        progress.phase("encoding prompt")
        try:
            with within_free_memory() if self._in_main_memory else nullcontext():
                frames = self.context.generate_video(arguments.params, stages)
        except ModelError as error:
            if "alloc" in error.message:
                raise OutOfMemory(f"There is not enough free memory for this; {SMALLER}.") from error
            raise
        if stages.lora_problem:
            raise ModelError(f"A LoRA was left out: {stages.lora_problem}.")
        return Clip(frames=_hand_out(frames))

    def close(self) -> None:
        """Free the weights."""
        self.context.close()


def _hand_out(frames: deque[Frame]) -> Iterator[Frame]:
    """One after the other, each forgotten as it goes."""
    while frames:
        yield frames.popleft()
