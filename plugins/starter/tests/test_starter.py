"""The embedded model: every mode, every size, and what it promises to follow."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from videoapi import GenerationRequest
from videoapi_starter.plugin import SPEC, load_model

PLUGIN = Path(__file__).parent.parent
WEIGHTS = PLUGIN / "videoapi_starter" / "weights"


class Progress:
    """Listens to nothing."""

    def step(self, done: int, total: int) -> None: ...

    def phase(self, name: str) -> None: ...

    def preview(self, make: object) -> None: ...

    def warn(self, message: str) -> None: ...


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return load_model(SPEC)


def request(**values: Any) -> GenerationRequest:
    base = {
        "prompt": "a red circle moving to the right on a white background",
        "negative_prompt": "",
        "width": 128,
        "height": 128,
        "num_frames": 17,
        "fps": 8,
        "num_inference_steps": 12,
        "guidance_scale": 4.0,
        "seed": 1,
    }
    return GenerationRequest(**{**base, **values})


def generate(pipeline: Any, **values: Any) -> Any:
    return np.stack(list(pipeline.generate(request(**values), Progress()).frames))


@pytest.mark.parametrize(
    ("width", "height", "frames"), [(512, 512, 17), (832, 480, 25), (480, 832, 9), (66, 34, 1), (96, 64, 61)]
)
def test_every_size_and_length_comes_out_exactly(pipeline: Any, width: int, height: int, frames: int) -> None:
    result = generate(pipeline, width=width, height=height, num_frames=frames, num_inference_steps=2)
    assert len(result) >= frames
    assert result.shape[1:] == (height, width, 3)
    assert result.dtype == np.uint8


def test_a_clip_shorter_than_the_shortest_of_the_training_still_ends_on_the_end_image(pipeline: Any) -> None:
    start, end = Image.new("RGB", (128, 128), "red"), Image.new("RGB", (128, 128), "blue")
    result = generate(pipeline, num_frames=5, start_image=start, end_image=end)
    assert len(result) == 5
    first, last = (result[i].mean((0, 1)) for i in (0, -1))
    assert first[0] > first[2] + 80
    assert last[2] > last[0] + 80


def test_previews_look_like_what_becomes_of_them(pipeline: Any) -> None:
    class Viewer(Progress):
        def __init__(self) -> None:
            self.pictures: list[Any] = []

        def preview(self, make: Any) -> None:
            self.pictures.append(make())

    viewer = Viewer()
    for prompt in ("a blue star moving left on a yellow background", "a black heart growing on a green background"):
        generate(pipeline, prompt=prompt)
    frames = np.stack(list(pipeline.generate(request(), viewer).frames))
    side = len(viewer.pictures[0])
    middle = np.asarray(Image.fromarray(frames[8]).resize((side, side), Image.Resampling.BOX)).astype(int)
    assert len(viewer.pictures) == 11
    assert np.corrcoef(viewer.pictures[-1].ravel(), middle.ravel())[0, 1] > 0.8


def test_a_seed_repeats_and_another_differs(pipeline: Any) -> None:
    first = generate(pipeline, num_inference_steps=3)
    assert np.array_equal(first, generate(pipeline, num_inference_steps=3))
    assert not np.array_equal(first, generate(pipeline, num_inference_steps=3, seed=2))


def test_the_text_transformer_is_the_joint_one_with_zero_conditions(pipeline: Any) -> None:
    import torch

    text, joint = pipeline.text.pipeline.transformer, pipeline.images.pipeline.transformer
    channels = text.config.in_channels
    latents, hidden = torch.randn(1, channels, 5, 8, 8), torch.randn(1, 512, text.config.text_dim)
    zeros = torch.zeros(1, joint.config.in_channels - channels, 5, 8, 8)
    time = torch.tensor([500.0])
    with torch.no_grad():
        small = text(latents, time, hidden, return_dict=False)[0]
        full = joint(torch.cat([latents, zeros], 1), time, hidden, return_dict=False)[0]
    assert torch.allclose(small, full, atol=1e-5)
    weights = [transformer.blocks[0].attn1.to_q.weight for transformer in (text, joint)]
    assert weights[0].data_ptr() == weights[1].data_ptr()


def test_the_weights_open_in_plain_diffusers_and_are_small() -> None:
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(WEIGHTS, local_files_only=True)
    assert type(pipeline).__name__ == "WanImageToVideoPipeline"
    package = [path for path in WEIGHTS.parent.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in package) < 10e6


def test_the_spec_is_what_the_pipeline_takes(pipeline: Any) -> None:
    assert SPEC.aliases == ("video-model",)
    assert SPEC.size_multiple == 2
    image = Image.new("RGB", (128, 128), "red")
    for images in ({}, {"start_image": image}, {"start_image": image, "end_image": image}):
        assert len(generate(pipeline, num_inference_steps=1, **images)) == 17
    json.dumps(dataclasses.asdict(SPEC.defaults))


def test_it_follows_the_prompt(pipeline: Any) -> None:
    """Over prompts with combinations that the training left out. Chance is one in nine for colours, one in eight for
    motions, one in six for shapes."""
    import torch

    from videoapi_starter.training import judge, scenes

    rng = random.Random(7)
    asked = [scenes.draw_scene(rng, held_out=True) for _ in range(24)]
    clips = [
        torch.from_numpy(generate(pipeline, prompt=scenes.plain_caption(scene), seed=i)).permute(3, 0, 1, 2) / 255
        for i, scene in enumerate(asked)
    ]
    score = judge.score(clips, asked)
    assert score["color"] >= 0.9, score
    assert score["background"] >= 0.9, score
    assert score["motion"] >= 0.9, score
    assert score["shape"] >= 0.8, score


def test_a_start_image_is_the_first_frame(pipeline: Any) -> None:
    y, x = np.mgrid[0:128, 0:128]
    disc = ((x - 64) ** 2 + (y - 64) ** 2 < 30**2)[..., None]
    picture = np.where(disc, (220, 40, 40), (245, 245, 245)).astype(np.uint8)
    result = generate(pipeline, prompt="a red circle growing", start_image=Image.fromarray(picture), guidance_scale=2.0)
    assert np.abs(result[0].astype(int) - picture).mean() < 12


def test_an_end_image_is_the_last_frame(pipeline: Any) -> None:
    red, blue = (Image.new("RGB", (128, 128), color) for color in ((220, 40, 40), (50, 80, 220)))
    result = generate(pipeline, prompt="", start_image=red, end_image=blue, guidance_scale=1.0)
    assert np.abs(result[-1].astype(int) - (50, 80, 220)).mean() < np.abs(result[-1].astype(int) - (220, 40, 40)).mean()
