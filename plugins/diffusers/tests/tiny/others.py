"""Families of one or two pipelines."""

from __future__ import annotations

from typing import Any

from plugins.diffusers.tests.tiny.parts import (
    VOCABULARY,
    WIDTH,
    make_clip_text,
    make_flow_scheduler,
    make_hunyuan_vae,
    make_image_vae,
    make_t5,
    make_tokenizer,
    make_umt5,
    make_wan_vae,
)
from plugins.diffusers.tests.tiny.unet import make_ddim


def mochi() -> Any:
    from diffusers import AutoencoderKLMochi, MochiPipeline, MochiTransformer3DModel

    return MochiPipeline(
        scheduler=make_flow_scheduler(),
        vae=AutoencoderKLMochi(
            latent_channels=12,
            encoder_block_out_channels=(32, 32, 32, 32),
            decoder_block_out_channels=(32, 32, 32, 32),
            layers_per_block=(1, 1, 1, 1, 1),
        ),
        text_encoder=make_t5(),
        tokenizer=make_tokenizer(),
        transformer=MochiTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=2,
            pooled_projection_dim=16,
            in_channels=12,
            text_embed_dim=WIDTH,
            time_embed_dim=4,
        ),
    )


def allegro() -> Any:
    from diffusers import AllegroPipeline, AllegroTransformer3DModel, AutoencoderKLAllegro

    return AllegroPipeline(
        tokenizer=make_tokenizer(),
        text_encoder=make_t5(),
        vae=AutoencoderKLAllegro(
            block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2, latent_channels=4, sample_size=128
        ),
        scheduler=make_ddim(),
        transformer=AllegroTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=1,
            cross_attention_dim=24,
            sample_width=8,
            sample_height=8,
            sample_frames=8,
            caption_channels=WIDTH,
        ),
    )


def latte() -> Any:
    from diffusers import LattePipeline, LatteTransformer3DModel

    return LattePipeline(
        tokenizer=make_tokenizer(),
        text_encoder=make_t5(),
        vae=make_image_vae(),
        scheduler=make_ddim(),
        transformer=LatteTransformer3DModel(
            sample_size=8,
            num_layers=1,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=2,
            caption_channels=WIDTH,
            in_channels=4,
            cross_attention_dim=16,
            out_channels=8,
            attention_bias=True,
            activation_fn="gelu-approximate",
            num_embeds_ada_norm=1000,
            norm_type="ada_norm_single",
            norm_elementwise_affine=False,
        ),
    )


def sana() -> Any:
    from diffusers import SanaVideoPipeline, SanaVideoTransformer3DModel
    from transformers import Gemma2Config, Gemma2Model

    return SanaVideoPipeline(
        tokenizer=make_tokenizer(),
        text_encoder=Gemma2Model(
            Gemma2Config(
                vocab_size=VOCABULARY,
                hidden_size=WIDTH,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=8,
            )
        ),
        vae=make_wan_vae(),
        scheduler=make_flow_scheduler(),
        transformer=SanaVideoTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=1,
            num_cross_attention_heads=2,
            cross_attention_head_dim=12,
            cross_attention_dim=24,
            caption_channels=WIDTH,
            sample_size=8,
        ),
    )


def helios() -> Any:
    from diffusers import HeliosPipeline, HeliosScheduler, HeliosTransformer3DModel

    return HeliosPipeline(
        tokenizer=make_tokenizer(),
        text_encoder=make_umt5(),
        vae=make_wan_vae(),
        scheduler=HeliosScheduler(stage_range=[0, 1], stages=1),
        transformer=HeliosTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            text_dim=WIDTH,
            freq_dim=16,
            ffn_dim=16,
            num_layers=1,
            rope_dim=(4, 4, 4),
        ),
    )


def helios_pyramid(**settings: Any) -> Any:
    from diffusers import HeliosPyramidPipeline, HeliosScheduler

    parts = helios().components
    return HeliosPyramidPipeline(**{**parts, "scheduler": HeliosScheduler(), **settings})


def easyanimate_components(in_channels: int) -> dict[str, Any]:
    from diffusers import AutoencoderKLMagvit, EasyAnimateTransformer3DModel
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    vae = AutoencoderKLMagvit(latent_channels=4, block_out_channels=[8, 8, 8, 8], layers_per_block=1, norm_num_groups=2)
    # In the released configuration, and asked for by the pipeline, but not one of the class's own.
    vae.register_to_config(cache_mag_vae=True)
    return {
        "vae": vae,
        "text_encoder": Qwen2VLForConditionalGeneration(Qwen2VLConfig(**make_qwen())),
        "tokenizer": make_tokenizer(),
        "scheduler": make_flow_scheduler(),
        "transformer": EasyAnimateTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=in_channels,
            out_channels=4,
            patch_size=2,
            time_embed_dim=2,
            text_embed_dim=WIDTH,
            num_layers=1,
            mmdit_layers=1,
            sample_width=16,
            sample_height=16,
            resize_inpaint_mask_directly=True,
        ),
    }


def make_qwen() -> dict[str, Any]:
    return {
        "text_config": {
            "vocab_size": VOCABULARY,
            "hidden_size": WIDTH,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1_000_000.0},
        },
        "vision_config": {
            "depth": 1,
            "hidden_size": 16,
            "embed_dim": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
        },
    }


def easyanimate() -> Any:
    from diffusers import EasyAnimatePipeline

    return EasyAnimatePipeline(**easyanimate_components(4))


def easyanimate_inpaint() -> Any:
    from diffusers import EasyAnimateInpaintPipeline

    return EasyAnimateInpaintPipeline(**easyanimate_components(9))


def kandinsky5_components(visual_cond: bool) -> dict[str, Any]:
    from diffusers import Kandinsky5Transformer3DModel
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    return {
        "transformer": Kandinsky5Transformer3DModel(
            in_visual_dim=4,
            in_text_dim=WIDTH,
            in_text_dim2=WIDTH,
            time_dim=16,
            out_visual_dim=4,
            model_dim=16,
            ff_dim=16,
            num_text_blocks=1,
            num_visual_blocks=1,
            axes_dims=(4, 6, 6),
            visual_cond=visual_cond,
        ),
        "vae": make_hunyuan_vae(),
        "text_encoder": Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**make_qwen())),
        "tokenizer": make_tokenizer(),
        "text_encoder_2": make_clip_text(),
        "tokenizer_2": make_tokenizer(77),
        "scheduler": make_flow_scheduler(),
    }


def kandinsky5() -> Any:
    from diffusers import Kandinsky5T2VPipeline

    return Kandinsky5T2VPipeline(**kandinsky5_components(visual_cond=False))


def kandinsky5_image() -> Any:
    from diffusers import Kandinsky5I2VPipeline

    return Kandinsky5I2VPipeline(**kandinsky5_components(visual_cond=True))
