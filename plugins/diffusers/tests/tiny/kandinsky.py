"""Kandinsky 6, whose videos have sound."""

from __future__ import annotations

from typing import Any

from plugins.diffusers.tests.tiny.others import make_qwen
from plugins.diffusers.tests.tiny.parts import (
    WIDTH,
    make_clip_text,
    make_flow_scheduler,
    make_hunyuan_vae,
    make_tokenizer,
)


def make_transformer(**changes: Any) -> Any:
    from diffusers import Kandinsky6Transformer3DModel

    config: dict[str, Any] = {
        "in_visual_dim": 4,
        "out_visual_dim": 4,
        "in_text_dim": WIDTH,
        "in_text_dim2": WIDTH,
        "time_dim": 16,
        "model_dim": 16,
        "ff_dim": 16,
        "num_text_blocks": 1,
        "num_visual_blocks": 1,
        "axes_dims": (4, 6, 6),
        "in_audio_dim": 4,
        "out_audio_dim": 4,
        "text_token_padding": True,
        "ca_rope": True,
        "cross_gates": True,
        "fix_modulation": True,
        "visual_token_type_num_embeddings": 2,
    }
    return Kandinsky6Transformer3DModel(**{**config, **changes})


def make_sound() -> dict[str, Any]:
    from diffusers import MMAudioVAE, MMAudioVocoder

    return {
        "audio_vae": MMAudioVAE(mel_bins=8, latent_channels=4, hidden_channels=8, layers_per_block=1, hop_length=512),
        "vocoder": MMAudioVocoder(
            num_mels=8,
            upsample_initial_channel=16,
            upsample_rates=(16, 32),
            upsample_kernel_sizes=(32, 64),
            resblock_kernel_sizes=(3,),
            resblock_dilation_sizes=((1,),),
        ),
    }


def kandinsky6(**others: Any) -> Any:
    from diffusers import Kandinsky6TI2VAPipeline
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    parts = {
        "transformer": make_transformer(),
        "vae": make_hunyuan_vae(),
        "text_encoder": Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**make_qwen())),
        "tokenizer": make_tokenizer(2048),
        "text_encoder_2": make_clip_text(),
        "tokenizer_2": make_tokenizer(77),
        "scheduler": make_flow_scheduler(),
        **make_sound(),
    }
    return Kandinsky6TI2VAPipeline(**{**parts, **others})


def kandinsky6_distilled() -> Any:
    """Its transformer says of several times at once where each value goes."""
    from diffusers import PiflowScheduler

    scheduler = PiflowScheduler()
    grid = scheduler.config.n_grid
    transformer = make_transformer(out_visual_dim=4 * grid, out_audio_dim=4 * grid)
    return kandinsky6(transformer=transformer, scheduler=scheduler)
