"""Rendered clips: float32 tensors of shape (batch, 3, frames, height, width) in [-1, 1]."""

from __future__ import annotations

import functools
import math
import random

import torch
import torch.nn.functional as F

from videoapi_starter.training.scenes import PALETTE, SHAPES, Scene, draw_scene

TEMPLATE = 192  # pixels a side of a shape's distance field
REACH = 1.6  # the field covers [-REACH, REACH] in units of the shape's radius


def render(scenes: list[Scene], frames: int, height: int, width: int, rng: random.Random) -> torch.Tensor:
    """One clip a scene. The named motion spans the whole clip, whatever its length."""
    background, color, alpha = _layers(scenes, frames, height, width, rng)
    return torch.lerp(background, color, alpha)


def render_crowd(count: int, layers: int, frames: int, height: int, width: int, rng: random.Random) -> torch.Tensor:
    """`count` clips of several overlapping shapes: more edges a pixel, for the autoencoder only."""
    clip = None
    for _ in range(layers):
        scenes = [draw_scene(rng) for _ in range(count)]
        background, color, alpha = _layers(scenes, frames, height, width, rng)
        clip = torch.lerp(background if clip is None else clip, color, alpha)
    assert clip is not None
    return clip


def render_pictures(count: int, frames: int, height: int, width: int, rng: random.Random) -> torch.Tensor:
    """`count` clips of a still picture under a slow camera: soft colour fields with overlapping random shapes.

    They stand in for photographs, so that a start image from outside survives the autoencoder.
    """
    side = 3 * max(height, width) // 2
    generator = torch.Generator().manual_seed(rng.getrandbits(48))
    canvas = torch.zeros(count, 3, side, side)
    for cells, strength in ((2, 1.0), (5, 0.5), (12, 0.25), (40, 0.12)):
        noise = torch.randn(count, 3, cells, cells, generator=generator)
        noise = 0.6 * noise.mean(1, keepdim=True) + 0.4 * noise
        canvas += strength * F.interpolate(noise, (side, side), mode="bicubic", align_corners=False)
    canvas = torch.tanh(canvas * rng.uniform(0.5, 1.0) + torch.randn(count, 3, 1, 1, generator=generator) * 0.3)
    for _ in range(rng.choice((0, 4, 12))):
        center = torch.rand(count, 2, generator=generator) * 2 - 1
        radius = 0.05 + 0.3 * torch.rand(count, generator=generator) ** 2
        angle = torch.rand(count, generator=generator) * 6.3
        kind = torch.randint(len(SHAPES), (count,), generator=generator)
        alpha = _stamp(kind, center[:, None], radius[:, None], angle[:, None], 1, side, side)[:, :, 0]
        paint = torch.rand(count, 3, 1, 1, generator=generator) * 2 - 1
        canvas = torch.lerp(canvas, paint.expand_as(canvas), alpha * 0.9)
    canvas = canvas.clamp(-1, 1)

    time = torch.linspace(0, 1, frames)
    zoom = torch.empty(count, 2).uniform_(0.85, 1.15, generator=generator)
    pan = torch.empty(count, 2, 2).uniform_(-0.12, 0.12, generator=generator)
    scale = 0.55 * torch.lerp(zoom[:, :1], zoom[:, 1:], time)
    shift = torch.lerp(pan[:, :1], pan[:, 1:], time[None, :, None])
    y, x = torch.meshgrid(_centers(height), _centers(width), indexing="ij")
    aspect = torch.tensor([width / max(height, width), height / max(height, width)])
    grid = torch.stack((x, y), -1) * aspect
    grid = grid[None, None] * scale[..., None, None, None] + shift[:, :, None, None]
    out = F.grid_sample(
        canvas[:, None].expand(-1, frames, -1, -1, -1).flatten(0, 1), grid.flatten(0, 1), align_corners=False
    )
    clip: torch.Tensor = out.unflatten(0, (count, frames)).transpose(1, 2).contiguous()
    return clip


