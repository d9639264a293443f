"""Weights in 8 bits that are cast up, layer by layer, while they are used: needs no kernels and no packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videoapi_diffusers.weights.quantization import CASTING


def cast_weights(pipeline: Any, weights: Mapping[str, Any]) -> None:
    """Store the linear and convolutional layers of the components that are to be cast as float8; norms stay."""
    quantization = weights.get("quantization", {})
    for name in quantization["components"] if quantization.get("scheme") == CASTING else ():
        if getattr(pipeline, name, None) is not None:
            _cast(getattr(pipeline, name))


def _cast(component: Any) -> None:
    import torch
    from diffusers.hooks import apply_layerwise_casting
    from diffusers.hooks.layerwise_casting import DEFAULT_SKIP_MODULES_PATTERN

    types = {"storage_dtype": torch.float8_e4m3fn, "compute_dtype": component.dtype}
    if hasattr(component, "enable_layerwise_casting"):
        component.enable_layerwise_casting(**types)
        return
    # T5 asks for the type of some weights before it uses them, and would take its activations down to it. They are
    # those that it wants in full precision, too.
    kept = (*DEFAULT_SKIP_MODULES_PATTERN, *(getattr(component, "_keep_in_fp32_modules", None) or ()))
    apply_layerwise_casting(component, **types, skip_modules_pattern=kept, skip_modules_classes=(torch.nn.Embedding,))
