"""Writes weight files that the real library loads and runs, in a fraction of a second and a few megabytes each.

The library knows Wan's sizes by heart, so a model needs its true shapes; its file does not. All tensors of one type
share one stretch of random bytes: ggml's own reader refuses that, and the library then uses a reader of its own, which
does not mind. In memory such a Wan 1.3B has 354 MiB, with most weights at two bits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plugins.stablediffusion.tests.entries import F16, TQ2_0, Entry, convolution, linear, norm, write_gguf


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of one Wan."""

    blocks: int = 30
    width: int = 1536
    hidden: int = 8960
    inputs: int = 16
    channels: int = 16
    sees_images: bool = False
    two_images: bool = False
    vace: bool = False


SHAPES = {
    "t2v": Shape(),
    "i2v": Shape(inputs=36, sees_images=True),
    "vace": Shape(vace=True),
    "ti2v": Shape(width=3072, hidden=14336, inputs=48, channels=48),
    "t2v-14b": Shape(blocks=40, width=5120, hidden=13824),
    "i2v-14b": Shape(blocks=40, width=5120, hidden=13824, inputs=36, sees_images=True),
    "flf2v-14b": Shape(blocks=40, width=5120, hidden=13824, inputs=36, sees_images=True, two_images=True),
    "i2v-a14b": Shape(blocks=40, width=5120, hidden=13824, inputs=36),
    "vace-14b": Shape(blocks=40, width=5120, hidden=13824, vace=True),
    "ten-blocks": Shape(blocks=10),
}


def wan(shape: Shape) -> Iterator[Entry]:
    """The diffusion model."""
    width = shape.width
    yield Entry("patch_embedding.weight", (2, 2, 1, shape.inputs * width), F16)
    yield Entry("patch_embedding.bias", (width,))
    yield from linear("text_embedding.0", 4096, width)
    yield from linear("text_embedding.2", width, width)
    yield from linear("time_embedding.0", 256, width)
    yield from linear("time_embedding.2", width, width)
    yield from linear("time_projection.1", width, width * 6)
    for index in range(shape.blocks):
        yield from _wan_block(f"blocks.{index}", shape)
    if shape.vace:
        yield from _wan_block("vace_blocks.0", shape)
        yield from linear("vace_blocks.0.before_proj", width, width)
        yield from linear("vace_blocks.0.after_proj", width, width)
        yield Entry("vace_patch_embedding.weight", (2, 2, 1, 96 * width), F16)
        yield Entry("vace_patch_embedding.bias", (width,))
    if shape.sees_images:
        yield from norm("img_emb.proj.0", 1280)
        yield from linear("img_emb.proj.1", 1280, 1280)
        yield from linear("img_emb.proj.3", 1280, width)
        yield from norm("img_emb.proj.4", width)
    if shape.two_images:
        yield Entry("img_emb.emb_pos", (1280, 514, 1))
    yield from linear("head.head", width, shape.channels * 4)
    yield Entry("head.modulation", (width, 2, 1))


def _wan_block(name: str, shape: Shape) -> Iterator[Entry]:
    width = shape.width
    for attention in ("self_attn", "cross_attn"):
        for part in "qkvo":
            yield from linear(f"{name}.{attention}.{part}", width, width)
        yield Entry(f"{name}.{attention}.norm_q.weight", (width,))
        yield Entry(f"{name}.{attention}.norm_k.weight", (width,))
    if shape.sees_images:
        yield from linear(f"{name}.cross_attn.k_img", width, width)
        yield from linear(f"{name}.cross_attn.v_img", width, width)
        yield Entry(f"{name}.cross_attn.norm_k_img.weight", (width,))
    yield from norm(f"{name}.norm3", width)
    yield from linear(f"{name}.ffn.0", width, shape.hidden)
    yield from linear(f"{name}.ffn.2", shape.hidden, width)
    yield Entry(f"{name}.modulation", (width, 6, 1))


