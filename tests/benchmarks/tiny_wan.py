"""A Wan with random weights, small enough for a CPU at 832x480, and the script that one would write for it.

`python -m tests.benchmarks.tiny_wan FOLDER` makes a video for each line of its input, with a new prompt each time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch
from diffusers import WanPipeline
from diffusers.utils import export_to_video
from transformers import UMT5Config, UMT5EncoderModel

from plugins.diffusers.tests.tiny import wan

WIDTH, HEIGHT, NUM_FRAMES, FPS, STEPS, GUIDANCE = 832, 480, 33, 16, 2, 4.0
TEXT_WIDTH = 512


def write(folder: Path) -> None:
    """The pipeline's folder. Its text encoder is large beside the rest, as a real one's is."""
    torch.manual_seed(0)
    encoder = UMT5Config(vocab_size=32, d_model=TEXT_WIDTH, d_kv=64, d_ff=2048, num_layers=8, num_heads=8)
    transformer = wan.make_transformer(
        num_attention_heads=1,
        attention_head_dim=48,
        text_dim=TEXT_WIDTH,
        freq_dim=32,
        ffn_dim=96,
        rope_max_seq_len=64,
    )
    components = wan.make_components(text_encoder=UMT5EncoderModel(encoder), transformer=transformer)
    WanPipeline(**components).save_pretrained(folder)


def main(folder: str) -> None:
    pipeline = WanPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        for number, _ in enumerate(sys.stdin):
            started = time.perf_counter()
            frames = pipeline(
                prompt="a red ball " * (number + 1),
                width=WIDTH,
                height=HEIGHT,
                num_frames=NUM_FRAMES,
                num_inference_steps=STEPS,
                guidance_scale=GUIDANCE,
                generator=torch.Generator().manual_seed(1),
            ).frames[0]
            export_to_video(frames, file.name, fps=FPS)
            print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
