"""Models with a UNet, and Latte and Allegro, whose frames are images too."""

from __future__ import annotations

from typing import Any

from plugins.diffusers.tests.tiny.parts import (
    WIDTH,
    make_clip_processor,
    make_clip_text,
    make_clip_vision,
    make_image_vae,
    make_tokenizer,
)

CHANNELS = (8, 8)
UNET_3D: dict[str, Any] = {
    "block_out_channels": CHANNELS,
    "layers_per_block": 1,
    "sample_size": 8,
    "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"),
    "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"),
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 4,
    "norm_num_groups": 2,
}


def make_ddim() -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(beta_schedule="linear", clip_sample=False)


def make_text_components() -> dict[str, Any]:
    """What all models of this kind have that follow a prompt."""
    return {
        "scheduler": make_ddim(),
        "vae": make_image_vae(),
        "text_encoder": make_clip_text(),
        "tokenizer": make_tokenizer(77),
    }


def make_motion_components() -> dict[str, Any]:
    from diffusers import MotionAdapter, UNet2DConditionModel

    unet = UNet2DConditionModel(
        block_out_channels=CHANNELS,
        layers_per_block=1,
        sample_size=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        norm_num_groups=2,
        attention_head_dim=4,
    )
    adapter = MotionAdapter(
        block_out_channels=CHANNELS,
        motion_layers_per_block=1,
        motion_norm_num_groups=2,
        motion_num_attention_heads=2,
    )
    return {
        **make_text_components(),
        "unet": unet,
        "motion_adapter": adapter,
    }


def animatediff() -> Any:
    from diffusers import AnimateDiffPipeline

    return AnimateDiffPipeline(**make_motion_components())


def animatediff_pag() -> Any:
    from diffusers import AnimateDiffPAGPipeline

    return AnimateDiffPAGPipeline(**make_motion_components(), pag_applied_layers="mid")


def animatediff_xl() -> Any:
    from diffusers import AnimateDiffSDXLPipeline, MotionAdapter, UNet2DConditionModel

    parts = make_text_components()
    return AnimateDiffSDXLPipeline(
        **parts,
        text_encoder_2=make_clip_text(projection=True),
        tokenizer_2=make_tokenizer(77),
        unet=UNet2DConditionModel(
            block_out_channels=CHANNELS,
            layers_per_block=1,
            sample_size=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            # Of both text encoders.
            cross_attention_dim=2 * WIDTH,
            norm_num_groups=2,
            attention_head_dim=4,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=WIDTH + 6 * 4,
        ),
        motion_adapter=MotionAdapter(
            block_out_channels=CHANNELS,
            motion_layers_per_block=1,
            motion_norm_num_groups=2,
            motion_num_attention_heads=2,
            use_motion_mid_block=False,
        ),
    )


def pia() -> Any:
    from diffusers import MotionAdapter, PIAPipeline

    parts = make_motion_components()
    parts["motion_adapter"] = MotionAdapter(
        block_out_channels=CHANNELS,
        motion_layers_per_block=1,
        motion_norm_num_groups=2,
        motion_num_attention_heads=2,
        conv_in_channels=9,
    )
    return PIAPipeline(**parts)


def stable_video() -> Any:
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        EulerDiscreteScheduler,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )

    return StableVideoDiffusionPipeline(
        unet=UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 32),
            layers_per_block=1,
            sample_size=8,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            cross_attention_dim=WIDTH,
            num_attention_heads=2,
            projection_class_embeddings_input_dim=96,
            addition_time_embed_dim=32,
        ),
        scheduler=EulerDiscreteScheduler(prediction_type="v_prediction", use_karras_sigmas=True, sigma_min=0.002),
        vae=AutoencoderKLTemporalDecoder(
            block_out_channels=(32, 32, 32, 32),
            down_block_types=["DownEncoderBlock2D"] * 4,
            latent_channels=4,
        ),
        # The pipeline resizes to what the released encoder takes.
        image_encoder=make_clip_vision(image_size=224),
        feature_extractor=make_clip_processor(),
    )


def modelscope() -> Any:
    from diffusers import TextToVideoSDPipeline, UNet3DConditionModel

    return TextToVideoSDPipeline(
        unet=UNet3DConditionModel(**UNET_3D),
        **make_text_components(),
    )


def i2vgen_xl() -> Any:
    from diffusers import I2VGenXLPipeline
    from diffusers.models import I2VGenXLUNet

    return I2VGenXLPipeline(
        unet=I2VGenXLUNet(**UNET_3D),
        **make_text_components(),
        image_encoder=make_clip_vision(),
        feature_extractor=make_clip_processor(),
    )