def tiny_vae(channels: int = 16) -> Iterator[Entry]:
    """taew2_1, or taew2_2 for 48 channels, which works on patches of 2 by 2 pixels."""
    widths, pixels = (256, 128, 64, 64), 3 if channels == 16 else 12
    yield from convolution("decoder.1", channels, widths[0], 3)
    index = 3
    for level, (width, after) in enumerate(itertools.pairwise(widths)):
        for _ in range(3):
            yield from _memory_block(f"decoder.{index}", width)
            index += 1
        grown = width if level == 0 else 2 * width
        yield from convolution(f"decoder.{index + 1}.conv", width, grown, 1, bias=False)
        yield from convolution(f"decoder.{index + 2}", width, after, 3, bias=False)
        index += 3
    yield from convolution(f"decoder.{index + 1}", widths[-1], pixels, 3)
    yield from convolution("encoder.0", pixels, 64, 3)
    index = 2
    for level in range(3):
        yield from convolution(f"encoder.{index}.conv", 64 if level == 2 else 128, 64, 1, bias=False)
        yield from convolution(f"encoder.{index + 1}", 64, 64, 3, bias=False)
        for block in range(3):
            yield from _memory_block(f"encoder.{index + 2 + block}", 64)
        index += 5
    yield from convolution(f"encoder.{index}", 64, channels, 3)


def _memory_block(name: str, width: int) -> Iterator[Entry]:
    yield from convolution(f"{name}.conv.0", 2 * width, width, 3)
    yield from convolution(f"{name}.conv.2", width, width, 3)
    yield from convolution(f"{name}.conv.4", width, width, 3)


