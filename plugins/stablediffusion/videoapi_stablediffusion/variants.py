"""Which Wan a diffusion model is, and what follows from it.

The library decides by the names and shapes in the file (stable-diffusion.cpp, src/model.cpp `get_sd_version` and
src/wan.hpp `WanRunner`), knows the sizes by heart, and uses or ignores images accordingly, without a word. The same
rules here let the spec say it before anything is loaded; `pipeline.load` compares them with what the library logs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from videoapi import Defaults, Mode
from videoapi_stablediffusion.headers import BadWeights, Tensor

BLOCK = re.compile(r"(?:^|\.)(vace_)?blocks\.(\d+)\.")
# Values of `patch_embedding.weight` over its patch of four: channels in times width.
TI2V_5B, I2V_A14B = 48 * 3072, 36 * 5120

TEXT: frozenset[Mode] = frozenset({"text"})
FRAMES: frozenset[Mode] = frozenset({"first_frame", "first_and_last_frame"})
VACE: frozenset[Mode] = frozenset({"text", "first_frame", "clip"})

# 16 frames a second are what Wan was trained on, 24 for TI2V-5B. The guidance is that of Wan's own configurations.
WAN_2_1 = Defaults(width=832, height=480, num_frames=33, fps=16, num_inference_steps=20, guidance_scale=6.0)
A14B = Defaults(width=832, height=480, num_frames=33, fps=16, num_inference_steps=20, guidance_scale=3.5)
TI2V = Defaults(width=832, height=480, num_frames=49, fps=24, num_inference_steps=20, guidance_scale=5.0)


# Those of Wan's own list (`SUPPORTED_SIZES` in its wan/configs).
SMALL_SIZES = ((832, 480), (480, 832))
LARGE_SIZES = (*SMALL_SIZES, (1280, 720), (720, 1280))


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One kind of Wan."""

    name: str
    """As the library's log has it."""
    modes: frozenset[Mode]
    blocks: int = 30
    width: int = 1536
    """Of its layers."""
    hidden: int = 8960
    """Of their feed-forward part."""
    heads: int = 12
    inputs: int = 16
    """Channels that go into it: latents, and for images as many again and a mask."""
    defaults: Defaults = WAN_2_1
    latent_channels: int = 16
    """Of the autoencoder that belongs to it."""
    size_multiple: int = 16
    native_sizes: tuple[tuple[int, int], ...] = SMALL_SIZES
    needs_clip_vision: bool = False
    takes_control_frames: bool = False


# The sizes that the 14B models share.
_large = partial(Variant, blocks=40, width=5120, hidden=13824, heads=40, native_sizes=LARGE_SIZES)

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant(name="Wan2.1-T2V-1.3B", modes=TEXT),
        Variant(name="Wan2.1-I2V-1.3B", modes=FRAMES, inputs=36, needs_clip_vision=True),
        Variant(name="Wan2.1-VACE-1.3B", modes=VACE, takes_control_frames=True),
        Variant(
            name="Wan2.2-TI2V-5B",
            modes=frozenset({"text", "first_frame"}),
            width=3072,
            hidden=14336,
            heads=24,
            inputs=48,
            defaults=TI2V,
            latent_channels=48,
            size_multiple=32,
            native_sizes=((1280, 704), (704, 1280)),
        ),
        _large(name="Wan2.x-T2V-14B", modes=TEXT),
        _large(name="Wan2.x-VACE-14B", modes=VACE, takes_control_frames=True),
        _large(name="Wan2.1-I2V-14B", modes=FRAMES, inputs=36, needs_clip_vision=True),
        _large(name="Wan2.1-FLF2V-14B", modes=frozenset({"first_and_last_frame"}), inputs=36, needs_clip_vision=True),
        _large(name="Wan2.2-I2V-14B", modes=FRAMES, inputs=36, defaults=A14B),
    )
}


def find_variant(tensors: Mapping[str, Tensor]) -> Variant:
    """The variant of a diffusion model's file. Raises BadWeights for one that the library would choke on."""
    if any(name.endswith("blocks.0.attn1.to_q.weight") for name in tensors):
        raise BadWeights(
            "has diffusers' names; the library knows those of Wan's own and of ComfyUI's files, and of GGUF"
        )
    if not any(name.endswith("blocks.0.cross_attn.norm_k.weight") for name in tensors):
        raise BadWeights("is no Wan diffusion model, which is all that this library makes videos with")
    blocks, vace = 0, False
    for name in tensors:
        match = BLOCK.search(name)
        if match and match[1]:
            vace = True
        elif match:
            blocks = max(blocks, int(match[2]) + 1)
    if blocks not in (30, 40):
        raise BadWeights(f"has {blocks} blocks; a Wan model has 30 (1.3B, 5B) or 40 (14B)")
    variant = VARIANTS[_name(tensors, blocks, vace=vace)]
    inputs = _find_patch(tensors).size // 4 // variant.width
    if inputs != variant.inputs:
        raise BadWeights(f"has {inputs} input channels where {variant.name} has {variant.inputs}: a variant of its own")
    return variant


def _find_patch(tensors: Mapping[str, Tensor]) -> Tensor:
    """Not that of the control frames, whose name has a word before it."""
    for name, tensor in tensors.items():
        if name == "patch_embedding.weight" or name.endswith(".patch_embedding.weight"):
            return tensor
    raise BadWeights("has no patch embedding")


def _name(tensors: Mapping[str, Tensor], blocks: int, *, vace: bool) -> str:
    width = _find_patch(tensors).size // 4
    has_image_embedding = any("img_emb" in name for name in tensors)
    if blocks == 30:
        if width == TI2V_5B and not has_image_embedding:
            return "Wan2.2-TI2V-5B"
        return "Wan2.1-VACE-1.3B" if vace else "Wan2.1-I2V-1.3B" if has_image_embedding else "Wan2.1-T2V-1.3B"
    if has_image_embedding:
        return "Wan2.1-FLF2V-14B" if any("img_emb.emb_pos" in name for name in tensors) else "Wan2.1-I2V-14B"
    if width == I2V_A14B:
        return "Wan2.2-I2V-14B"
    return "Wan2.x-VACE-14B" if vace else "Wan2.x-T2V-14B"
