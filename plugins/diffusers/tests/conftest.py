"""Tiny Wan pipelines with random weights, made of diffusers' own classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugins.diffusers.tests.wide import read_transformer, save_wide, write_gguf, write_safetensors


class RecordingProgress:
    """Keeps what a pipeline reports, and cancels at a step when told to; `each` is for the requests of a batch."""

    def __init__(self, cancel_at: int | None = None, each: int = 0) -> None:
        self.cancel_at = cancel_at
        self.each = [RecordingProgress() for _ in range(each)]
        self.phases: list[str] = []
        self.steps: list[tuple[int, int]] = []
        self.previews: list[Any] = []
        self.warnings: list[str] = []

    def step(self, done: int, total: int) -> None:
        from videoapi import Cancelled

        self.steps.append((done, total))
        if done == self.cancel_at:
            raise Cancelled("Cancelled by the client.")

    def phase(self, name: str) -> None:
        self.phases.append(name)

    def preview(self, make: Any) -> None:
        self.previews.append(make())

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def make_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2, **{letter: i + 3 for i, letter in enumerate("abcdefghij")}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>", pad_token="<pad>", model_max_length=512
    )


def make_components(in_channels: int) -> dict[str, Any]:
    import torch
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    return {
        "tokenizer": make_tokenizer(),
        "text_encoder": UMT5EncoderModel(
            UMT5Config(vocab_size=16, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        ),
        "vae": AutoencoderKLWan(
            base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        ),
        "scheduler": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        "transformer": WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=in_channels,
            out_channels=16,
            text_dim=16,
            freq_dim=16,
            ffn_dim=16,
            num_layers=1,
            rope_max_seq_len=32,
        ),
    }


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WanPipeline folder."""
    from diffusers import WanPipeline

    folder = tmp_path_factory.mktemp("wan-t2v")
    WanPipeline(**make_components(16)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WanImageToVideoPipeline folder, of the kind that takes a last frame too."""
    from diffusers import WanImageToVideoPipeline

    folder = tmp_path_factory.mktemp("wan-i2v")
    pipeline = WanImageToVideoPipeline(**make_components(36), image_encoder=None, image_processor=None)
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny pipeline by its name."""
    made: dict[str, Path] = {}

    def find(name: str) -> Path:
        import torch

        from plugins.diffusers.tests.tiny import TINY

        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            torch.manual_seed(0)
            TINY[name].build().save_pretrained(made[name])
        return made[name]

    return find


@pytest.fixture
def make_request() -> Callable[..., Any]:
    from videoapi import GenerationRequest

    def make(**values: Any) -> Any:
        return GenerationRequest(
            **{
                "prompt": "a b c",
                "negative_prompt": "",
                "width": 48,
                "height": 32,
                "num_frames": 5,
                "fps": 8,
                "num_inference_steps": 3,
                "guidance_scale": 4.0,
                "seed": 1,
                **values,
            }
        )

    return make


@pytest.fixture
def progress() -> type[RecordingProgress]:
    return RecordingProgress


@pytest.fixture(scope="session")
def wide_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WanPipeline folder whose transformer can be quantised in blocks."""
    return save_wide(tmp_path_factory.mktemp("wide"))


@pytest.fixture(scope="session")
def two_experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WanPipeline folder of the kind of Wan 2.2."""
    import torch
    from diffusers import WanPipeline

    from plugins.diffusers.tests.tiny import wan

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("experts")
    experts = wan.make_transformer(), wan.make_transformer()
    made = WanPipeline(**wan.make_components(transformer=experts[0]), transformer_2=experts[1], boundary_ratio=0.9)
    made.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def file(wide_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Writes the transformer of the wide folder as one file of a kind."""
    folder, tensors = tmp_path_factory.mktemp("files"), read_transformer(wide_folder)

    def write(kind: str) -> Path:
        if kind == "safetensors":
            return write_safetensors(tensors, folder / "transformer.safetensors")
        return write_gguf(tensors, folder / f"{kind}.gguf", kind)

    return write