def vae() -> Iterator[Entry]:
    """wan_2.1_vae."""
    width, channels, scales = 96, 16, (1, 2, 4, 4)
    yield from _convolution_3d("conv1", 2 * channels, 2 * channels, (1, 1, 1))
    yield from _convolution_3d("conv2", channels, channels, (1, 1, 1))
    yield from _convolution_3d("encoder.conv1", 3, width)
    index, inputs = 0, width
    for level, scale in enumerate(scales):
        for _ in range(2):
            yield from _residual_block(f"encoder.downsamples.{index}", inputs, width * scale)
            index, inputs = index + 1, width * scale
        if level < 3:
            yield from convolution(f"encoder.downsamples.{index}.resample.1", inputs, inputs, 3)
            if level > 0:
                yield from _convolution_3d(f"encoder.downsamples.{index}.time_conv", inputs, inputs, (1, 1, 3))
            index += 1
    yield from _vae_middle("encoder", inputs)
    yield from _vae_head("encoder", inputs, 2 * channels)
    yield from _convolution_3d("decoder.conv1", channels, inputs)
    yield from _vae_middle("decoder", inputs)
    index = 0
    for level, scale in enumerate(reversed(scales)):
        inputs = inputs // 2 if level else inputs
        for _ in range(3):
            yield from _residual_block(f"decoder.upsamples.{index}", inputs, width * scale)
            index, inputs = index + 1, width * scale
        if level < 3:
            yield from convolution(f"decoder.upsamples.{index}.resample.1", inputs, inputs // 2, 3)
            if level < 2:
                yield from _convolution_3d(f"decoder.upsamples.{index}.time_conv", inputs, 2 * inputs, (1, 1, 3))
            index += 1
    yield from _vae_head("decoder", inputs, 3)


def _convolution_3d(name: str, inputs: int, outputs: int, sides: tuple[int, int, int] = (3, 3, 3)) -> Iterator[Entry]:
    yield Entry(f"{name}.weight", (*sides, inputs * outputs), F16)
    yield Entry(f"{name}.bias", (outputs,))


def _residual_block(name: str, inputs: int, outputs: int) -> Iterator[Entry]:
    yield Entry(f"{name}.residual.0.gamma", (inputs,))
    yield from _convolution_3d(f"{name}.residual.2", inputs, outputs)
    yield Entry(f"{name}.residual.3.gamma", (outputs,))
    yield from _convolution_3d(f"{name}.residual.6", outputs, outputs)
    if inputs != outputs:
        yield from _convolution_3d(f"{name}.shortcut", inputs, outputs, (1, 1, 1))


def _vae_middle(name: str, width: int) -> Iterator[Entry]:
    yield from _residual_block(f"{name}.middle.0", width, width)
    yield Entry(f"{name}.middle.1.norm.gamma", (width,))
    yield from convolution(f"{name}.middle.1.to_qkv", width, 3 * width, 1)
    yield from convolution(f"{name}.middle.1.proj", width, width, 1)
    yield from _residual_block(f"{name}.middle.2", width, width)


def _vae_head(name: str, width: int, outputs: int) -> Iterator[Entry]:
    yield Entry(f"{name}.head.0.gamma", (width,))
    yield from _convolution_3d(f"{name}.head.2", width, outputs)


def clip_vision() -> Iterator[Entry]:
    """clip_vision_h."""
    width, name = 1280, "vision_model"
    yield Entry(f"{name}.embeddings.class_embedding", (width,))
    yield Entry(f"{name}.embeddings.patch_embedding.weight", (14, 14, 3, width), F16)
    yield Entry(f"{name}.embeddings.position_embedding.weight", (width, 257))
    yield from norm(f"{name}.pre_layernorm", width)
    yield from norm(f"{name}.post_layernorm", width)
    for index in range(32):
        layer = f"{name}.encoder.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(f"{layer}.self_attn.{part}", width, width)
        yield from norm(f"{layer}.layer_norm1", width)
        yield from norm(f"{layer}.layer_norm2", width)
        yield from linear(f"{layer}.mlp.fc1", width, 4 * width)
        yield from linear(f"{layer}.mlp.fc2", 4 * width, width)
    yield from linear("visual_projection", width, 1024, bias=False)


def text_encoder(vocabulary: int = 256384) -> Iterator[Entry]:
    """umt5-xxl."""
    width, hidden = 4096, 10240
    yield Entry("shared.weight", (width, vocabulary), TQ2_0)
    for index in range(24):
        layer = f"encoder.block.{index}.layer"
        for part in "qkvo":
            yield from linear(f"{layer}.0.SelfAttention.{part}", width, width, bias=False)
        yield Entry(f"{layer}.0.SelfAttention.relative_attention_bias.weight", (64, 32))
        yield Entry(f"{layer}.0.layer_norm.weight", (width,))
        yield from linear(f"{layer}.1.DenseReluDense.wi_0", width, hidden, bias=False)
        yield from linear(f"{layer}.1.DenseReluDense.wi_1", width, hidden, bias=False)
        yield from linear(f"{layer}.1.DenseReluDense.wo", hidden, width, bias=False)
        yield Entry(f"{layer}.1.layer_norm.weight", (width,))
    yield Entry("encoder.final_layer_norm.weight", (width,))


def lora(width: int = 1536, rank: int = 4, layer: str = "diffusion_model.blocks.0.self_attn.") -> Iterator[Entry]:
    """For two layers of Wan 1.3B."""
    for part in ("q", "v"):
        name = f"{layer}{part}"
        yield Entry(f"{name}.lora_A.weight", (width, rank), F16)
        yield Entry(f"{name}.lora_B.weight", (rank, width), F16)


def write_all(folder: Path) -> None:
    """A file of every kind, named for it."""
    for name, shape in SHAPES.items():
        write_gguf(folder / f"{name}.gguf", wan(shape))
    write_gguf(folder / "tiny_vae.gguf", tiny_vae(), seed=1, scale=0.04)
    write_gguf(folder / "tiny_vae_48.gguf", tiny_vae(48), seed=1, scale=0.04)
    write_gguf(folder / "vae.gguf", vae(), seed=1, scale=0.02, f32=1.0)
    write_gguf(folder / "clip_vision.gguf", clip_vision(), seed=2)
