"""HunyuanVideo, FramePack, HunyuanVideo 1.5."""

from __future__ import annotations

from typing import Any

from plugins.diffusers.tests.tiny.parts import (
    LANGUAGE,
    WIDTH,
    make_clip_text,
    make_flow_scheduler,
    make_hunyuan_vae,
    make_llama,
    make_siglip,
    make_t5,
    make_tokenizer,
)

NETWORK = {
    "in_channels": 4,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 10,
    "num_layers": 1,
    "num_single_layers": 1,
    "num_refiner_layers": 1,
    "patch_size": 2,
    "patch_size_t": 1,
    "guidance_embeds": True,
    "text_embed_dim": WIDTH,
    "pooled_projection_dim": WIDTH,
    "rope_axes_dim": (2, 4, 4),
}


def make_components(**others: Any) -> dict[str, Any]:
    return {
        "text_encoder": make_llama(),
        "tokenizer": make_tokenizer(),
        "text_encoder_2": make_clip_text(),
        "tokenizer_2": make_tokenizer(77),
        "vae": make_hunyuan_vae(),
        "scheduler": make_flow_scheduler(shift=7.0),
        **others,
    }


def make_transformer(**changes: Any) -> Any:
    from diffusers import HunyuanVideoTransformer3DModel

    return HunyuanVideoTransformer3DModel(**{**NETWORK, **changes})


def make_llava() -> Any:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    text = LlamaConfig(
        **LANGUAGE,
        pad_token_id=0,
        max_position_embeddings=2048,
    )
    # 24 x 24 patches: the pipeline counts on 576 tokens for the image.
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=WIDTH,
        image_size=48,
        patch_size=2,
    )
    return LlavaForConditionalGeneration(
        LlavaConfig(text_config=text, vision_config=vision, image_token_index=3, pad_token_id=0)
    )


def hunyuan_text() -> Any:
    from diffusers import HunyuanVideoPipeline

    return HunyuanVideoPipeline(**make_components(transformer=make_transformer()))


def hunyuan_image(**changes: Any) -> Any:
    from diffusers import HunyuanVideoImageToVideoPipeline
    from transformers import CLIPImageProcessor

    network = {"in_channels": 9, "image_condition_type": "latent_concat", "guidance_embeds": False, **changes}
    return HunyuanVideoImageToVideoPipeline(
        **make_components(
            transformer=make_transformer(**network),
            text_encoder=make_llava(),
            tokenizer=make_tokenizer(image="<image>"),
        ),
        image_processor=CLIPImageProcessor(crop_size=48, size={"shortest_edge": 48}),
    )


def hunyuan_image_replaced() -> Any:
    """The second release: the first latent is replaced, and the scale is embedded."""
    return hunyuan_image(in_channels=4, image_condition_type="token_replace", guidance_embeds=True)


def hunyuan_skyreels() -> Any:
    from diffusers import HunyuanSkyreelsImageToVideoPipeline

    return HunyuanSkyreelsImageToVideoPipeline(
        **make_components(transformer=make_transformer(in_channels=8, guidance_embeds=False))
    )


def framepack() -> Any:
    from diffusers import HunyuanVideoFramepackPipeline, HunyuanVideoFramepackTransformer3DModel

    encoder, processor = make_siglip()
    transformer = HunyuanVideoFramepackTransformer3DModel(
        **NETWORK, has_image_proj=True, image_proj_dim=WIDTH, has_clean_x_embedder=True
    )
    return HunyuanVideoFramepackPipeline(
        **make_components(transformer=transformer), image_encoder=encoder, feature_extractor=processor
    )


def make_components_15(task: str) -> dict[str, Any]:
    from diffusers import (
        AutoencoderKLHunyuanVideo15,
        ClassifierFreeGuidance,
        HunyuanVideo15Transformer3DModel,
    )
    from transformers import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel

    text = Qwen2_5_VLTextConfig(
        **LANGUAGE,
        rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1_000_000.0},
    )
    return {
        "text_encoder": Qwen2_5_VLTextModel(text),
        "tokenizer": make_tokenizer(2048),
        "text_encoder_2": make_t5(),
        "tokenizer_2": make_tokenizer(),
        "vae": AutoencoderKLHunyuanVideo15(
            latent_channels=4, block_out_channels=(16, 16, 16, 16, 16), layers_per_block=1
        ),
        "scheduler": make_flow_scheduler(shift=7.0),
        "guider": ClassifierFreeGuidance(guidance_scale=6.0),
        "transformer": HunyuanVideo15Transformer3DModel(
            in_channels=9,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=16,
            num_layers=1,
            num_refiner_layers=1,
            text_embed_dim=WIDTH,
            text_embed_2_dim=WIDTH,
            image_embed_dim=WIDTH,
            rope_axes_dim=(4, 4, 8),
            target_size=32,
            task_type=task,
        ),
    }


def hunyuan15_text() -> Any:
    from diffusers import HunyuanVideo15Pipeline

    return HunyuanVideo15Pipeline(**make_components_15("t2v"))


def hunyuan15_image() -> Any:
    from diffusers import HunyuanVideo15ImageToVideoPipeline

    encoder, processor = make_siglip()
    return HunyuanVideo15ImageToVideoPipeline(
        **make_components_15("i2v"), image_encoder=encoder, feature_extractor=processor
    )
