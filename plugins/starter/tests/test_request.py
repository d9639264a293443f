"""What each field of a request changes in the clip, read off it by image analysis."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from videoapi_starter.pipeline import load
from videoapi_starter.training import clips, judge, scores
from videoapi_starter.training.scenes import Scene, plain_caption
from videoapi_starter.training.stopwatch import Stopwatch, make_request


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return load()


def run(pipeline: Any, prompt: str, **values: Any) -> tuple[Any, list[str]]:
    """Frames and warnings, at a native size unless `values` say another."""
    watch = Stopwatch()
    clip = pipeline.generate(make_request(prompt, **{"width": 128, "height": 128, **values}), watch)
    return np.stack(list(clip.frames)), watch.warnings


def see(frames: Any) -> Any:
    return judge.judge(torch.from_numpy(frames).permute(3, 0, 1, 2) / 255)


def score_all(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch, *, count: int = 16, steps: int = 12, guidance: float = 4.0
) -> float:
    """The share of prompts of which everything is right."""
    scenes = scores.draw_scenes(count, 12, held_out=False)
    for name, value in {"num_frames": 9, "num_inference_steps": steps}.items():
        monkeypatch.setitem(scores.SIZE, name, value)
    made = scores.generate(pipeline.text.pipeline, [plain_caption(scene) for scene in scenes], 5, guidance)
    return judge.score(list(made), scenes)["all"]


@pytest.mark.parametrize(
    "prompt",
    [
        "a red circle moving left to right on a blue background",
        "blue background, red circle slides right",
        "Please show a RED disk that travels rightwards across a blue backdrop!",
    ],
)
def test_a_prompt_is_followed_however_it_is_worded(pipeline: Any, prompt: str) -> None:
    frames, warnings = run(pipeline, prompt)
    seen = see(frames)
    assert (seen.shape, seen.color, seen.motion, seen.background) == ("circle", "red", "right", "blue")
    assert warnings == []


def test_a_prompt_from_another_world_still_gives_a_video_and_names_what_it_does_not_know(pipeline: Any) -> None:
    frames, warnings = run(pipeline, "a cat on a sofa", negative_prompt="dogs", num_inference_steps=2)
    assert len(frames) == 17
    assert warnings == [
        "prompt: the starter knows nothing but plain shapes; without effect: 'cat', 'sofa'.",
        "negative_prompt: the starter knows nothing but plain shapes; without effect: 'dogs'.",
    ]


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ({"width": 512, "height": 512}, "Made at 128x128 and enlarged to 512x512."),
        ({"width": 64, "height": 64}, "Made at 128x128 and reduced to 64x64."),
        ({"width": 1024, "height": 64}, "Made at 160x96 and stretched to 1024x64."),
        ({"num_frames": 5}, "Shorter than 9 frames: made with 9, of which some are left out."),
        ({"num_frames": 69}, "Longer than 65 frames: the motion was made in 65 and stretched."),
        ({"num_frames": 65}, None),
    ],
)
def test_what_is_resized_or_stretched_is_a_warning(pipeline: Any, values: dict[str, int], warning: str | None) -> None:
    frames, warnings = run(pipeline, "a red circle", num_inference_steps=1, **values)
    asked = {"num_frames": 17, "height": 128, "width": 128, **values}
    assert frames.shape == (asked["num_frames"], asked["height"], asked["width"], 3)
    assert warnings == ([warning] if warning else [])


def test_a_clip_of_65_frames_shows_one_motion_from_end_to_end(pipeline: Any) -> None:
    frames, _ = run(pipeline, "a red circle moving to the right on a white background", num_frames=65)
    seen = see(frames)
    assert (seen.shape, seen.color, seen.motion) == ("circle", "red", "right")
    red = (frames[..., 0].astype(int) - frames[..., 1]) > 80
    centers = [float(np.nonzero(mask)[1].mean()) for mask in red]
    assert centers[-1] - centers[0] > 50
    # A loop, or a chain that starts again, would jump back; blends of neighbours would not move on in every part.
    assert min(np.diff(centers)) > -3
    quarters = np.diff(centers[::16])
    assert min(quarters) > 5


def test_guidance_makes_it_follow_the_prompt(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    without, default = (score_all(pipeline, monkeypatch, count=32, guidance=guidance) for guidance in (1.0, 4.0))
    assert default > without


def test_more_steps_are_not_worse(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    two, default, many = (score_all(pipeline, monkeypatch, steps=steps) for steps in (2, 12, 24))
    assert two < default
    assert many >= default - 2 / 16


def test_what_the_negative_prompt_names_does_not_appear(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scores.SIZE, "num_frames", 9)

    def count(negative: str) -> list[str]:
        made = scores.generate(pipeline.text.pipeline, ["a circle standing still"] * 32, 500, 2.5, negative)
        return [seen.color for clip in made if (seen := judge.judge(clip))]

    assert "red" in count("")
    without = count("red")
    assert "red" not in without
    assert len(set(without)) > 1


def test_a_photograph_stays_the_first_frame_and_does_not_dissolve(pipeline: Any) -> None:
    """Of many colours and textures, as no clip of a shape has."""
    picture = (clips.render_pictures(1, 1, 128, 128, random.Random(99))[0, :, 0].permute(1, 2, 0) + 1) * 127.5
    pixels = picture.round().byte().numpy()
    frames, warnings = run(pipeline, "a red circle moving to the right", start_image=Image.fromarray(pixels))
    error = ((frames[0].astype(float) - pixels) ** 2).mean()
    assert 10 * np.log10(255**2 / error) > 28
    assert np.corrcoef(frames[0].ravel(), frames[-1].ravel())[0, 1] > 0.6
    # Noise would change everything from one frame to the next, a still picture nothing.
    steps = np.abs(np.diff(frames.astype(float), axis=0)).mean((1, 2, 3))
    assert 0.2 < steps.min() < steps.max() < 5
    assert warnings == ["start_image is no shape on a plain background: it moves a little, whatever the prompt says."]


def test_the_shape_of_a_given_drawing_moves_as_the_prompt_says(pipeline: Any) -> None:
    scene = Scene("square", "blue", "left", "white")
    drawing = (clips.render([scene], 17, 128, 128, random.Random(3))[0, :, 0].permute(1, 2, 0) + 1) * 127.5
    image = Image.fromarray(drawing.round().byte().numpy())
    frames, warnings = run(pipeline, "a blue square moving to the left", start_image=image)
    assert see(frames) == scene
    assert warnings == []
