"""Cosmos, with stand-ins for the two packages that it needs and that are not installed here."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

from plugins.diffusers.tests.tiny.others import make_qwen
from plugins.diffusers.tests.tiny.parts import VOCABULARY, WIDTH, make_t5, make_tokenizer, make_wan_vae
from plugins.diffusers.tests.tiny.wan import make_scheduler


class SafetyChecker:
    """Finds everything safe; the real one downloads models of its own."""

    def to(self, device: Any) -> SafetyChecker:
        return self

    def check_text_safety(self, prompt: str) -> bool:
        return True

    def check_video_safety(self, frames: Any) -> Any:
        return frames


def resize(values: Any, size: tuple[int, int], interpolation: Any = None) -> Any:
    """As torchvision's, to the nearest neighbour."""
    import torch.nn.functional as F

    return F.interpolate(values, size=tuple(size), mode="nearest")


def to_tensor(image: Any) -> Any:
    """As torchvision's: (3, height, width) in [0, 1]."""
    import numpy as np
    import torch

    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255


def stand_in() -> None:
    """Put them in the place of `cosmos_guardrail` and `torchvision` in diffusers' modules."""
    functional = SimpleNamespace(resize=resize, to_tensor=to_tensor)
    transforms = SimpleNamespace(functional=functional, InterpolationMode=SimpleNamespace(NEAREST="nearest"))
    network = importlib.import_module("diffusers.models.transformers.transformer_cosmos")
    network.transforms = transforms  # type: ignore[attr-defined]
    for name in ("cosmos_text2world", "cosmos_video2world", "cosmos2_video2world", "cosmos2_5_predict", "cosmos3_omni"):
        module = importlib.import_module(f"diffusers.pipelines.cosmos.pipeline_{name}")
        module.CosmosSafetyChecker = SafetyChecker  # type: ignore[attr-defined]
        module.torchvision = SimpleNamespace(transforms=transforms)  # type: ignore[attr-defined]


def without_checker(pipeline: Any) -> Any:
    """Made anew when the folder is loaded, as the released folders have it."""
    pipeline.register_modules(safety_checker=None)
    return pipeline


def make_transformer(in_channels: int, **changes: Any) -> Any:
    from diffusers import CosmosTransformer3DModel

    config: dict[str, Any] = {
        "in_channels": in_channels,
        "out_channels": 4,
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": 1,
        "mlp_ratio": 2,
        "text_embed_dim": WIDTH,
        "adaln_lora_dim": 4,
        "max_size": (4, 32, 32),
    }
    return CosmosTransformer3DModel(**{**config, **changes})


def make_components(in_channels: int) -> dict[str, Any]:
    from diffusers import AutoencoderKLCosmos, EDMEulerScheduler

    return {
        "transformer": make_transformer(in_channels),
        "vae": AutoencoderKLCosmos(
            latent_channels=4,
            encoder_block_out_channels=(8, 8, 8, 8),
            decode_block_out_channels=(8, 8, 8, 8),
            attention_resolutions=(8,),
            resolution=64,
            num_layers=1,
        ),
        "scheduler": EDMEulerScheduler(),
        "text_encoder": make_t5(),
        "tokenizer": make_tokenizer(),
    }


def cosmos_text() -> Any:
    from diffusers import CosmosTextToWorldPipeline

    stand_in()
    return without_checker(CosmosTextToWorldPipeline(**make_components(4)))


def cosmos_video() -> Any:
    from diffusers import CosmosVideoToWorldPipeline

    stand_in()
    return without_checker(CosmosVideoToWorldPipeline(**make_components(5)))


def cosmos2_video() -> Any:
    from diffusers import Cosmos2VideoToWorldPipeline, FlowMatchEulerDiscreteScheduler

    parts = make_components(17)
    parts["transformer"] = make_transformer(17, out_channels=16)
    parts["vae"] = make_wan_vae()
    parts["scheduler"] = FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True)
    stand_in()
    return without_checker(Cosmos2VideoToWorldPipeline(**parts))


def cosmos25() -> Any:
    from diffusers import Cosmos2_5_PredictBasePipeline
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    stand_in()
    return without_checker(
        Cosmos2_5_PredictBasePipeline(
            transformer=make_transformer(
                17,
                out_channels=16,
                use_crossattn_projection=True,
                crossattn_proj_in_channels=2 * WIDTH,
                encoder_hidden_states_channels=WIDTH,
            ),
            vae=make_wan_vae(),
            scheduler=make_scheduler(),
            text_encoder=Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**make_qwen())),
            tokenizer=make_tokenizer(),
        )
    )


def cosmos3() -> Any:
    """The transformer reads the prompt's tokens itself; its rate of sound latents is that of the tokenizer."""
    from diffusers import Cosmos3AVAEAudioTokenizer, Cosmos3OmniPipeline, Cosmos3OmniTransformer

    stand_in()
    return without_checker(
        Cosmos3OmniPipeline(
            transformer=Cosmos3OmniTransformer(
                head_dim=8,
                hidden_size=WIDTH,
                intermediate_size=16,
                latent_channel=16,
                num_attention_heads=2,
                num_hidden_layers=1,
                num_key_value_heads=1,
                patch_latent_dim=64,
                rope_axes_dim=(2, 1, 1),
                sound_dim=4,
                sound_gen=True,
                vocab_size=VOCABULARY,
            ),
            text_tokenizer=make_tokenizer(vision="<|vision_start|>"),
            vae=make_wan_vae(),
            scheduler=make_scheduler(),
            sound_tokenizer=Cosmos3AVAEAudioTokenizer(
                sampling_rate=8000,
                vocoder_input_dim=4,
                dec_dim=4,
                dec_c_mults=(1, 2),
                dec_strides=(16, 20),
                enc_dim=8,
                enc_num_blocks=1,
                enc_latent_dim=8,
                enc_c_mults=(1, 2),
                enc_strides=(4, 5),
            ),
        )
    )
