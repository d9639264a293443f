"""How much of what was asked for is in the clips: prompts, given frames, negative prompts."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

import torch
from PIL import Image
from tqdm import tqdm

from videoapi_starter.training import clips, judge
from videoapi_starter.training.check_autoencoder import psnr
from videoapi_starter.training.scenes import ATTRIBUTES, Scene, draw_scene, full_caption, plain_caption

SIZE = {"height": 128, "width": 128, "num_frames": 17, "num_inference_steps": 12, "output_type": "pt"}
IMAGE_GUIDANCE, NEGATIVE_GUIDANCE = 2.0, 2.5
BATCH = 16


def generate(pipeline: Any, captions: list[str], seed: int, guidance: float, negative: str = "") -> torch.Tensor:
    """Clips (count, 3, frames, height, width) in [0, 1], by a pipeline of diffusers'."""
    parts = []
    for i in tqdm(range(0, len(captions), BATCH), desc="clips", unit=f" x {BATCH}", leave=False, disable=None):
        part = captions[i : i + BATCH]
        output = pipeline(
            prompt=part,
            negative_prompt=[negative] * len(part),
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(seed + i),
            **SIZE,
        )
        parts.append(output.frames.permute(0, 2, 1, 3, 4))
    return torch.cat(parts)


def draw_scenes(count: int, seed: int, *, held_out: bool) -> list[Scene]:
    rng = random.Random(seed)
    return [draw_scene(rng, held_out=held_out) for _ in range(count)]


def reword(scenes: list[Scene], seed: int) -> list[str]:
    """The scenes in the many wordings of the training's captions, each complete."""
    rng, captions = random.Random(seed), []
    for scene in scenes:
        text, stated = full_caption(scene, rng)
        while len(stated) < len(ATTRIBUTES):
            text, stated = full_caption(scene, rng)
        captions.append(text)
    return captions


def find_confusions(made: torch.Tensor, scenes: list[Scene]) -> Counter[str]:
    """What was seen in place of what was asked for, and how often."""
    wrong: Counter[str] = Counter()
    for clip, asked in zip(made, scenes, strict=True):
        seen = judge.judge(clip)
        for name in ATTRIBUTES:
            got = getattr(seen, name) if seen else "nothing"
            if got != getattr(asked, name):
                wrong[f"{name}: {getattr(asked, name)} as {got}"] += 1
    return wrong


def score_images(pipeline: Any, count: int, seed: int = 31337) -> dict[str, float]:
    """Decibels of the given first frame, alone and with a last one, and of the last; the share of motions followed."""
    rng = random.Random(seed)
    scenes = [draw_scene(rng, held_out=True) for _ in range(count)]
    truth = clips.render(scenes, 17, 128, 128, rng)
    totals: defaultdict[str, float] = defaultdict(float)
    for i, scene in enumerate(tqdm(scenes, desc="given frames", leave=False, disable=None)):
        first, last = (_to_image(truth[i, :, t]) for t in (0, -1))
        for both in (False, True):
            output = pipeline(
                image=first,
                last_image=last if both else None,
                prompt=plain_caption(scene),
                guidance_scale=IMAGE_GUIDANCE,
                generator=torch.Generator().manual_seed(i),
                **SIZE,
            ).frames[0]
            for t, end in ((0, "first"), (-1, "last")):
                quality = psnr(output[None, t] * 2 - 1, truth[i, :, t][None])
                totals[f"{end} of {'both' if both else 'first'}"] += float(quality)
            if not both:
                seen = judge.judge(output.permute(1, 0, 2, 3))
                totals["motion"] += seen is not None and seen.motion == scene.motion
    return {name: value / count for name, value in totals.items()}


def count_negatives(pipeline: Any, count: int) -> dict[str, tuple[Counter[str], Counter[str]]]:
    """Colours and backgrounds of circles, by negative prompt."""
    found = {}
    for negative in ("", "red circle", "white background", "black background"):
        made = generate(pipeline, ["a circle standing still"] * count, 500, NEGATIVE_GUIDANCE, negative)
        seen = [scene for clip in made if (scene := judge.judge(clip))]
        found[negative] = Counter(scene.color for scene in seen), Counter(scene.background for scene in seen)
    return found


def make_sheet(made: torch.Tensor) -> Image.Image:
    """Up to 24 clips in three columns, five frames of each, at half size."""
    strips = [torch.cat([clip[:, t] for t in (0, 4, 8, 12, 16)], 2) for clip in made[:24]]
    rows = -(-len(strips) // 3)
    strips += [torch.ones_like(strips[0])] * (3 * rows - len(strips))
    columns = [torch.cat(strips[i : i + rows], 1) for i in range(0, len(strips), rows)]
    sheet = (torch.cat(columns, 2) * 255).round().byte().permute(1, 2, 0)
    return Image.fromarray(sheet.numpy()).reduce(2)


def _to_image(frame: torch.Tensor) -> Image.Image:
    return Image.fromarray(((frame + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())
