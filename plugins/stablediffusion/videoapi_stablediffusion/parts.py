"""The files that a model is made of, and whether each is what its key says."""

from __future__ import annotations

import math
from collections.abc import Mapping

from videoapi_stablediffusion.headers import BadWeights, Tensor
from videoapi_stablediffusion.variants import Variant

Tensors = Mapping[str, Tensor]

UMT5_VOCABULARY = 256384
EMBEDDINGS = ("shared.weight", "token_embd.weight")
CLIP_VISION_WIDTH = 1280
# Values of the tiny autoencoder's first convolution for each latent channel: 3 by 3, to 256 channels.
TINY_FIRST_LAYER = 3 * 3 * 256


def check_text_encoder(tensors: Tensors, variant: Variant) -> None:
    """The library would only warn of a wrong one, and then ignore the prompt."""
    embedding = _find(tensors, *EMBEDDINGS)
    if embedding is None and _find(tensors, "token_embedding.weight"):
        raise BadWeights(
            "has the names of Wan's own checkpoint; the library knows those of ComfyUI's files and of GGUF"
        )
    if embedding is None:
        raise BadWeights("is no T5 text encoder; Wan needs umt5-xxl")
    if UMT5_VOCABULARY not in embedding.shape:
        raise BadWeights(f"is a T5 of another vocabulary ({max(embedding.shape)} words); Wan needs umt5-xxl")


def check_clip_vision(tensors: Tensors, variant: Variant) -> None:
    layer = _find(tensors, "vision_model.post_layernorm.weight")
    if layer is None:
        raise BadWeights("is no CLIP image encoder; Wan needs clip_vision_h")
    if layer.size != CLIP_VISION_WIDTH:
        raise BadWeights(f"is a CLIP image encoder of width {layer.size}; Wan needs clip_vision_h, of 1280")


def check_vae(tensors: Tensors, variant: Variant) -> None:
    layer = _find(tensors, "conv2.weight")
    if layer is None or _find(tensors, "decoder.conv1.weight") is None:
        raise BadWeights("is no Wan autoencoder; a tiny one belongs under taesd_path")
    _check_channels(math.isqrt(layer.size), variant)


def check_tiny_vae(tensors: Tensors, variant: Variant) -> None:
    layer = _find(tensors, "decoder.1.weight")
    if layer is None:
        raise BadWeights("is no tiny video autoencoder, such as taew2_1; a full one belongs under vae_path")
    if _find(tensors, "encoder.0.weight") is None:
        raise BadWeights("is a tiny autoencoder without its encoder")
    _check_channels(layer.size // TINY_FIRST_LAYER, variant)


def _check_channels(channels: int, variant: Variant) -> None:
    if channels != variant.latent_channels:
        other = "Wan 2.2's 5B" if variant.latent_channels == 48 else "Wan 2.1's, also for the 14B models of 2.2"
        raise BadWeights(
            f"is an autoencoder of {channels} channels; {variant.name} has {variant.latent_channels} and needs {other}"
        )


def _find(tensors: Tensors, *names: str) -> Tensor | None:
    """The first tensor of that name, whatever the file puts before it."""
    found = [name for name in tensors if any(name == wanted or name.endswith("." + wanted) for wanted in names)]
    return tensors[min(found, key=len)] if found else None
