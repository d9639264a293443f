"""The untrained parts of the starter: small instances of diffusers' Wan classes and a tokenizer for its words."""

from __future__ import annotations

import string

from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from videoapi_starter.training.scenes import vocabulary

LATENT_CHANNELS = 12
MASK_CHANNELS = 4  # WanImageToVideoPipeline's: one for each frame that a latent frame stands for
TEXT_WIDTH = 96
TEXT_LENGTH = 512  # WanPipeline pads every prompt to this many tokens with zero vectors
FLOW_SHIFT = 3.0


def make_autoencoder() -> AutoencoderKLWan:
    """16 times smaller in height and width, 4 times in time.

    `temperal_downsample` must hold exactly two True because AutoencoderKLWan encodes in chunks of four frames.
    """
    patch = 4
    return AutoencoderKLWan(
        base_dim=20,
        decoder_base_dim=32,
        z_dim=LATENT_CHANNELS,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        attn_scales=[],
        temperal_downsample=[True, True],
        is_residual=True,
        patch_size=patch,
        in_channels=3 * patch**2,
        out_channels=3 * patch**2,
        scale_factor_temporal=4,
        scale_factor_spatial=4 * patch,
        latents_mean=[0.0] * LATENT_CHANNELS,
        latents_std=[1.0] * LATENT_CHANNELS,
    )


def make_transformer() -> WanTransformer3DModel:
    """One transformer for all modes: noisy latents, then the mask and the latents of the given frames."""
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=5,
        attention_head_dim=32,
        in_channels=2 * LATENT_CHANNELS + MASK_CHANNELS,
        out_channels=LATENT_CHANNELS,
        text_dim=TEXT_WIDTH,
        freq_dim=64,
        ffn_dim=480,
        num_layers=6,
        cross_attn_norm=True,
        rope_max_seq_len=64,
    )


def make_text_encoder(vocabulary_size: int) -> UMT5EncoderModel:
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=vocabulary_size,
            d_model=TEXT_WIDTH,
            d_kv=24,
            d_ff=192,
            num_layers=2,
            num_heads=4,
            relative_attention_num_buckets=16,
            relative_attention_max_distance=64,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=0,
            eos_token_id=1,
        )
    )


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Whole words of the captions, and single characters for everything else.

    The generic class, not T5Tokenizer: transformers 5 rebuilds a T5Tokenizer's normalizer when it loads one and
    loses the lower-casing.
    """
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -6.0)]
    pieces += [(f"▁{word}", -2.0) for word in vocabulary()]
    pieces += [(character, -8.0) for character in string.ascii_lowercase + string.digits + string.punctuation]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace(",", " "),
            normalizers.Replace(".", " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_max_length=TEXT_LENGTH,
        padding_side="right",
    )


def make_scheduler() -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=FLOW_SHIFT, num_train_timesteps=1000
    )
