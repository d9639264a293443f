"""Components that many tiny pipelines share: tokenizers, text and image encoders."""

from __future__ import annotations

from typing import Any

WORDS = ("a", "b", "c", "d", "e", "f", "g", "h", "red", "blue", "ball")
TEMPLATE = (
    "{% for message in messages %}{% set said = message['content'] %}"
    "{{ said if said is string else said[0]['text'] }} {% endfor %}"
)
VOCABULARY = 32
WIDTH = 16
LANGUAGE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
"""The configuration of every language model that reads prompts."""


def make_tokenizer(max_length: int = 512, **special: str) -> Any:
    """One word is one token; every word that it does not know is the same."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "</s>", "<unk>", *special.values(), *WORDS]
    vocabulary = {word: index for index, word in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        bos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_max_length=max_length,
        extra_special_tokens=dict(special),
    )
    made.chat_template = TEMPLATE
    return made


def make_t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(T5Config(vocab_size=VOCABULARY, d_model=WIDTH, d_kv=8, d_ff=16, num_layers=1, num_heads=2))


def make_umt5() -> Any:
    from transformers import UMT5Config, UMT5EncoderModel

    return UMT5EncoderModel(
        UMT5Config(vocab_size=VOCABULARY, d_model=WIDTH, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )


def make_clip_text(projection: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=WIDTH,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
    )
    return CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)


def make_clip_vision(projection: bool = True, image_size: int = 32) -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=WIDTH,
        image_size=image_size,
        patch_size=image_size // 4,
    )
    return CLIPVisionModelWithProjection(config) if projection else CLIPVisionModel(config)


def make_clip_processor() -> Any:
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(crop_size=32, size={"shortest_edge": 32})


def make_siglip() -> tuple[Any, Any]:
    """The model and its processor."""
    from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

    config = SiglipVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    return SiglipVisionModel(config), SiglipImageProcessor(size={"height": 32, "width": 32})


def make_llama() -> Any:
    from transformers import LlamaConfig, LlamaModel

    return LlamaModel(
        LlamaConfig(
            **LANGUAGE,
            pad_token_id=0,
        )
    )


def make_wan_vae(**changes: Any) -> Any:
    from diffusers import AutoencoderKLWan

    config = {
        "base_dim": 3,
        "z_dim": 16,
        "dim_mult": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "temperal_downsample": [False, True, True],
    }
    return AutoencoderKLWan(**{**config, **changes})


def make_hunyuan_vae() -> Any:
    from diffusers import AutoencoderKLHunyuanVideo

    return AutoencoderKLHunyuanVideo(
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        mid_block_add_attention=True,
    )


def make_image_vae(block_out_channels: tuple[int, ...] = (8, 8, 8, 8)) -> Any:
    """An image autoencoder of scale 8, as models of single frames have."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=block_out_channels,
        down_block_types=["DownEncoderBlock2D"] * len(block_out_channels),
        up_block_types=["UpDecoderBlock2D"] * len(block_out_channels),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
    )


def make_flow_scheduler(**options: Any) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(**options)
