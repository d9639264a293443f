"""Drawings of the starter's kind are told from photographs."""

from __future__ import annotations

import random

from PIL import Image

from videoapi_starter.drawings import is_drawing
from videoapi_starter.training.clips import render, render_pictures
from videoapi_starter.training.scenes import draw_scene


def test_every_first_frame_of_the_training_clips_is_a_drawing_and_no_picture_is() -> None:
    rng = random.Random(8)
    drawings = render([draw_scene(rng) for _ in range(64)], 2, 96, 160, rng)
    pictures = render_pictures(32, 1, 128, 128, rng)
    for clips, expected in ((drawings, True), (pictures, False)):
        images = ((clips[:, :, 0] + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        found = [is_drawing(Image.fromarray(image)) for image in images]
        assert found.count(expected) >= 0.95 * len(found)


def test_one_colour_alone_is_a_drawing() -> None:
    assert is_drawing(Image.new("RGB", (300, 200), "teal"))
