"""What the pipelines of vLLM-Omni take, by the class in a model's model_index.json.

The engine says none of it: it rounds frame counts and sizes in silence, and fails late where an image is missing. The
facts are those of vllm-omni 0.30.0's own pipelines, diffusion/models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoapi import Defaults, FrameGrid, Mode

TEXT: frozenset[Mode] = frozenset({"text"})
IMAGE: frozenset[Mode] = frozenset({"first_frame"})
# Every fourth frame, and the first: Wan's autoencoder, which others use too.
WAN_GRID = FrameGrid(step=4, offset=1)
WAN = Defaults(width=832, height=480, num_frames=81, fps=16, num_inference_steps=40, guidance_scale=4.0)
VACE = Defaults(width=832, height=480, num_frames=81, fps=16, num_inference_steps=50, guidance_scale=5.0)
TI2V = Defaults(width=1280, height=704, num_frames=121, fps=24, num_inference_steps=50, guidance_scale=5.0)
HUNYUAN = Defaults(width=832, height=480, num_frames=121, fps=24, num_inference_steps=50, guidance_scale=6.0)
SANA = Defaults(width=832, height=480, num_frames=81, fps=16, num_inference_steps=50, guidance_scale=6.0)
LTX = Defaults(width=768, height=512, num_frames=121, fps=24, num_inference_steps=40, guidance_scale=3.0)
HELIOS = Defaults(width=640, height=384, num_frames=132, fps=24, num_inference_steps=50, guidance_scale=5.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """The facts about one pipeline."""

    modes: frozenset[Mode]
    defaults: Defaults = WAN
    size_multiple: int = 16
    frame_grid: FrameGrid = WAN_GRID
    params: frozenset[str] = frozenset()
    """Those of the engine's own fields that it reads in a request; the others would be dropped in silence."""


WAN_PARAMS = frozenset({"flow_shift", "boundary_ratio", "guidance_scale_2"})
LTX2 = Family(modes=TEXT | IMAGE, defaults=LTX, size_multiple=32, frame_grid=FrameGrid(step=8, offset=1))

FAMILIES: Mapping[str, Family] = {
    "WanPipeline": Family(modes=TEXT, params=WAN_PARAMS),
    "WanImageToVideoPipeline": Family(modes=IMAGE, params=WAN_PARAMS),
    "WanVACEPipeline": Family(modes=TEXT, defaults=VACE),
    "HunyuanVideo15Pipeline": Family(modes=TEXT, defaults=HUNYUAN),
    "HunyuanVideo15ImageToVideoPipeline": Family(modes=IMAGE, defaults=HUNYUAN),
    "SanaVideoPipeline": Family(modes=TEXT, defaults=SANA, size_multiple=32),
    "SanaImageToVideoPipeline": Family(modes=IMAGE, defaults=SANA, size_multiple=32),
    "LTX2Pipeline": LTX2,
    # Whole windows of nine latents.
    "HeliosPipeline": Family(modes=TEXT, defaults=HELIOS, frame_grid=FrameGrid(step=33)),
}
# Wan 2.2's 5B model has the class of the text models, and `expand_timesteps` in its index.
WAN_5B = Family(modes=TEXT | IMAGE, defaults=TI2V, size_multiple=32, params=WAN_PARAMS)
# Wan 2.2 I2V A14B's, where the engine has that of the text model, 0.875.
I2V_A14B = re.compile(r"wan-?2\.2.*i2v.*a14b", re.IGNORECASE)
I2V_A14B_BOUNDARY = 0.9
# How hub ids name them; the more special one first.
NAMES = tuple(
    (re.compile(pattern, re.IGNORECASE), family)
    for pattern, family in (
        ("wan.*ti2v", WAN_5B),
        ("wan.*vace", FAMILIES["WanVACEPipeline"]),
        ("wan.*i2v", FAMILIES["WanImageToVideoPipeline"]),
        ("wan.*t2v", FAMILIES["WanPipeline"]),
        ("hunyuanvideo-?1.5.*i2v", FAMILIES["HunyuanVideo15ImageToVideoPipeline"]),
        ("hunyuanvideo-?1.5.*t2v", FAMILIES["HunyuanVideo15Pipeline"]),
        ("ltx-2$", LTX2),
    )
)


def find_family(model: str) -> Family | None:
    """The family of a folder, by its index, or of a hub id, by its name; None when neither tells."""
    index = _read_index(model)
    if index is None:
        return next((family for pattern, family in NAMES if pattern.search(Path(model).name)), None)
    name = str(index.get("_class_name"))
    return WAN_5B if name == "WanPipeline" and index.get("expand_timesteps") else FAMILIES.get(name)


def find_boundary_ratio(model: str) -> float | None:
    """Where the expert for high noise hands over to the other, as a share of the noise; None where none is known."""
    if I2V_A14B.search(Path(model).name):
        return I2V_A14B_BOUNDARY
    ratio = (_read_index(model) or {}).get("boundary_ratio")
    return float(ratio) if isinstance(ratio, (int, float)) else None


def _read_index(model: str) -> Mapping[str, Any] | None:
    try:
        index = json.loads((Path(model).expanduser() / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return index if isinstance(index, dict) else None
