"""Which frame counts and sizes a model can make, from the configurations of its components."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from videoapi import FrameGrid
from videoapi_diffusers.signature import Signature

Configs = Mapping[str, Mapping[str, Any]]
"""The components' own configurations by component name, as far as they are on this machine, and `model_index`."""

# Pixels and frames of one latent where the configuration of an autoencoder of that class does not say: the defaults of
# diffusers' classes.
SCALES = {
    "AsymmetricAutoencoderKL": (8, 1),
    "AutoencoderKL": (8, 1),
    "AutoencoderKLAllegro": (8, 4),
    "AutoencoderKLCogVideoX": (8, 4),
    "AutoencoderKLCosmos": (8, 8),
    "AutoencoderKLHunyuanVideo": (8, 4),
    "AutoencoderKLHunyuanVideo15": (16, 4),
    "AutoencoderKLKVAEVideo": (16, 4),
    "AutoencoderKLLTX2Video": (32, 8),
    "AutoencoderKLLTXVideo": (32, 8),
    "AutoencoderKLMagvit": (8, 4),
    "AutoencoderKLMochi": (8, 6),
    "AutoencoderKLTemporalDecoder": (8, 1),
    "AutoencoderKLWan": (8, 4),
}
# Those whose scale is that of their blocks, whatever their configuration says.
HALVING = ("AutoencoderKL", "AutoencoderKLAllegro", "AutoencoderKLCogVideoX", "AutoencoderKLTemporalDecoder")


def find_scales(configs: Configs, default: tuple[int, int] = (8, 1)) -> tuple[int, int]:
    """The pixels in a row and the frames that one latent stands for."""
    vae = configs.get("vae", {})
    name = str(vae.get("_class_name", ""))
    space, time = SCALES.get(name, default)
    if name in HALVING and "block_out_channels" in vae:
        space = 2 ** (len(vae["block_out_channels"]) - 1)
    for key in ("scale_factor_spatial", "spatial_compression_ratio"):
        space = vae.get(key) or space
    for key in ("scale_factor_temporal", "temporal_compression_ratio"):
        time = vae.get(key) or time
    return space, time


def find_frame_grid(configs: Configs, default: tuple[int, int] = (8, 1)) -> FrameGrid:
    """Frames come in groups of the autoencoder's, and the first one stands alone."""
    time = find_scales(configs, default)[1] * (_read_patch(configs, "patch_size_t", 0) or 1)
    return FrameGrid(step=time, offset=1 if time > 1 else 0)


def find_size_multiple(signature: Signature, configs: Configs, default: tuple[int, int] = (8, 1)) -> int:
    """Of the pixels of one token, and of what the pipeline itself checks for."""
    space = find_scales(configs, default)[0]
    return math.lcm(2, signature.size_multiple, space * (_read_patch(configs, "patch_size", -1) or 1))


def _read_patch(configs: Configs, key: str, index: int) -> int:
    """The denoiser's patch: a number, or one of (time, height, width)."""
    patch = configs.get("transformer", {}).get(key)
    if isinstance(patch, list) and patch:
        patch = patch[index]
    return patch if isinstance(patch, int) else 1
