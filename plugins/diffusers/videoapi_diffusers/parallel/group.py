"""One process's part in diffusers' context parallelism."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoapi import ModelError
from videoapi_diffusers.components import TRANSFORMERS, parts_of
from videoapi_diffusers.parallel.asked import KEY, count_processes
from videoapi_diffusers.words import describe_failure

if TYPE_CHECKING:
    import torch

# Of one process, in the attention that is tried.
TOKENS = 64


def find_devices(name: str, count: int) -> list[str]:
    """Each process's own device. Raises ModelError for fewer GPUs than processes."""
    import torch

    if name == "cpu":
        return [name] * count
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    found = torch.accelerator.device_count() if accelerator else 0
    if accelerator is None or found < count:
        raise ModelError(
            f"'{KEY}' needs {count} GPUs, and the model's process sees {found}; CUDA_VISIBLE_DEVICES names those that "
            "it may use, and 'diffusers.device: cpu' tries it without any."
        )
    return [f"{name or accelerator.type}:{index}" for index in range(count)]


def settings_for(settings: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Those of `load` for one of the processes."""
    return {**settings, "placement": {**settings["placement"], "device": device}}


def join(pipeline: Any, wanted: Mapping[str, Any], rank: int, device: torch.device, folder: Path) -> None:
    """Take part as number `rank` from now on: the pipeline's denoisers calculate together with the other processes'.

    All of them call this at once, with the same empty `folder`, in which they find each other. Raises ModelError.
    """
    import torch.distributed as dist
    from diffusers import ContextParallelConfig
    from torch.distributed import FileStore  # type: ignore[attr-defined]
    from torch.distributed.device_mesh import init_device_mesh

    parts = parts_of(pipeline, TRANSFORMERS)
    if sys.platform == "linux":
        # They are on one machine: nobody else is to reach their sockets.
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(name, "lo")
    backend = (
        "gloo" if device.type == "cpu" else f"cpu:gloo,{device.type}:{dist.get_default_backend_for_device(device)}"
    )
    count = count_processes(wanted)
    try:
        dist.init_process_group(backend, store=FileStore(str(folder / "store"), count), rank=rank, world_size=count)
        mesh = init_device_mesh(
            device.type, (wanted["ring_degree"], wanted["ulysses_degree"]), mesh_dim_names=("ring", "ulysses")
        )
        for part in parts:
            with _devices_counted(device):
                part.enable_parallelism(config=ContextParallelConfig(**wanted, mesh=mesh))
            _try(part, device)
    # A backend's own errors, of any kind.
    except Exception as error:
        raise ModelError(f"'{KEY}' does not work here: {describe_failure(error)}") from error


def check(pipeline: Any, wanted: Mapping[str, Any], device: torch.device) -> None:
    """Raises ModelError for a model that diffusers cannot divide, and for one that is not on its device as a whole.

    Before `join`, in which the others would wait for a process that does not come.
    """
    parts = parts_of(pipeline, TRANSFORMERS)
    if not parts or any(getattr(part, "_cp_plan", None) is None for part in parts):
        names = ", ".join(type(part).__name__ for part in parts) or type(pipeline).__name__
        raise ModelError(f"'{KEY}' is not for this model: diffusers has no plan of how to divide a {names}.")
    degree = wanted["ulysses_degree"]
    for part in parts:
        heads = part.config.num_attention_heads
        if heads % degree and not wanted.get("ulysses_anything"):
            raise ModelError(
                f"'{KEY}.ulysses_degree' is {degree}, which does not divide the model's {heads} heads of attention; "
                "with 'ulysses_anything: true' it need not."
            )
        if any(weight.device != device for weight in part.parameters()):
            raise ModelError(
                f"'{KEY}' needs the whole denoiser on each GPU, and one has too little memory for it; "
                "'diffusers.quantization' makes it smaller."
            )


@contextmanager
def _devices_counted(device: torch.device) -> Iterator[None]:
    """Within it, a CPU counts as a device: diffusers divides by their number to find a device that it does not use."""
    import torch

    original = torch.accelerator.device_count
    if device.type == "cpu":
        torch.accelerator.device_count = lambda: 1
    try:
        yield
    finally:
        torch.accelerator.device_count = original


def _try(part: Any, device: torch.device) -> None:
    """Calculate a little together: diffusers finds out in the first request what a backend of attention lacks."""
    import torch
    from diffusers.models.attention_dispatch import dispatch_attention_fn

    processors: Iterator[Any] = (getattr(module, "processor", None) for module in part.modules())
    backend = next(each._attention_backend for each in processors if hasattr(each, "_attention_backend"))
    config = part._parallel_config
    heads, width = part.config.num_attention_heads, part.config.attention_head_dim
    query = torch.rand(1, TOKENS, heads, width, device=device, dtype=part.dtype)
    with torch.no_grad():
        result = dispatch_attention_fn(query, query, query, backend=backend, parallel_config=config)
    if not torch.isfinite(result).all():
        raise ValueError("the result of its attention is not finite")
