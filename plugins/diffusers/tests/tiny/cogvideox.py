"""CogVideoX."""

from __future__ import annotations

from typing import Any

from plugins.diffusers.tests.tiny.parts import WIDTH, make_t5, make_tokenizer

NETWORK = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": 4,
    "out_channels": 4,
    "time_embed_dim": 2,
    "text_embed_dim": WIDTH,
    "num_layers": 1,
    "sample_width": 6,
    "sample_height": 4,
    "sample_frames": 9,
    "max_text_seq_length": 226,
    "use_rotary_positional_embeddings": True,
}


def make_components(transformer: Any) -> dict[str, Any]:
    from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler

    return {
        "tokenizer": make_tokenizer(),
        "text_encoder": make_t5(),
        "vae": AutoencoderKLCogVideoX(
            block_out_channels=(8, 8, 8, 8),
            latent_channels=4,
            layers_per_block=1,
            norm_num_groups=2,
            sample_height=32,
            sample_width=48,
        ),
        "scheduler": CogVideoXDDIMScheduler(),
        "transformer": transformer,
    }


def make_transformer(**changes: Any) -> Any:
    from diffusers import CogVideoXTransformer3DModel

    return CogVideoXTransformer3DModel(**{**NETWORK, **changes})


def cogvideox() -> Any:
    from diffusers import CogVideoXPipeline

    return CogVideoXPipeline(**make_components(make_transformer()))


def cogvideox_image() -> Any:
    from diffusers import CogVideoXImageToVideoPipeline

    return CogVideoXImageToVideoPipeline(**make_components(make_transformer(in_channels=8)))


def cogvideox15() -> Any:
    """Its configuration has the largest size that it has positions for."""
    from diffusers import CogVideoXPipeline

    large = {"sample_width": 300, "sample_height": 300}
    return CogVideoXPipeline(**make_components(make_transformer(patch_size_t=2, patch_bias=False, **large)))


def cogvideox_control() -> Any:
    from diffusers import CogVideoXFunControlPipeline

    return CogVideoXFunControlPipeline(**make_components(make_transformer(in_channels=8)))
