"""Tells drawings as the starter knows them from photographs."""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 64
NEAR = 24.0  # in 255ths, over the three colours
LEAST_PLAIN = 0.7  # of the border: the shape may reach over a part of it


def is_drawing(image: Image.Image) -> bool:
    """True when most of the border has one colour: something on a plain background."""
    pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    distance = np.linalg.norm(border - np.median(border, axis=0), axis=1)
    return bool((distance < NEAR).mean() >= LEAST_PLAIN)
