"""Where a pipeline's components are: on the device, or in main memory until they are needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from videoapi import ModelError, ModelFile
from videoapi_diffusers.components import DENOISERS, is_text_encoder, modules_of, parts_of

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

OFFLOAD = "diffusers.offload"
DEVICE = "diffusers.device"
OFFLOADS = ("auto", "none", "text_encoder", "model", "group", "sequential")
GIB = 2**30
# Of the device's free memory, for weights: the rest is for what the steps and the decoding need.
SHARE = 0.8
# For the text encoders beside all others: while they work, little else is needed.
ENCODING_SHARE = 0.95


def read(config: ModelFile) -> dict[str, str]:
    """The device and the offload that the file asks for. Raises ConfigurationError."""
    low = config.get("low_vram", bool, False)
    offload = config.get(OFFLOAD, str, "model" if low else "auto")
    if offload not in OFFLOADS:
        raise config.error(OFFLOAD, f"must be one of {', '.join(OFFLOADS)}, not {offload!r}")
    return {"device": config.get(DEVICE, str, ""), "offload": offload}


def find_device(name: str = "") -> torch.device:
    """The named device, else the accelerator if there is one. Raises ModelError for one that is not here."""
    import torch

    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if not name:
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"'{name}' is no device; write cpu, cuda, cuda:1 or the like in '{DEVICE}'.") from error
    count = torch.accelerator.device_count() if accelerator else 0
    found = ["cpu", *(f"{accelerator}:{index}" for index in range(count))]
    if device.type != "cpu" and f"{device.type}:{device.index or 0}" not in found:
        raise ModelError(f"This machine has no device '{name}'; it has {', '.join(found)}.")
    return device


def place(pipeline: Any, device: torch.device, offload: str) -> str:
    """Put the components where they belong; returns the offload that was chosen."""
    if device.type == "cpu":
        if offload not in ("auto", "none"):
            logger.warning("offload '%s' has no effect on a CPU, where all weights are in main memory", offload)
        pipeline.to(device)
        return "none"
    if offload == "auto":
        offload, reason = choose_offload(measure(pipeline), _find_free(pipeline, device))
        logger.info("offload '%s' on %s: %s", offload, device, reason)
    PLACES[offload](pipeline, device)
    return offload


def send_home(pipeline: Any) -> None:
    """Of what waits in main memory, what a call that has ended early left on the device.

    A component sends only the one before it back.
    """
    from accelerate.hooks import CpuOffload

    for module in modules_of(pipeline).values():
        if isinstance(getattr(module, "_hf_hook", None), CpuOffload):
            module.to("cpu")


def measure(pipeline: Any) -> dict[str, int]:
    """Bytes of each component's weights."""
    return {name: sum(map(_count_bytes, _weights_of(module))) for name, module in modules_of(pipeline).items()}


def _weights_of(module: Any) -> list[Any]:
    return [*module.parameters(), *module.buffers()]


