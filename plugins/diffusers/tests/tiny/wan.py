"""Wan and what was made from it."""

from __future__ import annotations

from typing import Any

from plugins.diffusers.tests.tiny.parts import (
    WIDTH,
    make_clip_processor,
    make_clip_vision,
    make_flow_scheduler,
    make_tokenizer,
    make_umt5,
    make_wan_vae,
)

NETWORK = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": WIDTH,
    "freq_dim": 16,
    "ffn_dim": 16,
    "num_layers": 1,
    "rope_max_seq_len": 32,
}
IMAGE = {"in_channels": 36, "image_dim": WIDTH, "added_kv_proj_dim": 24}


def make_scheduler() -> Any:
    from diffusers import UniPCMultistepScheduler

    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)


def make_transformer(**changes: Any) -> Any:
    from diffusers import WanTransformer3DModel

    return WanTransformer3DModel(**{**NETWORK, **changes})


def make_components(**others: Any) -> dict[str, Any]:
    made = {
        "tokenizer": make_tokenizer,
        "text_encoder": make_umt5,
        "vae": make_wan_vae,
        "scheduler": make_scheduler,
        "transformer": make_transformer,
    }
    return {**{name: make() for name, make in made.items() if name not in others}, **others}


def wan_text() -> Any:
    from diffusers import WanPipeline

    return WanPipeline(**make_components())


def wan_image(**changes: Any) -> Any:
    from diffusers import WanImageToVideoPipeline

    transformer = make_transformer(**{**IMAGE, **changes})
    return WanImageToVideoPipeline(
        **make_components(transformer=transformer),
        image_encoder=make_clip_vision(projection=False),
        image_processor=make_clip_processor(),
    )


def wan_first_and_last() -> Any:
    return wan_image(pos_embed_seq_len=2 * 17)


def wan_experts() -> Any:
    from diffusers import WanPipeline

    return WanPipeline(**make_components(), transformer_2=make_transformer(), boundary_ratio=0.875)


def wan_image_experts() -> Any:
    from diffusers import WanImageToVideoPipeline

    return WanImageToVideoPipeline(
        **make_components(transformer=make_transformer(in_channels=36)),
        transformer_2=make_transformer(in_channels=36),
        boundary_ratio=0.9,
        image_encoder=None,
        image_processor=None,
    )


def wan_ti2v() -> Any:
    from diffusers import WanPipeline

    vae = make_wan_vae(
        z_dim=48,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        is_residual=True,
        scale_factor_spatial=16,
        latents_mean=[0.0] * 48,
        latents_std=[1.0] * 48,
    )
    transformer = make_transformer(in_channels=48, out_channels=48)
    return WanPipeline(**make_components(vae=vae, transformer=transformer), expand_timesteps=True)


def wan_vace() -> Any:
    from diffusers import WanVACEPipeline, WanVACETransformer3DModel

    transformer = WanVACETransformer3DModel(**{**NETWORK, "num_layers": 2}, vace_layers=[0], vace_in_channels=96)
    return WanVACEPipeline(**make_components(transformer=transformer))


def skyreels_transformer(**changes: Any) -> Any:
    from diffusers import SkyReelsV2Transformer3DModel

    return SkyReelsV2Transformer3DModel(**{**NETWORK, **changes})


def skyreels_text() -> Any:
    from diffusers import SkyReelsV2Pipeline

    return SkyReelsV2Pipeline(**make_components(transformer=skyreels_transformer()))


def skyreels_image() -> Any:
    from diffusers import SkyReelsV2ImageToVideoPipeline

    return SkyReelsV2ImageToVideoPipeline(
        **make_components(transformer=skyreels_transformer(**IMAGE)),
        image_encoder=make_clip_vision(projection=False),
        image_processor=make_clip_processor(),
    )


def skyreels_forcing() -> Any:
    from diffusers import SkyReelsV2DiffusionForcingPipeline

    return SkyReelsV2DiffusionForcingPipeline(
        **make_components(transformer=skyreels_transformer(inject_sample_info=True))
    )


def lucy_edit() -> Any:
    from diffusers import LucyEditPipeline

    return LucyEditPipeline(
        **make_components(transformer=make_transformer(in_channels=32), scheduler=make_flow_scheduler())
    )


def anyflow() -> Any:
    from diffusers import AnyFlowPipeline, AnyFlowTransformer3DModel, FlowMapEulerDiscreteScheduler

    return AnyFlowPipeline(
        **make_components(transformer=AnyFlowTransformer3DModel(**NETWORK), scheduler=FlowMapEulerDiscreteScheduler())
    )


def anyflow_far() -> Any:
    """In chunks of one latent, three and so on; the older ones are seen in larger patches."""
    from diffusers import AnyFlowFARPipeline, AnyFlowFARTransformer3DModel, FlowMapEulerDiscreteScheduler

    return AnyFlowFARPipeline(
        **make_components(
            transformer=AnyFlowFARTransformer3DModel(**NETWORK), scheduler=FlowMapEulerDiscreteScheduler()
        )
    )
