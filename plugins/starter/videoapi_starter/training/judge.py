"""Reads shape, colour, motion and background off a clip by image analysis, to score what was generated."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from videoapi_starter.training.clips import distance_fields
from videoapi_starter.training.scenes import ATTRIBUTES, PALETTE, SHAPES, Scene

NAMES = list(PALETTE)
COLORS = torch.tensor(list(PALETTE.values())) / 255
CROP = 40  # pixels a side of a normalised mask


def judge(clip: torch.Tensor) -> Scene | None:
    """What the clip (3, frames, height, width) in [0, 1] shows; None when no object stands out."""
    frames, height, width = clip.shape[1:]
    border = torch.cat([clip[:, :, 0], clip[:, :, -1], clip[:, :, :, 0], clip[:, :, :, -1]], 2)
    background = border.flatten(1).median(1).values
    distance = (clip - background[:, None, None, None]).pow(2).sum(0).sqrt()
    mask = distance > max(0.12, 0.5 * float(distance.flatten()[:: max(1, distance.numel() // 100_000)].quantile(0.99)))
    area = mask.sum((1, 2)).float()
    if (area > height * width / 1000).sum() < 0.6 * frames:
        return None
    x, y = (torch.arange(width) + 0.5) / width, (torch.arange(height) + 0.5) / height
    center_x = (mask * x).sum((1, 2)) / area.clamp(min=1)
    center_y = (mask * y[:, None]).sum((1, 2)) / area.clamp(min=1)
    return Scene(
        shape=_shape(mask.float(), area, center_x, center_y),
        color=_nearest_color(clip[:, mask].median(1).values),
        motion=_motion(mask, area, center_x, center_y),
        background=_nearest_color(background),
    )


def score(clips: Sequence[torch.Tensor], scenes: Sequence[Scene]) -> dict[str, float]:
    """The share of clips that show what was asked for, for each attribute and for all four at once."""
    right = dict.fromkeys((*ATTRIBUTES, "all"), 0)
    for clip, asked in zip(clips, scenes, strict=True):
        seen = judge(clip)
        hits = [seen is not None and getattr(seen, name) == getattr(asked, name) for name in ATTRIBUTES]
        for name, hit in zip(right, (*hits, all(hits)), strict=True):
            right[name] += hit
    return {name: round(count / len(scenes), 3) for name, count in right.items()}


def _nearest_color(rgb: torch.Tensor) -> str:
    return NAMES[int((COLORS - rgb).pow(2).sum(1).argmin())]


def _motion(mask: torch.Tensor, area: torch.Tensor, center_x: torch.Tensor, center_y: torch.Tensor) -> str:
    start, end = slice(0, 3), slice(-3, None)
    dx = float(center_x[end].mean() - center_x[start].mean())
    dy = float(center_y[end].mean() - center_y[start].mean())
    growth = float((area[end].mean() + 1) / (area[start].mean() + 1))
    if max(abs(dx), abs(dy)) > 0.18:
        return ("right" if dx > 0 else "left") if abs(dx) > abs(dy) else ("down" if dy > 0 else "up")
    if growth > 1.8:
        return "grow"
    if growth < 1 / 1.8:
        return "shrink"
    frames = len(area)
    turned = sum(float((mask[0] ^ mask[i]).sum()) for i in (frames // 3, frames // 2)) / float(area.mean())
    return "spin" if turned > 0.3 else "still"


def _shape(mask: torch.Tensor, area: torch.Tensor, center_x: torch.Tensor, center_y: torch.Tensor) -> str:
    """The template that overlaps most with the normalised masks of three large, whole views of the object."""
    height, width = mask.shape[1:]
    radius = (area / math.pi).sqrt()
    # An object that touches the border is cut off: prefer the frames where it does not.
    touching = mask[:, 0].sum(1) + mask[:, -1].sum(1) + mask[:, :, 0].sum(1) + mask[:, :, -1].sum(1)
    order = (area - 1e6 * (touching > 0)).argsort(descending=True)[:3]
    totals = torch.zeros(len(SHAPES))
    axis = _axis()
    for i in order.tolist():
        reach = radius[i] / 0.5
        grid_x = 2 * (center_x[i] + axis * reach / width) - 1
        grid_y = 2 * (center_y[i] + axis * reach / height) - 1
        grid = torch.stack((grid_x.expand(CROP, CROP), grid_y[:, None].expand(CROP, CROP)), -1)
        view = F.grid_sample(mask[i][None, None], grid[None], align_corners=False)[0, 0] > 0.5
        overlap = (_templates() & view).sum((2, 3)) / (_templates() | view).sum((2, 3))
        totals += overlap.amax(1)
    return SHAPES[int(totals.argmax())]


def _axis() -> torch.Tensor:
    return (torch.arange(CROP) + 0.5) / CROP * 2 - 1


@functools.cache
def _templates() -> torch.Tensor:
    """Masks (shapes, turns, CROP, CROP), bool, centred on their centroid and scaled to one area."""
    y, x = torch.meshgrid(_axis(), _axis(), indexing="ij")
    fields, turns = distance_fields(), []
    reach = 1.6
    side = fields.shape[-1]
    line = (torch.arange(side) + 0.5) / side * 2 * reach - reach
    for turn in range(24):
        angle = turn * math.pi / 12
        masks = []
        for field in fields:
            inside = field < 0
            count = float(inside.sum())
            cx, cy = float((inside * line).sum()) / count, float((inside * line[:, None]).sum()) / count
            scale = math.sqrt(count * (2 * reach / side) ** 2 / math.pi) / 0.5
            u, v = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
            grid = torch.stack(((u * scale + cx) / reach, (v * scale + cy) / reach), -1)
            masks.append(
                F.grid_sample(field[None, None], grid[None], padding_mode="border", align_corners=False)[0, 0] < 0
            )
        turns.append(torch.stack(masks))
    return torch.stack(turns, 1)
