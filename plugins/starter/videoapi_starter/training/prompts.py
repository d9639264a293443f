"""Captions as the transformer meets them in training: drawn, encoded, and padded as the pipeline pads."""

from __future__ import annotations

import random
from typing import Any

import torch
import torch.nn.functional as F

from videoapi_starter.training.networks import TEXT_LENGTH, TEXT_WIDTH, make_text_encoder, make_tokenizer
from videoapi_starter.training.scenes import SHAPES, Scene, draw_scene, empty_caption, full_caption, short_caption

WORDS = 24  # the longest training caption in tokens; unknown words take one a letter
EMPTY_SHARE, SHORT_SHARE = 0.08, 0.12
IGNORED_SHARE = 0.6  # of the pictures: whatever the prompt says, a given photograph stays what it is


class CountedPadding:
    """Cross-attention in which one zero token stands for all of a prompt's padding, by the log of their number.

    WanPipeline pads prompts to TEXT_LENGTH with zero vectors and does not mask them. This gives the same result for
    a few tokens' cost.
    """

    bias: torch.Tensor

    def __call__(
        self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, *_: object
    ) -> torch.Tensor:
        def split(x: torch.Tensor) -> torch.Tensor:
            heads: torch.Tensor = x.unflatten(2, (attn.heads, -1)).transpose(1, 2)
            return heads

        query = split(attn.norm_q(attn.to_q(hidden_states)))
        key = split(attn.norm_k(attn.to_k(encoder_hidden_states)))
        value = split(attn.to_v(encoder_hidden_states))
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=self.bias)
        result: torch.Tensor = attn.to_out[0](out.transpose(1, 2).flatten(2))
        return result


class Texts:
    """Captions to what the transformer reads, with the frozen text encoder."""

    def __init__(self, weights: str) -> None:
        self.tokenizer = make_tokenizer()
        self.encoder = make_text_encoder(len(self.tokenizer)).eval().requires_grad_(False)
        self.encoder.load_state_dict(torch.load(weights))

    @torch.no_grad()
    def encode(self, texts: list[str], ramp: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states (batch, WORDS + 1, TEXT_WIDTH) and the attention bias (batch, 1, 1, WORDS + 1)."""
        tokens = self.tokenizer(texts, padding="max_length", max_length=WORDS, truncation=True, return_tensors="pt")
        mask = tokens.attention_mask
        hidden = self.encoder(tokens.input_ids, mask).last_hidden_state * mask[..., None]
        hidden = torch.cat([hidden, hidden.new_zeros(len(texts), 1, TEXT_WIDTH)], 1)
        pads = torch.log((TEXT_LENGTH - mask.sum(1)).float())
        bias = torch.cat([torch.where(mask == 1, 0.0, -1e4), (ramp * pads + (1 - ramp) * -4.0)[:, None]], 1)
        return hidden, bias[:, None, None]


def draw_caption(scene: Scene | None, rng: random.Random) -> tuple[str, int]:
    """A caption, and the class of the shape that it states; -1 when it states none."""
    chance = rng.random()
    if scene is None and chance < IGNORED_SHARE:
        return full_caption(draw_scene(rng), rng)[0], -1
    if scene is None or chance < EMPTY_SHARE:
        return empty_caption(rng)[0], -1
    caption = short_caption if chance < EMPTY_SHARE + SHORT_SHARE else full_caption
    text, stated = caption(scene, rng)
    return text, SHAPES.index(scene.shape) if "shape" in stated else -1
