"""From a pipeline's signature and its components' configurations to what the kernel has to know about the model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from videoapi import Defaults, Limits
from videoapi_diffusers.families import find_family
from videoapi_diffusers.inputs import FRAMES, GUIDANCE, NEGATIVE_PROMPT, RATE, STEPS
from videoapi_diffusers.shape import Configs, find_scales
from videoapi_diffusers.signature import Signature

# For a pipeline that says nothing about its rate: what most of today's models were trained on.
FPS = 16


def is_guided_twice(configs: Configs) -> bool:
    """The denoiser takes the guidance scale as a number, so that guidance by a negative prompt is one more."""
    return bool(configs.get("transformer", {}).get("guidance_embeds", True))


def find_defaults(signature: Signature, configs: Configs, multiple: int) -> Defaults:
    """The family's word, else the signature's, else the size that the denoiser was made for, else the kernel's."""
    names = {
        "num_frames": FRAMES,
        "fps": RATE,
        "num_inference_steps": STEPS,
        "guidance_scale": GUIDANCE if is_guided_twice(configs) else ("true_cfg_scale", *GUIDANCE),
        "width": ("width",),
        "height": ("height",),
    }
    found: dict[str, Any] = {"fps": FPS, **_find_native_size(configs)}
    found |= {key: value for key, group in names.items() if (value := signature.number(*group)) is not None}
    family = find_family(signature.name)
    found |= {**family.defaults, **family.find_own_defaults(configs)}
    for side in {"width", "height"} & found.keys():
        found[side] = round(found[side] / multiple) * multiple
    values: dict[str, Any] = {key: float(v) if key == "guidance_scale" else int(v) for key, v in found.items()}
    return Defaults(**values)


def find_native_sizes(signature: Signature, configs: Configs, multiple: int) -> tuple[tuple[int, int], ...]:
    """What the family knows of the weights, else the size that its authors name; none where nobody says."""
    family = find_family(signature.name)
    sizes = list(family.find_native_sizes(configs))
    known = {**family.defaults, **family.find_own_defaults(configs)}
    if not sizes and "width" in known:
        sizes = [(int(known["width"]), int(known["height"]))]
    return tuple((width, height) for width, height in sizes if width % multiple == 0 == height % multiple)


def find_unsupported(signatures: Iterable[Signature], configs: Configs) -> frozenset[str]:
    """Request fields for which no argument is there, by their HTTP names."""
    signatures = list(signatures)
    has_guider = "guider" in configs.get("model_index", {}) or any("guider" in each.components for each in signatures)
    groups = {"negative_prompt": NEGATIVE_PROMPT, "step": STEPS, "cfg_scale": (*GUIDANCE, "true_cfg_scale")}
    missing = {name for name, group in groups.items() if not any(each.first(*group) for each in signatures)}
    return frozenset(missing - {"cfg_scale"} if has_guider else missing)


def find_options(signature: Signature, configs: Configs) -> dict[str, Any]:
    """The defaults of `params` that these weights have in place of the signatures', and None for what they lack."""
    found = dict(find_family(signature.name).find_options(configs))
    return found if is_guided_twice(configs) else {**found, "true_cfg_scale": None}


def find_limits(signature: Signature, configs: Configs) -> Limits:
    """The kernel's, and the frames that the weights have positions for."""
    most = find_family(signature.name).find_max_frames(configs)
    return Limits() if most is None else Limits(max_frames=most)


def describe(signature: Signature) -> str:
    """What a client should know, as a sentence; empty where everything is as usual."""
    return "" if "prompt" in signature.parameters else "Makes a video of the start image; the prompt has no effect."


def _find_native_size(configs: Configs) -> dict[str, int]:
    """Pixels, from the latents that the denoiser's configuration names."""
    scale = find_scales(configs)[0]
    denoiser = configs.get("transformer") or configs.get("unet") or {}
    size = denoiser.get("sample_size")
    sizes = {
        "width": denoiser.get("sample_width", size),
        "height": denoiser.get("sample_height", size),
    }
    return {side: value * scale for side, value in sizes.items() if isinstance(value, int)}