def _count_bytes(tensor: Any) -> int:
    """Quantised ones of torchao say how large they would be unquantised; their parts tell the truth."""
    if hasattr(tensor, "__tensor_flatten__"):
        return sum(_count_bytes(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
    return int(tensor.nbytes)


def _find_free(pipeline: Any, device: torch.device) -> int:
    """Bytes of the device that the weights may take: bitsandbytes has loaded its own onto it already."""
    import torch

    tensors = (tensor for module in modules_of(pipeline).values() for tensor in _weights_of(module))
    there = sum(_count_bytes(tensor) for tensor in tensors if tensor.device.type == device.type)
    return torch.accelerator.get_memory_info(device)[0] + there


def choose_offload(sizes: Mapping[str, int], free: int) -> tuple[str, str]:
    """The fastest offload that fits into so many bytes, and why; `sizes` are those of the components.

    Raises nothing: where even the least may not fit, the steps will say so.
    """
    total = sum(sizes.values())
    encoders = sum(size for name, size in sizes.items() if is_text_encoder(name))
    said = f"{total / GIB:.1f} GiB of weights, {free / GIB:.1f} GiB free"
    if total <= SHARE * free:
        return "none", f"{said}; all fit at once"
    if encoders and total <= ENCODING_SHARE * free and total - encoders <= SHARE * free:
        return "text_encoder", f"{said}; without the text encoders, {(total - encoders) / GIB:.1f} GiB are left"
    largest = max(sizes, key=lambda name: sizes[name])
    if sizes[largest] <= SHARE * free:
        return "model", f"{said}; the largest component, {largest}, has {sizes[largest] / GIB:.1f} GiB and fits alone"
    return "group", f"{said}; the largest component, {largest}, has {sizes[largest] / GIB:.1f} GiB and does not fit"


def offload_text_encoders(pipeline: Any, device: torch.device) -> None:
    """All on the device but the text encoders, which come for each text that they have to read."""
    modules = modules_of(pipeline)
    encoders = [name for name in modules if is_text_encoder(name)]
    for name in modules.keys() - set(encoders):
        modules[name].to(device)
    hooks = _offload_in_turn([modules[name] for name in encoders], device)

    def leave(*_: object) -> None:
        for hook in hooks:
            hook.offload()

    for denoiser in parts_of(pipeline, DENOISERS):
        denoiser.register_forward_pre_hook(leave)


def offload_models(pipeline: Any, device: torch.device) -> None:
    """One component at a time on the device.

    As diffusers' `enable_model_cpu_offload` does, but once for all pipelines around these components, and without
    taking the hooks off and putting them on again after each call.
    """
    modules = modules_of(pipeline)
    order = [name for name in (pipeline.model_cpu_offload_seq or "").split("->") if name in modules]
    kept = set(pipeline._exclude_from_cpu_offload)
    for name in kept & modules.keys():
        modules[name].to(device)
    _offload_in_turn([modules[name] for name in dict.fromkeys([*order, *modules]) if name not in kept], device)


def offload_groups(pipeline: Any, device: torch.device) -> None:
    """The layers one by one, the next while the last works.

    The autoencoder decodes past the calls by which diffusers learns what comes next, so it has no stream; those that
    refuse to be split are small, and stay on the device.
    """
    from diffusers.hooks import apply_group_offloading

    has_streams = device.type in ("cuda", "xpu")
    for name, part in modules_of(pipeline).items():
        if getattr(part, "_supports_group_offloading", True):
            stream = has_streams and name != "vae"
            apply_group_offloading(part, onload_device=device, offload_type="leaf_level", use_stream=stream)
        else:
            part.to(device)


def offload_layers(pipeline: Any, device: torch.device) -> None:
    """The layers one by one: the least memory, and the slowest."""
    pipeline.enable_sequential_cpu_offload(device=device)


PLACES: Mapping[str, Callable[[Any, torch.device], Any]] = {
    "none": lambda pipeline, device: pipeline.to(device),
    "text_encoder": offload_text_encoders,
    "model": offload_models,
    "group": offload_groups,
    "sequential": offload_layers,
}


def _offload_in_turn(modules: list[Any], device: torch.device) -> list[Any]:
    """Each comes to the device when it is called, and sends the others back: which of them was there before is not
    known, for a remembered text asks no encoder.
    """
    from accelerate.hooks import CpuOffload, UserCpuOffloadHook, add_hook_to_module
    from accelerate.utils.memory import clear_device_cache

    class Alone(CpuOffload):  # type: ignore[misc]
        def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
            leaving = [each for each in modules if each is not module and _is_on(each, device)]
            for each in leaving:
                each.to("cpu")
            if leaving:
                clear_device_cache()
            return super().pre_forward(module, *args, **kwargs)

    hooks = []
    for module in modules:
        hook = Alone(execution_device=device)
        add_hook_to_module(module, hook, append=True)
        hooks.append(UserCpuOffloadHook(module, hook))
    return hooks


def _is_on(module: Any, device: torch.device) -> bool:
    weight: torch.Tensor = next(module.parameters())
    return weight.device.type == device.type
