"""Motif."""

from __future__ import annotations

from typing import Any

from plugins.diffusers.tests.tiny.parts import (
    VOCABULARY,
    WIDTH,
    make_flow_scheduler,
    make_siglip,
    make_tokenizer,
    make_wan_vae,
)


def make_text_encoder() -> Any:
    """Its `vision_tower` reads the first frame."""
    from transformers import SiglipVisionConfig, T5Gemma2Encoder
    from transformers.models.t5gemma2.configuration_t5gemma2 import T5Gemma2EncoderConfig

    return T5Gemma2Encoder(
        T5Gemma2EncoderConfig(
            text_config={
                "vocab_size": VOCABULARY,
                "hidden_size": WIDTH,
                "intermediate_size": 16,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "head_dim": 8,
                "dropout_rate": 0.0,
            },
            vision_config=SiglipVisionConfig(
                hidden_size=WIDTH,
                intermediate_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=32,
                patch_size=8,
            ),
            mm_tokens_per_image=4,
            boi_token_index=3,
            eoi_token_index=4,
            image_token_index=5,
        ),
        eoi_token_index=4,
    )


def make_components() -> dict[str, Any]:
    from diffusers import ClassifierFreeGuidance, MotifVideoTransformer3DModel

    return {
        "scheduler": make_flow_scheduler(),
        "vae": make_wan_vae(),
        "text_encoder": make_text_encoder(),
        "tokenizer": make_tokenizer(),
        "transformer": MotifVideoTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=10,
            num_layers=1,
            num_single_layers=1,
            text_embed_dim=WIDTH,
            image_embed_dim=WIDTH,
            rope_axes_dim=(2, 4, 4),
        ),
        "guider": ClassifierFreeGuidance(),
        "feature_extractor": make_siglip()[1],
    }


def motif() -> Any:
    from diffusers import MotifVideoPipeline

    return MotifVideoPipeline(**make_components())