def _layers(
    scenes: list[Scene], frames: int, height: int, width: int, rng: random.Random
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Background and shape colours (batch, 3, frames, height, width) and the shape's coverage in [0, 1]."""
    tracks = [_track(scene, frames, rng) for scene in scenes]
    center = torch.stack([track[0] for track in tracks])
    radius = torch.stack([track[1] for track in tracks])
    angle = torch.stack([track[2] for track in tracks])
    kind = torch.tensor([SHAPES.index(scene.shape) for scene in scenes])
    alpha = _stamp(kind, center, radius, angle, frames, height, width)
    size = (len(scenes), 3, frames, height, width)
    return (
        _paint([scene.background for scene in scenes], rng).expand(size),
        _paint([scene.color for scene in scenes], rng).expand(size),
        alpha,
    )


def _track(scene: Scene, frames: int, rng: random.Random) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Centre (frames, 2) in [-1, 1], radius (frames,) in half-sides of the shorter side, angle (frames,)."""
    time = torch.linspace(0, 1, frames)
    start, end = rng.uniform(0.42, 0.5), rng.uniform(0.42, 0.5)
    sweep = torch.lerp(torch.tensor(-start), torch.tensor(end), time)
    center = torch.tensor([rng.uniform(-0.14, 0.14), rng.uniform(-0.14, 0.14)]).repeat(frames, 1)
    radius = torch.full((frames,), rng.uniform(0.40, 0.52))
    angle = torch.zeros(frames)
    match scene.motion:
        case "right":
            center[:, 0] = sweep
        case "left":
            center[:, 0] = -sweep
        case "down":
            center[:, 1] = sweep
        case "up":
            center[:, 1] = -sweep
        case "grow":
            radius = torch.lerp(torch.tensor(rng.uniform(0.18, 0.26)), torch.tensor(rng.uniform(0.62, 0.76)), time)
        case "shrink":
            radius = torch.lerp(torch.tensor(rng.uniform(0.62, 0.76)), torch.tensor(rng.uniform(0.18, 0.26)), time)
        case "spin":
            angle = time * rng.uniform(1.5, 2.2)
    return center, radius, angle


def _stamp(
    kind: torch.Tensor,
    center: torch.Tensor,
    radius: torch.Tensor,
    angle: torch.Tensor,
    frames: int,
    height: int,
    width: int,
) -> torch.Tensor:
    """Anti-aliased coverage (batch, 1, frames, height, width) of each shape at its place."""
    batch, shorter = len(kind), min(height, width)
    y, x = torch.meshgrid(_centers(height), _centers(width), indexing="ij")
    dx = (x - center[..., 0, None, None]) * (width / shorter)
    dy = (y - center[..., 1, None, None]) * (height / shorter)
    cos, sin = torch.cos(angle)[..., None, None], torch.sin(angle)[..., None, None]
    reach = (radius * REACH)[..., None, None]
    grid = torch.stack(((cos * dx + sin * dy) / reach, (cos * dy - sin * dx) / reach), -1)
    fields = distance_fields()[kind][:, None]
    distance = F.grid_sample(
        fields, grid.reshape(batch, frames * height, width, 2), padding_mode="border", align_corners=False
    )
    distance = distance.reshape(batch, 1, frames, height, width)
    return (0.5 - distance * radius.reshape(batch, 1, -1, 1, 1) * shorter / 2).clamp(0, 1)


@functools.cache
def distance_fields() -> torch.Tensor:
    """Signed distances (shapes, TEMPLATE, TEMPLATE), negative inside, in units of the shape's radius."""
    axis = _centers(TEMPLATE) * REACH
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius = torch.hypot(x, y)
    fields = {
        "circle": radius - 0.95,
        "square": _polygon(x, y, [(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)]),
        "triangle": _polygon(x, y, [(0.0, -1.05), (1.0, 0.72), (-1.0, 0.72)]),
        "star": _polygon(x, y, [_polar(1.12 if i % 2 == 0 else 0.45, i * math.pi / 5) for i in range(10)]),
        "heart": _polygon(x, y, [_heart(i / 48 * 2 * math.pi) for i in range(48)]),
        "ring": (radius - 0.70).abs() - 0.27,
    }
    return torch.stack([fields[shape] for shape in SHAPES])


def _polar(radius: float, turn: float) -> tuple[float, float]:
    return radius * math.sin(turn), -radius * math.cos(turn)


def _heart(t: float) -> tuple[float, float]:
    """The parametric heart curve of https://mathworld.wolfram.com/HeartCurve.html, y down, scaled to radius 1."""
    y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
    return math.sin(t) ** 3, -y / 16 - 0.1


def _polygon(x: torch.Tensor, y: torch.Tensor, corners: list[tuple[float, float]]) -> torch.Tensor:
    """Signed distance to a polygon: nearest edge, sign by the even-odd rule."""
    nearest = torch.full_like(x, 1e9)
    inside = torch.zeros_like(x, dtype=torch.bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
        along = ((px * ex + py * ey) / (ex * ex + ey * ey)).clamp(0, 1)
        nearest = torch.minimum(nearest, torch.hypot(px - along * ex, py - along * ey))
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < ex * (y - ay) / ey + ax)
    return torch.where(inside, -nearest, nearest)


def _paint(names: list[str], rng: random.Random) -> torch.Tensor:
    """The named colours with a little variation, (batch, 3, 1, 1, 1) in [-1, 1]."""
    base = torch.tensor([PALETTE[name] for name in names]) / 127.5 - 1
    noise = torch.tensor([[rng.uniform(-0.05, 0.05) for _ in range(3)] for _ in names])
    return (base + noise).clamp(-1, 1)[:, :, None, None, None]


def _centers(count: int) -> torch.Tensor:
    """Pixel centres on [-1, 1]."""
    return (torch.arange(count) + 0.5) / count * 2 - 1
