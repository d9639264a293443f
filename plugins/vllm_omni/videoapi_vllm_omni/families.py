"""What the pipelines of vLLM-Omni take, by the class in a model's model_index.json.

The engine says none of it: it rounds frame counts and sizes in silence, and fails late where an image is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from videoapi import Defaults, FrameGrid, Mode

WAN_GRID = FrameGrid(step=4, offset=1)
WAN = Defaults(width=832, height=480, num_frames=81, fps=16, num_inference_steps=40, guidance_scale=5.0)
TI2V = Defaults(width=1280, height=704, num_frames=121, fps=24, num_inference_steps=50, guidance_scale=5.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """The facts about one pipeline."""

    modes: frozenset[Mode]
    defaults: Defaults = WAN
    size_multiple: int = 16
    frame_grid: FrameGrid = WAN_GRID


FAMILIES: Mapping[str, Family] = {
    "WanPipeline": Family(modes=frozenset({"text"})),
    "WanImageToVideoPipeline": Family(modes=frozenset({"first_frame"})),
}
# Wan 2.2's 5B model has the class of the text models, and `expand_timesteps` in its index.
WAN_5B = Family(modes=frozenset({"text", "first_frame"}), defaults=TI2V, size_multiple=32)
# How hub ids name them; the more special one first.
NAMES = (
    (re.compile(r"wan.*ti2v", re.IGNORECASE), WAN_5B),
    (re.compile(r"wan.*i2v", re.IGNORECASE), FAMILIES["WanImageToVideoPipeline"]),
    (re.compile(r"wan.*t2v", re.IGNORECASE), FAMILIES["WanPipeline"]),
)


def find_family(model: str) -> Family | None:
    """The family of a folder, by its index, or of a hub id, by its name; None when neither tells."""
    try:
        index = json.loads((Path(model).expanduser() / "model_index.json").read_text(encoding="utf-8"))
        return WAN_5B if index.get("expand_timesteps") else FAMILIES.get(index["_class_name"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return next((family for pattern, family in NAMES if pattern.search(Path(model).name)), None)
